"""The embedded storage of a study: Optuna's journal, one file, under a lock that a killed process leaves free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

__all__ = ["open_journal"]


class _Lock:
    """Optuna's own locks are files, which outlive a process that is killed: all others then wait for half a minute.

    Whoever has the lock first takes away a line that a killed process left unfinished.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = FileLock(file.with_suffix(".lock"), fallback_to_soft=False)

    def acquire(self) -> bool:
        self._lock.acquire()
        _cut_unfinished(self._file)
        return True

    def release(self) -> None:
        self._lock.release()


def _cut_unfinished(file: Path) -> None:
    """Cut a journal after its last whole line."""
    size = file.stat().st_size
    if not size:
        return
    with file.open("r+b") as journal:
        journal.seek(size - 1)
        if journal.read(1) == b"\n":
            return
        journal.seek(0)
        journal.truncate(journal.read().rfind(b"\n") + 1)
        journal.flush()
        os.fsync(journal.fileno())


def open_journal(file: Path) -> JournalStorage:
    """Return the storage in a file, which is made where there is none."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    file.touch()
    return JournalStorage(JournalFileBackend(str(file), lock_obj=_Lock(file)))  # type: ignore[arg-type]
