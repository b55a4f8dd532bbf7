"""A cache of what was measured for each file, so that an unchanged file is not read again.

Unreadable files are not cached: they may be readable the next time.

One SQLite file in the user's cache folder. A file counts as unchanged as long as its size, times and inode are the
same; one that was written within the last two seconds is not cached, since a coarse clock could hide a later change.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.pixels.containers import Member, Place
from sightline.pixels.image_facts import FACTS

__all__ = ["FactsCache", "FileFacts", "open_database", "stamp_of"]

_VERSION = 6  # raise it when decode.py, image_facts.py or duplicates.py change their results
_FRESH_SECONDS = 2
_PATIENCE = 10.0  # seconds that another process may keep the file to itself
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (place BLOB PRIMARY KEY, stamp BLOB, digest TEXT, row BLOB);
CREATE TABLE IF NOT EXISTS pairs (contents BLOB PRIMARY KEY, pairs BLOB);
"""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The cached facts of one readable file: sha256 of its content, and its row of FACTS."""

    digest: str
    row: np.void


def stamp_of(place: Place) -> bytes | None:
    """Return a value that changes whenever the file does, or None where it can't (no file, or just written)."""
    path = place.container if isinstance(place, Member) else place
    try:
        status = os.stat(path)  # noqa: PTH116  (60,000 of them: twice as fast as through pathlib)
    except (OSError, ValueError):
        return None
    if time.time() - max(status.st_mtime, status.st_ctime) < _FRESH_SECONDS:
        return None
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}".encode()


class FactsCache:
    """The cache of facts; where its file can't be written, it is empty and nothing fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with FactsCache(Path(folder), "") as cache:
        ...         cache.get([Path("no-such-file.jpg")])
        [None]
    """

    def __init__(self, folder: Path, rules: str) -> None:
        """Open the cache; ``rules`` are options that change what is measured, such as a range of values."""
        self._salt = f"{_VERSION} {FACTS.itemsize} {rules}".encode()
        self._database: sqlite3.Connection | None = None
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(parents=True, exist_ok=True)
            self._database = open_database(folder / "facts.sqlite", _SCHEMA)

    def __enter__(self) -> FactsCache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def get(self, places: Sequence[Place]) -> list[FileFacts | None]:
        """Return the facts of each file, in order; None for those that must be read."""
        keys = [self._key(place) for place in places]
        known: dict[bytes, tuple[bytes, str, bytes]] = {}
        for part in _parts(keys, 500):
            marks = ",".join("?" * len(part))
            query = f"SELECT place, stamp, digest, row FROM facts WHERE place IN ({marks})"
            known |= {row[0]: row[1:] for row in self._fetch(query, part)}
        found: list[FileFacts | None] = []
        for place, key in zip(places, keys, strict=True):
            stamp, digest, row = known.get(key, (None, "", b""))
            if stamp is None or len(row) != FACTS.itemsize or stamp != stamp_of(place):
                found.append(None)
            else:
                found.append(FileFacts(digest, np.frombuffer(row, FACTS)[0]))
        return found

    def put(self, rows: Iterable[tuple[Place, bytes | None, FileFacts]]) -> None:
        """Store rows of (file, its stamp before it was read, what was measured).

        A file that changed while it was read has another stamp by now, and is read again the next time.
        """
        values = [
            (self._key(place), stamp, known.digest, known.row.tobytes())
            for place, stamp, known in rows
            if stamp is not None
        ]
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?,?,?,?)", values)

    def get_pairs(self, table: Iterable[str]) -> npt.NDArray[np.intp] | None:
        """Return the cached near-duplicates ``[M, 2]`` of a table, whose rows are given as text."""
        found = self._fetch("SELECT pairs FROM pairs WHERE contents = ?", [self._key_of(table)])
        return np.frombuffer(found[0][0], "<i8").reshape(-1, 2).astype(np.intp) if found else None

    def put_pairs(self, table: Iterable[str], pairs: npt.NDArray[np.intp]) -> None:
        """Store the near-duplicates of a table."""
        if self._database is not None:
            row = self._key_of(table), pairs.astype("<i8").tobytes()
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.execute("INSERT OR REPLACE INTO pairs VALUES (?,?)", row)

    def _key_of(self, table: Iterable[str]) -> bytes:
        return hashlib.blake2b(
            "\n".join(table).encode("utf-8", "surrogatepass"), digest_size=16, key=self._salt
        ).digest()

    def _key(self, place: Place) -> bytes:
        path = place.container if isinstance(place, Member) else place
        name = os.fsencode(place.name) if isinstance(place, Member) else b""
        whole = b"\0".join([self._salt, os.fsencode(path.absolute()), name])
        return hashlib.blake2b(whole, digest_size=16).digest()

    def _fetch(self, query: str, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
        if self._database is None:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error:
            return []


def open_database(file: Path, schema: str) -> sqlite3.Connection:
    """Open a database of things that can be made again; a damaged one is created again.

    Raises:
        OSError, sqlite3.Error: if the file can't be written.
    """
    for attempt in range(2):
        database = sqlite3.connect(file, timeout=_PATIENCE)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=OFF")  # losing it only costs time
            database.executescript(schema)
            return database
        except sqlite3.DatabaseError as error:
            database.close()
            # Only a damaged file is replaced: one that is locked or full is in use by another process too.
            if attempt or not any(word in str(error) for word in ("not a database", "malformed")):
                raise
            for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
                file.with_name(name).unlink(missing_ok=True)
    raise AssertionError


def _parts(keys: list[bytes], size: int) -> Iterator[list[bytes]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
