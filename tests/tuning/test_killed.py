"""Searches in processes of their own: killed, joined, and on databases. No trial is lost, none is made twice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from sightline.tuning.outcome import Outcome
from sightline.tuning.table import read_search, read_trials

pytestmark = pytest.mark.e2e

T = TypeVar("T")
TRIALS = 12
SPACE = "head_strength = {low = 1e-4, high = 1.0, log = true}\nimbalance = ['none', 'class_weights']\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a space, and a cache that processes share."""
    folder, random = tmp_path_factory.mktemp("searches"), np.random.default_rng(0)
    for step, name in ((4, "bars"), (7, "stripes")):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(60):
            pixels = random.normal(128, 60, (40, 40, 3))
            pixels[::step] += 70
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "data" / name / f"{number:03d}.png")
    (folder / "space.toml").write_text(SPACE)
    return folder


def start(place: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = ["tune", "data", "--space", "space.toml", "--set", "engine=onnxruntime", "--set", "versions=off"]
    words += ["--size", "32", "--name", "found", "--out", str(out), "--quiet", *more]
    if "--trials" not in more:
        words += ["--trials", str(TRIALS)]
    settings = {
        "SIGHTLINE_CACHE": str(place / "cache"),
        "SIGHTLINE_STATE": str(place / "state"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "sightline", *words]
    return subprocess.Popen(
        command, cwd=place, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def ended(out: Path) -> list[Outcome]:
    """The trials that the table has so far."""
    folder = out / "searches" / "found"
    return read_trials(folder) if (folder / "trials.csv").is_file() else []


def check_whole(out: Path) -> list[Outcome]:
    """Every trial once, the plain recipe first, nothing running."""
    trials = ended(out)
    assert Counter(one.state != "lost" for one in trials)[True] == TRIALS
    assert {one.state for one in trials} <= {"complete", "lost"}
    assert [one.number for one in trials] == list(range(len(trials)))
    assert sum(one.is_plain and one.state == "complete" for one in trials) == 1
    retried = Counter(one.retry_of for one in trials if one.retry_of is not None)
    assert retried == Counter(one.number for one in trials if one.state == "lost")
    assert read_search(out / "searches" / "found")["status"] == "finished"
    return trials


def test_kills_lose_no_trial_that_ended_and_none_is_made_twice(place: Path, tmp_path: Path) -> None:
    """Killed after the first trial, and in the midst of them."""
    before: list[Outcome] = []
    for least in (1, 6):
        process, journal = start(place, tmp_path), tmp_path / "searches" / "found" / "journal.log"
        while process.poll() is None and (not journal.is_file() or journal.read_text().count('"state":1') < least):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with (tmp_path / "searches" / "found" / "journal.log").open("a") as journal_file:
        journal_file.write('{"op_code": 9, "tr')  # a line that a kill cut off
    before = ended(tmp_path)
    end(start(place, tmp_path))
    trials = check_whole(tmp_path)
    kept = {one.number: one for one in trials}
    for one in before:
        if one.state == "complete":
            assert kept[one.number] == one


def test_two_processes_share_the_trials(place: Path, tmp_path: Path) -> None:
    first = start(place, tmp_path)
    second = start(place, tmp_path)
    end(first)
    end(second)
    trials = check_whole(tmp_path)
    assert 1 <= len({one.worker for one in trials}) <= 2
    assert [folder.name for folder in sorted(tmp_path.glob("*/run.json")) if folder.parent.name == "found"] == [
        "run.json"
    ]


def test_two_processes_with_folders_of_their_own_share_a_database_and_one_makes_the_result(
    place: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    both = [start(place, tmp_path / name, "--storage", url) for name in ("one", "other")]
    for process in both:
        end(process)
    leads, joins = sorted((tmp_path / "one", tmp_path / "other"), key=lambda out: not (out / "found").is_dir())
    check_whole(leads)
    assert not (joins / "found").exists() and not read_search(joins / "searches" / "found")
    assert not (leads / "searches" / "found" / "journal.log").exists()


def find_postgres() -> Path | None:
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    return next((folder for folder in places if (folder / "initdb").is_file()), None)


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of the test's own; it does not run as root."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    folder = Path("/tmp") / f"sightline-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    who: dict[str, str] = {"user": "postgres"} if is_root else {}
    if is_root:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **who}
    subprocess.run([programs / "initdb", "-D", data, "-U", "me", "-A", "trust", "--no-sync"], check=True, **quiet)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen([programs / "postgres", "-D", data, *options], **quiet)
    try:
        import psycopg

        for _ in range(600):
            try:
                psycopg.connect(f"host=127.0.0.1 port={port} user=me dbname=postgres", connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        yield f"postgresql+psycopg://me@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def test_two_processes_on_postgresql_make_each_trial_once_and_a_kill_loses_none(
    place: Path, tmp_path: Path, postgres: str
) -> None:
    killed = start(place, tmp_path, "--storage", postgres)
    while killed.poll() is None and len(ended(tmp_path)) < 2:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    both = [start(place, tmp_path, "--storage", postgres) for _ in range(2)]
    for process in both:
        end(process)
    check_whole(tmp_path)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> set[int]:
    """The processes that a process started."""
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return {int(word) for word in said.split()}


def wait_for(what: Callable[[], T], seconds: float = 120.0) -> T:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.02)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_a_killed_worker_is_replaced_and_workers_end_with_their_search(place: Path, tmp_path: Path) -> None:
    search, journal = start(place, tmp_path, "--workers", "2"), tmp_path / "searches" / "found" / "journal.log"
    first = wait_for(lambda: len(found := children_of(search.pid)) == 2 and found)
    os.kill(min(first), signal.SIGKILL)
    new = wait_for(lambda: children_of(search.pid) - first)
    wait_for(lambda: journal.read_text().count('"state":1') >= 2)
    search.send_signal(signal.SIGKILL)
    _, said = search.communicate()
    assert "warning[tune.worker-lost]: worker 1 was ended by SIGKILL" in said or "worker 2 was ended by" in said
    wait_for(lambda: not any(map(is_alive, first | new)), 20.0)
    before = [one for one in ended(tmp_path) if one.state == "complete"]
    end(start(place, tmp_path, "--workers", "2"))
    trials = check_whole(tmp_path)
    assert all(trials[one.number] == one for one in before)
    assert len({one.worker for one in trials}) >= 2
