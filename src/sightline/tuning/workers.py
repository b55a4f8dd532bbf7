"""The workers of a search: processes of this machine that make its trials at the same time, watched by this one.

A worker shares the study, the decoded images and the features with all others. One that is killed leaves its trial to
the others, and another takes its place. All end when this process does, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline.errors import RunError
from sightline.events import Event, Noted, Progressed, Warned
from sightline.machine import usable_threads
from sightline.text import count_of
from sightline.tuning.budget import Budget
from sightline.tuning.handover import Share, write_bench
from sightline.tuning.outcome import Outcome
from sightline.tuning.study import Study
from sightline.tuning.trial import Bench

__all__ = ["Crew", "share_machine", "watch_workers", "words_of_workers"]

_IN_A_ROW = 5  # workers that may end before their time without one trial that ended meanwhile
_END = 5.0  # seconds for a process to end
_LATE = 5.0  # seconds after which a worker is ended that goes on when time is over
_POLL = 0.2  # seconds between looks at the trials
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def share_machine(bench: Bench, workers: int) -> list[Share]:
    """Return what each worker has of the machine: CPUs are divided, GPUs are taken in turn."""
    settings = bench.decided.plan.settings
    threads = max(1, usable_threads() // workers)
    if "threads" in {**bench.decided.recipe.chosen, **bench.options.chosen}:
        threads = settings.threads
    devices = [settings.device] * workers
    if settings.device.startswith("cuda"):
        from sightline.training.hardware import count_devices
        from sightline.training.process_group import own_device

        there = max(1, count_devices(settings.device))
        devices = [own_device(settings.device, place % there) for place in range(workers)]
    return [Share(place + 1, threads, device) for place, device in enumerate(devices)]


def words_of_workers(shares: list[Share]) -> Event:
    """Return how the workers share the machine; a warning where there are more than CPUs."""
    usable, count, threads = usable_threads(), len(shares), shares[0].threads
    each = f"{count_of(threads, 'thread')} each"
    if count * threads > usable:
        message = f"{count} workers on {count_of(usable, 'CPU')}, {each}: they wait for each other"
        fewer = f"give --workers {max(1, usable // threads)}, or fewer"
        return Warned("tune.workers", message, fewer if threads == 1 else f"{fewer}; or leave out threads")
    devices = list(dict.fromkeys(share.device for share in shares))
    where = f" on {', '.join(devices)}" if devices != ["cpu"] else ""
    return Noted(f"Workers: {count}, with {each}{where}. Trials at the same time share the CPUs, memory and caches.")


@dataclass(slots=True)
class _Worker:
    """A process, and where its last words are."""

    share: Share
    process: subprocess.Popen[bytes]
    log: Path


class Crew:
    """The workers while they run; to be closed.

    Args:
        folder: that ``write_bench`` wrote.
        shares: of the machine, one a worker.
        storage: URL of the database; empty: the journal.
    """

    def __init__(self, folder: Path, shares: list[Share], storage: str) -> None:
        self._folder, self._storage = folder, storage
        self._workers: list[_Worker] = []
        try:
            self._workers += [self._start(share) for share in shares]
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The processes that run."""
        return [worker.process.pid for worker in self._workers]

    def take_ended(self) -> list[tuple[Share, str]]:
        """Return (share, how it ended) of workers that ended before their time, and forget all that ended."""
        ended = [worker for worker in self._workers if worker.process.poll() is not None]
        self._workers = [worker for worker in self._workers if worker not in ended]
        for worker in ended:
            _close_input(worker.process)
        return [(worker.share, _how(worker)) for worker in ended if worker.process.returncode]

    def replace(self, share: Share) -> None:
        """Start another worker with that share of the machine."""
        self._workers.append(self._start(share))

    def close(self) -> None:
        """End all of them; a trial that one is making is lost."""
        for worker in self._workers:
            _close_input(worker.process)
        for worker in self._workers:
            try:
                worker.process.wait(_END)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers = []

    def _start(self, share: Share) -> _Worker:
        """Start a process; it ends when its standard input does, and so when this process does."""
        log = self._folder / f"worker-{share.number}.log"
        threads = {name: str(share.threads) for name in _THREADS if name not in os.environ}
        with log.open("wb") as said:
            # A session of its own: Ctrl-C in the terminal goes to this process alone, which ends the others.
            process = subprocess.Popen(
                [sys.executable, "-m", "sightline.tuning.worker", str(self._folder)],
                env={**os.environ, **threads},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        assert process.stdin
        given = json.dumps({"share": asdict(share), "storage": self._storage}) + "\n"
        with contextlib.suppress(OSError):  # it ended already, which is found when it is looked at
            process.stdin.write(given.encode())
            process.stdin.flush()
        return _Worker(share, process, log)


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    with contextlib.suppress(OSError):
        process.stdin.close()


def _how(worker: _Worker) -> str:
    """Return how a worker ended, in words."""
    code = worker.process.returncode
    if code < 0:
        memory = " (unless you stopped it, the machine probably ran out of memory)" if code == -9 else ""
        return f"was ended by {signal.Signals(-code).name}{memory}"
    lines = worker.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"exited with code {code}: {lines[-1] if lines else 'it said nothing'}"


def watch_workers(
    study: Study,
    bench: Bench,
    budget: Budget,
    about: Mapping[str, Any],
    crew_of: Callable[[Path], Crew],
    shown: Callable[[Outcome], Event],
) -> Generator[Event, None, None]:
    """Let workers make trials until they find nothing left to try; each trial that ends is an event.

    Args:
        study: that they share.
        bench: of the search.
        budget: of the search, which they keep; one that doesn't is ended.
        about: what they must know of the search.
        crew_of: starts them, from what they are given.
        shown: makes the event of a trial.

    Raises:
        RunError: if one worker after the other ends without a trial that ended.
    """
    folder = study.folder / "scratch" / "workers"
    write_bench(folder, bench, {**about, "folder": str(study.folder.resolve())}, budget)
    told = {one.number for one in study.outcomes() if one.state != "running"}
    in_a_row, in_time = 0, time.monotonic()
    crew = crew_of(folder)
    try:
        while crew.pids:
            time.sleep(_POLL)
            ended = crew.take_ended()
            if ended:
                study.count_alive()  # finds what they lost
            outcomes = study.outcomes()
            new = [one for one in outcomes if one.state != "running" and one.number not in told]
            told |= {one.number for one in new}
            in_a_row = 0 if any(one.state != "lost" for one in new) else in_a_row
            yield from map(shown, new)
            for share, how in ended:
                in_a_row += 1
                yield from _replace(crew, share, how, in_a_row)
            has_plain = any(one.is_plain and one.state == "complete" for one in outcomes)
            in_time = in_time if has_plain and budget.is_over(outcomes, 0.0) else time.monotonic()
            if time.monotonic() - in_time > _LATE:
                break
            done = sum(one.state not in ("lost", "running") for one in outcomes)
            yield Progressed(done, about["trials"] or 0, "trials")
    finally:
        crew.close()
        with contextlib.suppress(Exception):  # what ends the search early is told first
            study.count_alive()  # what they were at is lost
    yield from map(shown, [one for one in study.outcomes() if one.state != "running" and one.number not in told])


def _replace(crew: Crew, share: Share, how: str, in_a_row: int) -> Generator[Event, None, None]:
    """Put another worker in the place of one that ended."""
    message = f"worker {share.number} {how}"
    cure = "give fewer --workers where memory is short; the trials that ended are kept, and the same command goes on"
    if in_a_row >= _IN_A_ROW:
        raise RunError("tune.workers-lost", f"{in_a_row} workers in a row ended without a trial; {message}", cure)
    crew.replace(share)
    yield Warned("tune.worker-lost", f"{message}: its trial is tried again, by another worker", cure)
