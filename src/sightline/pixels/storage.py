"""The files of a store in the cache folder: complete or absent, verified by checksums, and within the size limit.

A store is a folder of three files: ``pixels.bin``, ``index.bin`` and ``store.json``, which has the checksums of
the other two and of itself. It is written under a temporary name and renamed when complete; it is removed in the same
way. So a killed process leaves no partial store, and two processes may write or remove the same one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.pixels.decode import RGB
from sightline.pixels.stream import run_ahead
from sightline.text import readable_bytes

__all__ = ["NoRoom", "StoreWriter", "Stored", "discard", "make_room", "read_store", "sweep"]

Index = npt.NDArray[np.int64]  # [n, 3]: offset, height, width; all zero where there are no pixels

_BLOCK = 4 * 2**20  # bytes of pixels under one checksum
_REPORT = 64  # blocks between two reports of progress; a small store is checked without one
_MARGIN = 2**30  # bytes of a disk that are left free; less on a small one
_STRAY_SECONDS = 3600  # a store that is being written changes more often than that


class NoRoom(Exception):  # noqa: N818  (not an error: images are then streamed)
    """The images exceed the limit of the cache; the text gives the numbers."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The contents of a store on the disk.

    Attributes:
        flat: all pixels, mapped, read-only.
        index: where each image is in them.
        errors: position -> reason, for images that have no pixels.
    """

    flat: npt.NDArray[np.uint8]
    index: Index
    errors: dict[int, str]


def read_store(target: Path, threads: int) -> Generator[int, None, Stored | None]:
    """Open a complete store; returns None for anything else, which must be filled again.

    Every byte is read and compared with its checksum, at the speed of the disk. A generator: yields how many
    images are checked, now and then.
    """
    found = _read_index(target)
    if found is None:
        return None
    facts, index = found
    blocks = range(-(-facts["bytes"] // _BLOCK))
    with contextlib.closing(run_ahead(lambda k: _block_sum(target, k), blocks, threads, 4 * threads)) as sums:
        for block, (expected, actual) in enumerate(zip(facts["sums"], sums, strict=True), 1):
            if expected != actual:
                return None
            if block % _REPORT == 0:
                yield len(index) * block // len(blocks)
    try:
        flat = np.memmap(target / "pixels.bin", np.uint8, "r") if blocks else np.empty(0, np.uint8)
    except (OSError, ValueError):  # removed or truncated since
        return None
    if flat.size != facts["bytes"]:
        return None
    with contextlib.suppress(OSError):  # another user's cache may be read-only
        os.utime(target / "store.json")  # the sweep removes the least recently used stores
    return Stored(flat, index, {int(position): str(reason) for position, reason in facts["errors"].items()})


def _read_index(target: Path) -> tuple[dict[str, Any], Index] | None:
    """Return (facts, index) if they match their checksums and each other."""
    try:
        facts = json.loads((target / "store.json").read_bytes())
        if facts.pop("check") != _check(facts):
            return None
        if (target / "pixels.bin").stat().st_size != facts["bytes"]:
            return None
        data = (target / "index.bin").read_bytes()
        if zlib.crc32(data) != facts["index"]:
            return None
        return facts, np.frombuffer(data, "<i8").reshape(facts["count"], 3)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _check(facts: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _block_sum(target: Path, block: int) -> int:
    """Return the checksum of one block as it is on the disk, -1 where it can't be read.

    It is read without the memory map, through which a bad sector would crash the process.
    """
    try:
        with (target / "pixels.bin").open("rb", buffering=0) as file:
            file.seek(block * _BLOCK)
            return zlib.crc32(file.read(_BLOCK))
    except OSError:
        return -1


class StoreWriter:
    """Writes a store; leaving its ``with`` block without ``commit`` leaves nothing on the disk.

    Raises:
        NoRoom: when more than ``most`` bytes are written.
        OSError: when the disk is full or can't be written.
    """

    def __init__(self, target: Path, most: int) -> None:
        self._target = target
        self._most = most
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.tmp-", dir=target.parent))
        self._file = (self._scratch / "pixels.bin").open("wb")
        self._sums: list[int] = []
        self._sum = self._size = 0

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # closing flushes the rest, and the disk may be full
            self._file.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def write(self, image: RGB) -> int:
        """Append an image; returns where it starts."""
        start = self._size
        if start + image.size > self._most:
            reason = f"the images need more than the {readable_bytes(self._most)} available to the cache"
            raise NoRoom(reason)
        rest = np.ascontiguousarray(image).data.cast("B")
        self._file.write(rest)
        while rest:
            part = rest[: _BLOCK - self._size % _BLOCK]
            self._sum = zlib.crc32(part, self._sum)
            self._size += len(part)
            rest = rest[len(part) :]
            if self._size % _BLOCK == 0:
                self._sums.append(self._sum)
                self._sum = 0
        return start

    def commit(self, index: Index, errors: dict[int, str]) -> None:
        """Write everything to the disk, then rename the store to its final name."""
        data = index.astype("<i8").tobytes()
        sums = [*self._sums, self._sum] if self._size % _BLOCK else self._sums
        facts: dict[str, Any] = {
            "bytes": self._size,
            "count": len(index),
            "errors": {str(position): reason for position, reason in errors.items()},
            "index": zlib.crc32(data),
            "sums": sums,
        }
        facts["check"] = _check(facts)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        for name, content in (("index.bin", data), ("store.json", json.dumps(facts).encode())):
            with (self._scratch / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            self._scratch.rename(self._target)
        except OSError:
            if _read_index(self._target) is not None:
                return  # another process was faster; both have the same content
            discard(self._target)
            self._scratch.rename(self._target)


def make_room(folder: Path, needed: int, limit: int) -> int:
    """Remove the least recently used stores until ``needed`` bytes fit; returns how many may be written.

    Args:
        folder: folder of the stores.
        needed: bytes that will be written; 0 if not known.
        limit: most bytes of all stores together.

    Raises:
        NoRoom: if it does not fit even then; nothing is removed in that case.
    """
    if needed > limit:
        reason = f"the images need about {readable_bytes(needed)}, but the cache is limited to {readable_bytes(limit)}"
        raise NoRoom(reason)
    _sweep_strays(folder)
    margin = min(_MARGIN, shutil.disk_usage(folder).total // 20)
    room = shutil.disk_usage(folder).free - margin
    stores = _stores(folder)
    if needed > room + sum(size for _, size in stores):
        reason = f"the images need about {readable_bytes(needed)}, but {folder} has only {readable_bytes(room)} free"
        raise NoRoom(reason)
    if needed:
        sweep(folder, limit - needed)
    for store, _ in _stores(folder):
        if needed <= room:
            break
        discard(store)
        room = shutil.disk_usage(folder).free - margin
    return max(0, min(limit, room))


def sweep(folder: Path, limit: int, *, keep: Path | None = None) -> None:
    """Remove the least recently used stores until the rest fits the limit.

    A process that has one of them open can still read it (POSIX), or prevents its removal (Windows).
    """
    stores = _stores(folder)
    total = sum(size for _, size in stores)
    for store, size in stores:
        if total <= limit:
            break
        if store != keep and discard(store):
            total -= size


def discard(store: Path) -> bool:
    """Remove a store, renamed first so that no process finds half of it; tells whether it was removed."""
    try:
        trash = Path(tempfile.mkdtemp(prefix=f"{store.name}.tmp-", dir=store.parent))
    except OSError:
        return False
    try:
        store.rename(trash / store.name)
    except OSError:  # not there, or open on Windows
        return False
    finally:
        shutil.rmtree(trash, ignore_errors=True)
    return True


def _stores(folder: Path) -> Sequence[tuple[Path, int]]:
    """Return (store, bytes of its pixels), least recently used first."""
    found = []
    for facts in folder.glob("*/store.json"):
        with contextlib.suppress(OSError):  # another process may be removing it
            size = (facts.parent / "pixels.bin").stat().st_size
            if ".tmp-" not in facts.parent.name:
                found.append((facts.stat().st_mtime, facts.parent, size))
    return [(store, size) for _, store, size in sorted(found)]


def _sweep_strays(folder: Path) -> None:
    """Remove files that killed processes left, once no process can still be writing them."""
    for stray in folder.glob("*.tmp-*"):
        with contextlib.suppress(OSError):
            newest = max(file.stat().st_mtime for file in (stray, *stray.rglob("*")))
            if time.time() - newest > _STRAY_SECONDS:
                shutil.rmtree(stray, ignore_errors=True)
