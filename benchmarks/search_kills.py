"""Searches whose workers and whose commands are killed, and searches that two processes share. Prints one table.

    python benchmarks/search_kills.py [DATA] [--kills 20] [--trials 120] [--shared 30] [--size 64] [--seconds 1500]

DATA is a folder of images; without it a small one is drawn. Trials are heads without torch, of some tenths of a second.
First one search with two workers: half of the kills (-9, at random moments) hit a worker, the other half the command,
which is given again each time. Then two commands share a search, on the journal and on a PostgreSQL server that is
started for it. "lost or changed" counts trials that had ended before a kill, and that are gone or another afterwards;
"twice" counts settings of a lost trial that were tried again more than once at a time, and trials beyond those asked
for. Without PostgreSQL its row says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SPACE = "head_strength = {low = 1e-4, high = 10.0, log = true}\nimbalance = ['none', 'class_weights']\n"
NAME = "found"


@dataclass
class Place:
    """Where searches of this script lie, and until when they may take."""

    folder: Path
    data: Path
    size: int
    ends: float

    def start(self, out: Path, trials: int, *more: str) -> subprocess.Popen[bytes]:
        """Begin a search, or go on with it."""
        words = ["tune", str(self.data), "--space", str(self.folder / "space.toml"), "--name", NAME, "--out", str(out)]
        words += ["--set", "engine=onnxruntime", "--set", "versions=off", "--size", str(self.size), "--quiet"]
        settings = {"SIGHTLINE_CACHE": str(self.folder / "cache"), "SIGHTLINE_STATE": str(self.folder / "state")}
        log = (self.folder / "log.txt").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", "sightline", *words, "--trials", str(trials), *more],
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        )

    def wait(self, what: Callable[[], Any]) -> Any:
        """Wait for something; returns it."""
        while not (found := what()):
            if time.monotonic() > self.ends:
                sys.exit(f"the time is over; {(self.folder / 'log.txt').read_text()[-2000:]}")
            time.sleep(0.02)
        return found


@dataclass
class Row:
    """What came of one search."""

    name: str
    kills: int = 0
    complete: int = 0
    lost: int = 0
    gone: int = 0
    twice: int = 0
    alive: int = 0
    share: str = ""
    seconds: float = 0.0
    ended: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def line(self) -> str:
        return (
            f"{self.name:34s} {self.kills:5d} {self.complete:8d} {self.lost:5d} {self.gone:15d} {self.twice:5d} "
            f"{self.alive:13d} {self.share:>13s} {self.seconds:7.0f} s"
        )


HEAD = (
    f"{'':34s} {'kills':>5s} {'complete':>8s} {'lost':>5s} {'lost or changed':>15s} {'twice':>5s} "
    f"{'still running':>13s} {'by process':>13s} {'':>9s}"
)


def trials_of(storage: str) -> list[Any]:
    """Return the trials that a study has now: of a URL, or of a journal's path."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" not in storage and not Path(storage).is_file():
        return []
    found = JournalStorage(JournalFileBackend(storage)) if "://" not in storage else storage
    try:
        return optuna.load_study(study_name=NAME, storage=found).get_trials(deepcopy=False)
    except (KeyError, ValueError):  # nothing there yet, or a line that a kill cut off
        return []


def ended(trials: list[Any]) -> dict[int, tuple[Any, ...]]:
    """Return number -> what it came to, of trials that were trained to their end."""
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return {trial.number: (trial.value, tuple(sorted(trial.params.items()))) for trial in done}


def judge(row: Row, trials: list[Any], asked: int) -> Row:
    """Count what is lost, and what was made twice."""
    now = ended(trials)
    outcomes = [trial.user_attrs.get("outcome", {}) for trial in trials]
    row.complete, row.lost = len(now), sum(one.get("state") == "lost" for one in outcomes)
    row.gone = sum(now.get(number) != what for number, what in row.ended.items())
    again = Counter(trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs)
    row.twice = sum(count - 1 for count in again.values()) + abs(row.complete - asked)
    row.share = "/".join(str(count) for count in Counter(one.get("worker") for one in outcomes).values())
    return row


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in said.split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(place: Place, kills: int, trials: int) -> Row:
    """Kill workers and commands of one search."""
    out, start, draw = place.folder / "killed", time.monotonic(), random.Random(0)
    row, journal = Row("2 workers, killed with the command"), str(out / "searches" / NAME / "journal.log")
    search, known = place.start(out, trials, "--workers", "2"), set()
    while row.kills < kills:
        before = len(ended(trials_of(journal)))
        place.wait(lambda: search.poll() is not None or len(ended(trials_of(journal))) > before)  # noqa: B023
        if search.poll() is not None:
            break
        time.sleep(draw.uniform(0.0, 0.5))
        workers = children_of(search.pid)
        known |= set(workers)
        is_worker = row.kills % 2 == 0 and workers
        row.ended.update(ended(trials_of(journal)))
        with contextlib.suppress(ProcessLookupError):
            os.kill(draw.choice(workers) if is_worker else search.pid, signal.SIGKILL)
        row.kills += 1
        if not is_worker:
            search.wait()
            time.sleep(2.0)
            row.alive += sum(map(is_alive, known))
            search = place.start(out, trials, "--workers", "2")
    place.wait(lambda: search.poll() is not None)
    row.seconds = time.monotonic() - start
    return judge(row, trials_of(journal), trials)


def share(place: Place, name: str, trials: int, storage: str = "") -> Row:
    """Let two commands make the trials of one search; one of them has another folder where there is a database."""
    start, folders = time.monotonic(), [place.folder / name, place.folder / f"{name}-2"]
    more = ("--storage", storage) if storage else ()
    searches = [place.start(folders[0 if not storage else number], trials, *more) for number in range(2)]
    for search in searches:
        place.wait(lambda: search.poll() is not None)  # noqa: B023
    row = judge(
        Row(f"2 commands, {name}"), trials_of(storage or str(folders[0] / "searches" / NAME / "journal.log")), trials
    )
    results = [folder for folder in folders if (folder / NAME / "report.html").is_file()]
    row.name += f", {len(results)} result{'s' if len(results) != 1 else ''}"
    row.seconds = time.monotonic() - start
    return row


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Start a server; gives its URL, or an empty string where there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    if not places:
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        who = {"user": "postgres"}
        shutil.chown(folder, "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **who}
    subprocess.run([places[0] / "initdb", "-D", folder / "data", "-U", "me", "-A", "trust"], check=True, **quiet)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen([places[0] / "postgres", "-D", folder / "data", *words], **quiet)
    try:
        import psycopg

        for _ in range(300):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(f"host=127.0.0.1 port={port} user=me dbname=postgres").close()
                break
            time.sleep(0.1)
        yield f"postgresql+psycopg://me@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def draw_images(folder: Path) -> Path:
    """Write two classes of patterns."""
    draw = np.random.default_rng(0)
    for step, name in ((4, "bars"), (7, "stripes")):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            pixels = draw.normal(128, 60, (40, 40, 3))
            pixels[::step] += 50
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:03d}.png")
    return folder


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=120, help="of the search that is killed")
    parser.add_argument("--shared", type=int, default=30, help="trials of the searches that two processes share")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1500.0, help="most that it may take")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "space.toml").write_text(SPACE)
        data = given.data.resolve() if given.data else draw_images(folder / "data")
        place = Place(folder, data, given.size, time.monotonic() + given.seconds)
        print(HEAD, flush=True)
        print(kill(place, given.kills, given.trials).line(), flush=True)
        print(share(place, "journal", given.shared).line(), flush=True)
        with postgresql() as url:
            print(share(place, "PostgreSQL", given.shared, url).line() if url else "PostgreSQL is not installed")


if __name__ == "__main__":
    main()
