"""What this process may use of its machine, and since when it runs."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Timing", "cpu_name", "process_start", "time_runs", "usable_threads", "waited_seconds"]

_SYSTEM = Path("/sys/fs/cgroup")
_OWN_TASKS = Path("/proc/self/task")
_RUNS, _MORE_RUNS = 3, 7  # of what is timed; the second where they differ, or the machine is busy
_UNEVEN = 1.3  # slowest to fastest
_BUSY = 0.15  # share of the time that was spent on waiting for a processor
_OWN_GROUPS = Path("/proc/self/cgroup")


def process_start() -> float:
    """Return when this process began, by ``time.monotonic()``; where the system does not say, now.

    psutil knows it by the clock of the day, which Linux gives in whole seconds: measured, it is up to one second off.
    """
    now = time.monotonic()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - min(60.0, max(0.0, age))


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something takes on this machine.

    Attributes:
        seconds: the median of several runs.
        fastest: what it may take on a quiet machine: the fastest run, without its wait for a processor.
        slowest: the slowest run.
        waited: share of the time that was spent on waiting for a processor, 0 to 1.
    """

    seconds: float
    fastest: float
    slowest: float
    waited: float = 0.0

    def scaled(self, factor: float) -> Timing:
        """Return how long ``factor`` times as much takes."""
        return Timing(self.seconds * factor, self.fastest * factor, self.slowest * factor, self.waited)


def time_runs(run: Callable[[], None], longest: float) -> Timing:
    """Time a run a few times; more often where the times differ, or other programs use the processors.

    Args:
        run: what is timed; the first time counts too.
        longest: seconds after which no further run is begun; at most three times that on a busy machine.

    Example:
        >>> time_runs(lambda: None, 0.1).seconds < 1
        True
    """
    import statistics  # slow to import, and predict never times

    found: list[float] = []
    quiet: list[float] = []
    waiting = 0.0
    while not found or _is_another_due(found, waiting, longest):
        start, computed, waited = time.monotonic(), time.process_time(), waited_seconds()
        run()
        seconds = time.monotonic() - start
        waited, computed = waited_seconds() - waited, time.process_time() - computed
        share = max(0.0, waited) / max(1e-9, waited + computed)
        found.append(seconds)
        quiet.append(seconds * (1 - share))
        waiting += share * seconds
    return Timing(statistics.median(found), min(quiet), max(found), waiting / max(1e-9, sum(found)))


def _is_another_due(found: list[float], waiting: float, longest: float) -> bool:
    """Whether to time once more, after runs of so many seconds, of which some were spent on waiting."""
    spent = sum(found)
    if len(found) < _RUNS and spent < longest:
        return True
    is_unsure = waiting > _BUSY * spent or max(found) > _UNEVEN * min(found)
    return is_unsure and len(found) < _MORE_RUNS and spent + max(found) <= 3 * longest


def waited_seconds() -> float:
    """Return how long the threads of this process have waited for a processor, all together; 0 where nobody says.

    Example:
        >>> waited_seconds() >= 0
        True
    """
    total = 0.0
    try:
        tasks = list(_OWN_TASKS.iterdir())
    except OSError:  # no Linux
        return 0.0
    for task in tasks:
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except (OSError, ValueError, IndexError):  # a thread that ended, or a kernel that does not count
            continue
    return total / 1e9


def cpu_name() -> str:
    """Return what the processor is called, as far as the system says it.

    Example:
        >>> isinstance(cpu_name(), str)
        True
    """
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # no Linux
        pass
    return platform.processor() or platform.machine()


def usable_threads() -> int:
    """Return how many threads of this process can compute at once: processors it may run on, within its quota.

    The quota is the one that containers are given (``docker run --cpus 2``, a limit of Kubernetes).

    Example:
        >>> usable_threads() <= os.cpu_count()
        True
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, _quota())))


def _quota() -> float:
    """Return how many processors the control groups of this process leave it; infinity where they set no limit."""
    least = math.inf
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:  # no Linux
        return least
    for line in lines:  # 0::/path of version 2; 4:cpu,cpuacct:/path of version 1
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, names = _SYSTEM, ["cpu.max"]
        elif "cpu" in controllers.split(","):
            root, names = _SYSTEM / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        own = root / path.lstrip("/")
        # In a container the path is that of the host, and what it leads to lies at the root.
        for folder in (own, *own.parents):
            if folder.is_relative_to(root):
                least = min(least, _limit_of(folder, names))
    return least


def _limit_of(folder: Path, names: list[str]) -> float:
    try:
        words = " ".join((folder / name).read_text() for name in names).split()
        quota, period = float(words[0]), float(words[1])  # "max", or a negative number: no limit
    except (OSError, ValueError, IndexError):
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf
