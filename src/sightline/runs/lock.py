"""The lock of a run folder: one process at a time writes into it."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from pathlib import Path
from types import TracebackType

from filelock import BaseFileLock, FileLock, Timeout

from sightline.errors import RunError
from sightline.runs.folder import LOCK_FILE
from sightline.runs.safe_files import read_json, write_json

__all__ = ["RunLock", "lock_run"]

# What a file system answers that has no locks: some network and FUSE ones.
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class RunLock:
    """A lock that is held until ``release``, the end of the ``with`` block, or the end of the process.

    Attributes:
        problem: why nothing is locked, where the file system can't do it; else an empty string.
    """

    def __init__(self, lock: BaseFileLock, owner_file: Path, problem: str = "") -> None:
        self.problem = problem
        self._lock = lock
        self._owner_file = owner_file

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Let others write; a second time, or in a forked child, it does nothing."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._owner_file.unlink()
            self._lock.release()


def lock_run(folder: Path) -> RunLock:
    """Take the lock of a run folder, at once or not at all.

    The system holds it (``flock``, on Windows ``msvcrt.locking``), so that a process that is killed leaves no lock,
    and a forked child does not inherit one. Files that only tell who holds it stay behind.

    Args:
        folder: of a run; ``run.json`` need not be there yet.

    Raises:
        RunError: ``run.locked`` if another process, or another part of this one, writes into it; ``run.write`` if
            nothing can be written there.

    Example:
        ``with lock_run(run.folder): write_json(run.facts_file, facts)``
    """
    path = folder / LOCK_FILE
    # A soft lock, a mere file, would outlive a process that is killed.
    lock, owner_file = FileLock(path, fallback_to_soft=False), path.with_name(f"{path.name}.json")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunError(
            "run.locked",
            f"{folder} is being written by {_owner(owner_file)}",
            "wait until it ends, or stop it; a process that was killed leaves no lock",
        ) from error
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            return RunLock(lock, owner_file, f"the file system of {folder} has no locks ({error.strerror})")
        raise RunError(
            "run.write",
            f"{path} can't be written: {error.strerror}",
            "make the folder writable, or copy the run to another",
        ) from error
    try:
        with contextlib.suppress(RunError):  # a full disk: the lock itself needs no space
            write_json(owner_file, {"pid": os.getpid(), "host": platform.node()})
    except BaseException:  # a request to stop at this moment
        lock.release()
        raise
    return RunLock(lock, owner_file)


def _owner(file: Path) -> str:
    """Return who holds the lock, in words, as far as it was written down."""
    try:
        facts = read_json(file)
        return f"process {facts['pid']} on {facts['host']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
