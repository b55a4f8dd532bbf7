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

pytestmark = pytest.mark.usefixtures("timed_as_ever")


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


class Clock:
    """A clock that moves when what is timed runs: each run takes the next number of seconds, and waits for some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *runs: float, waited: float = 0.0) -> None:
        self.now = self.waits = 0.0
        self.runs, self.waited, self.count = runs, waited, 0
        monkeypatch.setattr(machine.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(machine.time, "process_time", lambda: self.now - self.waits)
        monkeypatch.setattr(machine, "waited_seconds", lambda: self.waits)

    def run(self) -> None:
        seconds = self.runs[min(self.count, len(self.runs) - 1)]
        self.count += 1
        self.now += seconds
        self.waits += self.waited * seconds


def test_on_a_quiet_machine_three_runs_are_timed(monkeypatch):
    clock = Clock(monkeypatch, 0.5, 0.52, 0.48)
    timing = machine.time_runs(clock.run, 10.0)
    assert (timing.seconds, timing.fastest, timing.slowest) == pytest.approx((0.5, 0.48, 0.52))
    assert clock.count == 3
    clock = Clock(monkeypatch, 2.0)
    assert machine.time_runs(clock.run, 1.5).seconds == 2.0 and clock.count == 1


def test_uneven_times_are_measured_again(monkeypatch):
    clock = Clock(monkeypatch, 8.0, 1.0, 1.1, 1.0, 1.1, 1.0, 1.1)
    timing = machine.time_runs(clock.run, 100.0)
    assert (timing.seconds, timing.fastest, timing.slowest) == pytest.approx((1.1, 1.0, 8.0))
    assert clock.count == 7


def test_waiting_for_a_processor_is_measured_again_and_does_not_count_as_work(monkeypatch):
    """Equally slow all the time: nothing but the wait tells that the machine is busy."""
    clock = Clock(monkeypatch, 2.0, waited=0.75)
    timing = machine.time_runs(clock.run, 4.0)
    assert clock.count == 6  # three times as long as on a quiet machine
    assert timing.seconds == timing.slowest == 2.0
    assert timing.fastest == pytest.approx(0.5) and timing.waited == pytest.approx(0.75)
    assert timing.scaled(3.0) == machine.Timing(6.0, 3 * timing.fastest, 6.0, timing.waited)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not count it")
def test_the_wait_for_a_processor_is_the_kernels():
    """Two processes on one processor, for half a second of computing: each waits about as long as it computes."""
    code = (
        "import os, time\nfrom sightline.machine import waited_seconds\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nchild = os.fork()\n"
        "while time.process_time() < 0.5: pass\n"
        "if child: os.waitpid(child, 0); print(waited_seconds())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0.1
