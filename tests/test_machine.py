"""How many threads can compute at once, and since when this process runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline import machine
from sightline.machine import usable_threads


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes control groups: the lines of this process, and the files below the system's."""

    def make(lines: str, files: dict[str, str]) -> None:
        (tmp_path / "own").write_text(lines)
        for name, text in files.items():
            (tmp_path / "system" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "system" / name).write_text(text)

    monkeypatch.setattr(machine, "_SYSTEM", tmp_path / "system")
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    return make


V1 = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("lines", "files", "threads"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, 8),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/of/the/host\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "no number\n"}, 8),
        ("0::/\n", {}, 8),
        ("4:cpu,cpuacct:/\n0::/\n", V1, 8),
        ("4:cpu,cpuacct:/x\n", {**V1, "cpu/x/cpu.cfs_quota_us": "250000\n", "cpu/x/cpu.cfs_period_us": "50000\n"}, 5),
        ("5:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_a_quota_limits_the_threads(groups, lines, files, threads):
    groups(lines, files)
    assert usable_threads() == threads


def test_without_control_groups_it_is_the_processors_this_process_may_run_on(groups, monkeypatch):
    assert usable_threads() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_threads() == os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes can't be bound to processors here")
def test_the_affinity_of_a_real_process_counts():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from sightline.machine import usable_threads; print(usable_threads())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system is not asked")
def test_a_process_knows_when_it_began():
    code = "import time; time.sleep(0.5)\nfrom sightline.machine import process_start; print(process_start())"
    before = time.monotonic()
    said = float(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert before - 0.05 <= said <= time.monotonic() - 0.45
