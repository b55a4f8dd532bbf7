"""What tests that run side by side need: a core for each process, and dear things that only one of them makes.

``pytest -n logical`` (what ``make test`` types) starts a worker for each core. Two threads of torch in each of them
would wait for each other most of the time, so a worker keeps to a core of its own, and so does every process that it
starts. This must be done before the first import of numpy and torch, which count the cores: so this file is pytest's
first plugin.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1, ...; nothing where all tests run in one process


def _keep_to_one_core() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # macOS and Windows have no affinity of processes that Python can set
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(WORKER.removeprefix("gw")) % len(cores)]})


if WORKER:
    _keep_to_one_core()


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that ``make`` fills: once in a session, by the first worker that asks.

    Args:
        factory: of the session.
        name: of the folder, unique.
        make: gets the folder, empty; what it fails with is raised, and the next worker that asks tries again.
    """
    from filelock import FileLock

    base = factory.getbasetemp()
    folder = (base.parent if WORKER else base) / name
    done = folder.with_name(f"{name}.done")
    with FileLock(folder.with_name(f"{name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
