"""Compressed tars: unpacked once, as one plain tar, into the user's cache folder.

A member can't be read without unpacking everything before it. The plain tar is keyed by the path, size and time of the
user's file, and made again when it is gone.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import tempfile
import time
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

from sightline.caches import cache_folder
from sightline.errors import DataError
from sightline.steps import result_of

__all__ = ["MAX_UNPACKED_BYTES", "unpack_tar", "unpacked_tar"]

MAX_UNPACKED_BYTES = 200 * 2**30
MAX_RATIO = 200  # of the whole; photos are compressed already, and shrink at most to half
_FREE_OF_RATIO = 64 * 2**20  # no ratio is enforced below this size, since drawings can compress very well
_KEPT_BYTES = 100 * 2**30
_IN_USE_SECONDS = 24 * 3600
_PIECE = 2**20
_CURE = "unpack it yourself if you trust it, and give the folder"
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))


def unpacked_tar(path: Path) -> Path:
    """Return a plain tar of the same members: the file itself, or the one unpacked from it.

    Raises:
        DataError: if it is damaged, beyond a limit, or there is no room for it.
    """
    return result_of(unpack_tar(path))


def unpack_tar(path: Path) -> Generator[tuple[int, int], None, Path]:
    """Unpack a compressed tar unless that was done before; yields (bytes read, bytes to read), returns the plain tar.

    Raises:
        DataError: as for :func:`unpacked_tar`.
    """
    if not is_compressed(path):
        return path
    status = path.stat()
    key = f"{path.absolute()}\n{status.st_size}\n{status.st_mtime_ns}"
    folder = cache_folder() / "archives"
    target = folder / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.tar"
    if target.is_file():
        with contextlib.suppress(OSError):  # marks it as used, for _sweep; the modification time must not change
            os.utime(target, ns=(time.time_ns(), target.stat().st_mtime_ns))
        return target
    scratch = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(prefix=f"{target.name}.tmp-", dir=folder)
        with os.fdopen(descriptor, "wb") as out:
            for piece, done in _pieces(path, status.st_size):
                out.write(piece)
                yield done, status.st_size
        Path(scratch).replace(target)
    except OSError as error:
        raise DataError(
            "data.unpack",
            f"{path} can't be unpacked into {folder}: {error.strerror or error}",
            "free some space, or set SIGHTLINE_CACHE to a folder with more; or unpack it and give the folder",
        ) from error
    finally:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
    _sweep(folder, keep=target)
    return target


def is_compressed(path: Path) -> bool:
    """Tell by its first bytes whether a file is compressed as a whole."""
    with path.open("rb") as file:
        start = file.read(6)
    return any(start.startswith(signature) for signature, _ in _OPENERS)


def _pieces(path: Path, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield (unpacked bytes, bytes read so far); a damaged file is a DataError."""
    total = 0
    limit = min(MAX_UNPACKED_BYTES, max(_FREE_OF_RATIO, MAX_RATIO * size))
    with path.open("rb") as packed:
        start = packed.read(6)
        packed.seek(0)
        opener = next(opener for signature, opener in _OPENERS if start.startswith(signature))
        try:
            with opener(packed, "rb") as stream:
                while piece := _read(stream):
                    total += len(piece)
                    if total > limit:
                        raise DataError("data.archive", f"{path} unpacks to more than {limit:,} bytes", _CURE)
                    yield piece, packed.tell()
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, _Damaged) as error:
            text = f"{path} is damaged or truncated: {error}"
            raise DataError("data.archive", text, "download or pack it again") from error


class _Damaged(Exception):  # noqa: N818
    """bz2 raises OSError for damage, as a failing disk does; this distinguishes them."""


def _read(stream: gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile) -> bytes:
    try:
        return stream.read(_PIECE)
    except OSError as error:
        if error.errno is None:
            raise _Damaged(str(error)) from error
        raise


def _sweep(folder: Path, keep: Path) -> None:
    """Remove files of killed processes, and beyond the limit the least recently used tars.

    A tar used within a day may still be in use, so the limit may be exceeded for a day.
    """
    with contextlib.suppress(OSError):
        old = time.time() - _IN_USE_SECONDS
        for path in folder.glob("*.tmp-*"):
            if path.stat().st_mtime < old:
                path.unlink()
        tars = sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_atime)
        total = sum(path.stat().st_size for path in tars)
        for path in tars:
            if total > _KEPT_BYTES and path != keep and path.stat().st_atime < old:
                total -= path.stat().st_size
                path.unlink()
