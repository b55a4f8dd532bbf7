"""A cache of the features of images, by content, so that no network looks at the same image twice.

One SQLite file in the user's cache folder, shared by all runs. It is bounded: what was not used for the longest time
goes first. Losing it costs time alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder, cache_limit
from sightline.data.facts_cache import open_database
from sightline.events import Progressed

__all__ = ["Computed", "FeatureCache", "cached_features", "count_cached", "keeps_features"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (image BLOB PRIMARY KEY, row BLOB, bytes INTEGER, used INTEGER);
CREATE INDEX IF NOT EXISTS by_use ON features (used, bytes);
"""
_DAY = 86_400  # seconds: how fine the time of the last use is
_AT_ONCE = 500  # keys of one query
_KEPT = 0.9  # share of the limit that stays when something must go: else it would happen at each image


_SHARE = 0.1  # of the limit of all caches: some 400,000 images with 1,280 features in 2 of 20 GiB
_KEPT_EVERY = 256  # images: what is lost at most where the process is killed

Features = npt.NDArray[np.float32]
Computed = Iterator[tuple[npt.NDArray[np.intp], Features]]

_SUM = 8  # bytes of a row's checksum


def _packed(content: bytes) -> bytes:
    return content + hashlib.blake2b(content, digest_size=_SUM).digest()


class FeatureCache:
    """The cache of features; where its file can't be written, it is empty and nothing fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, FeatureCache(Path(folder), "rules", 3, 10**6) as cache:
        ...     cache.put(["a"], np.ones((1, 3), np.float32))
        ...     [None if row is None else row.tolist() for row in cache.get(["a", "b"])]
        [[1.0, 1.0, 1.0], None]
    """

    def __init__(self, folder: Path, rules: str, size: int, limit: int) -> None:
        """Open the cache.

        Args:
            folder: of the file; created when missing.
            rules: whatever the features depend on besides the image: network, preprocessing.
            size: numbers in the features of an image.
            limit: most bytes of all rows together; 0: nothing is kept.
        """
        self._salt, self._size, self._limit = rules.encode(), size, limit
        self._file = folder / "features.sqlite"
        self._database: sqlite3.Connection | None = None
        if limit:
            with contextlib.suppress(OSError, sqlite3.Error):
                folder.mkdir(parents=True, exist_ok=True)
                self._database = open_database(self._file, _SCHEMA)

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on without what SQLite can't do; a damaged file is removed, and made again by whoever opens it next."""
        try:
            yield
        except sqlite3.Error as error:
            if any(word in str(error) for word in ("malformed", "not a database")) and self._database is not None:
                self._database.close()
                self._database = None
                with contextlib.suppress(OSError):
                    for name in (self._file.name, f"{self._file.name}-wal", f"{self._file.name}-shm"):
                        self._file.with_name(name).unlink(missing_ok=True)

    def get(self, digests: Sequence[str]) -> list[npt.NDArray[np.float32] | None]:
        """Return the features ``[D]`` of each image, by the sha256 of its content; None where they are not known."""
        keys = [self._key(digest) for digest in digests]
        found: dict[bytes, bytes] = {}
        today = int(time.time()) // _DAY
        with self._forgiving():
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                found.update(self._execute(f"SELECT image, row FROM features WHERE image IN ({marks})", some))
                older = f"UPDATE features SET used = ? WHERE image IN ({marks}) AND used < ?"
                self._execute(older, [today, *some, today])
        return [self._unpacked(found.get(key, b"")) for key in keys]

    @property
    def is_open(self) -> bool:
        """Whether anything is kept here."""
        return self._database is not None

    def count(self, digests: Sequence[str]) -> int:
        """Return of how many images features are known, of those whose content has these sha256."""
        keys, found = [self._key(digest) for digest in digests], 0
        with self._forgiving():
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = self._execute(f"SELECT COUNT(*) FROM features WHERE image IN ({marks})", some)
                found += rows[0][0] if rows else 0
        return found

    def put(self, digests: Sequence[str], features: npt.NDArray[np.float32]) -> None:
        """Store features ``[N, D]`` of images whose content has these sha256; rows that are not finite are left out."""
        if self._database is None:
            return
        today, rows = int(time.time()) // _DAY, np.ascontiguousarray(features, np.float32)
        values = [
            (self._key(digest), _packed(row.tobytes()), row.nbytes + _SUM, today)
            for digest, row in zip(digests, rows, strict=True)
            if digest and np.isfinite(row).all()
        ]
        with self._forgiving():
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO features VALUES (?,?,?,?)", values)
            self._make_room()

    def _make_room(self) -> None:
        """Remove the rows that were not used for the longest time, where all together exceed the limit."""
        total = self._execute("SELECT COALESCE(SUM(bytes), 0) FROM features", [])[0][0]
        if self._database is None or total <= self._limit:
            return
        gone: list[tuple[int]] = []
        for row, size in self._execute("SELECT rowid, bytes FROM features ORDER BY used", []):
            if total <= _KEPT * self._limit:
                break
            gone.append((row,))
            total -= size
        with self._database:
            self._database.executemany("DELETE FROM features WHERE rowid = ?", gone)

    def _unpacked(self, row: bytes) -> npt.NDArray[np.float32] | None:
        """Return features as they were put, or None where they are not there, damaged, or of another length."""
        content = row[:-_SUM]
        if len(content) != 4 * self._size or row != _packed(content):
            return None
        return np.frombuffer(content, np.float32)

    def _key(self, digest: str) -> bytes:
        return hashlib.blake2b(digest.encode(), digest_size=16, key=hashlib.sha256(self._salt).digest()).digest()

    def _execute(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._database is None:
            return []
        with self._database:
            return self._database.execute(query, values).fetchall()


def cached_features(
    rules: dict[str, Any],
    size: int,
    digests: Sequence[str],
    compute: Callable[[npt.NDArray[np.intp]], Computed],
    *,
    total: int = 0,
    done: int = 0,
    until: float = math.inf,
    keep: bool = True,
) -> Generator[Progressed, None, list[Features | None]]:
    """Return the features ``[D]`` of each image, from the cache, or computed and kept there; None where there are none.

    Args:
        rules: all that features depend on besides the image; JSON-able.
        size: D.
        digests: sha256 of the content of each image.
        compute: from positions of images to (positions, their features), some at a time.
        total, done: progress is counted from ``done`` to ``total``.
        until: by ``time.monotonic()``, when to stop; at least one part is computed.
        keep: whether what is computed is kept, and not only what is known looked up.
    """
    with _open_cache(rules, size) as cache:
        found = cache.get(digests)
        missing = np.array([place for place, row in enumerate(found) if row is None], np.intp)
        done += len(digests) - len(missing)
        yield Progressed(done, total, "images")
        waiting: list[int] = []
        try:
            for places, features in compute(missing) if len(missing) else ():
                for place, row in zip(places, features, strict=True):
                    found[place] = row
                    waiting.append(int(place))
                if keep and len(waiting) >= _KEPT_EVERY:
                    _keep(cache, digests, found, waiting)
                done += len(places)
                yield Progressed(done, total, "images")
                if time.monotonic() > until:
                    break
        finally:
            if keep:
                _keep(cache, digests, found, waiting)
    return found


def count_cached(rules: dict[str, Any], size: int, digests: Sequence[str]) -> int:
    """Return of how many images the features are in the cache.

    Args:
        rules, size, digests: as for ``cached_features``.
    """
    with _open_cache(rules, size) as cache:
        return cache.count(digests)


def keeps_features() -> bool:
    """Whether features are kept on this machine: there is room for them, and their file can be written."""
    with _open_cache({}, 0) as cache:
        return cache.is_open


def _open_cache(rules: dict[str, Any], size: int) -> FeatureCache:
    limit = round(_SHARE * cache_limit())
    return FeatureCache(cache_folder() / "features", json.dumps(rules, sort_keys=True), size, limit)


def _keep(cache: FeatureCache, digests: Sequence[str], found: list[Features | None], computed: list[int]) -> None:
    """Put the computed features into the cache, and forget which they were."""
    rows = [row for place in computed if (row := found[place]) is not None]
    if rows:
        cache.put([digests[place] for place in computed], np.stack(rows))
    computed.clear()
