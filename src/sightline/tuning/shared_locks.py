"""Locks that all processes of a study share, on one machine or several; a process that is killed leaves them free.

A journal and SQLite have a file beside them. In PostgreSQL they are advisory locks, which end with their connection.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["SharedLock", "find_lock"]


class SharedLock(Protocol):
    """A lock, to be taken for a ``with`` block, or until it is released.

    Attributes:
        is_for_all: whether it keeps out processes of other machines that use the same storage, too.
    """

    is_for_all: bool

    def take(self) -> bool:
        """Take it, if it is free; returns whether this process has it."""

    def is_held(self) -> bool:
        """Whether this process has it still: a connection may be lost."""

    def release(self) -> None:
        """Let others have it."""

    def __enter__(self) -> object:
        """Wait for it, and take it."""

    def __exit__(self, *_: object) -> None:
        """Release it."""


class _FileLock:
    """See ``SharedLock``."""

    def __init__(self, file: Path, *, is_for_all: bool) -> None:
        self.is_for_all = is_for_all
        self._lock = FileLock(file, fallback_to_soft=False)

    def take(self) -> bool:
        if not self._lock.is_locked:
            with contextlib.suppress(Timeout):
                self._lock.acquire(blocking=False)
        return self._lock.is_locked

    def is_held(self) -> bool:
        return self._lock.is_locked

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> object:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _AdvisoryLock:
    """See ``SharedLock``; it has a connection of its own, as long as it is held or waited for."""

    is_for_all = True

    def __init__(self, engine: Any, what: str) -> None:
        self._engine = engine
        self._key = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
        self._connection: Any = None

    def take(self) -> bool:
        if self._connection is not None and self.is_held():
            return True
        self._connect()
        if self._ask("SELECT pg_try_advisory_lock(:key)"):
            return True
        self._disconnect()
        return False

    def is_held(self) -> bool:
        import sqlalchemy

        if self._connection is None:
            return False
        try:
            self._ask("SELECT 1")
        except sqlalchemy.exc.SQLAlchemyError:  # the server ends a lock with its connection
            self._disconnect()
            return False
        return True

    def release(self) -> None:
        import sqlalchemy

        if self._connection is not None:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                self._ask("SELECT pg_advisory_unlock(:key)")
            self._disconnect()

    def __enter__(self) -> object:
        self._connect()
        return self._ask("SELECT pg_advisory_lock(:key)")

    def __exit__(self, *_: object) -> None:
        self.release()

    def _connect(self) -> None:
        self._disconnect()
        # Without a transaction, which would stay open as long as the lock is held, and keep the server from cleaning.
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _ask(self, query: str) -> Any:
        import sqlalchemy

        values = {"key": self._key} if ":key" in query else {}
        return self._connection.execute(sqlalchemy.text(query), values).scalar()


def find_lock(storage: BaseStorage, folder: Path, study: str, what: str) -> SharedLock:
    """Return a lock of a study.

    Args:
        storage: of the study.
        folder: of the search, where the study is a journal in it, or in a database without locks of its own.
        study: its name in the storage.
        what: it is for.
    """
    engine = getattr(storage, "engine", None)
    kind = engine.dialect.name if engine is not None else ""
    if kind == "postgresql":
        return _AdvisoryLock(engine, f"sightline {study} {what}")
    if kind == "sqlite" and engine is not None and engine.url.database:
        file = Path(engine.url.database)
        return _FileLock(file.with_name(f"{file.name}.{study}.{what}.lock"), is_for_all=True)
    return _FileLock(folder / f"{what}.lock", is_for_all=not kind)
