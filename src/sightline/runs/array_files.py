"""Arrays of a run, read back: a file is loaded only if it holds as many bytes as its header promises."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from sightline.text import one_line

__all__ = ["ArrayFileError", "read_array", "read_arrays"]

_MOST = 2 * 2**30  # bytes of the arrays of one .npz file, which a small compressed one can claim


class ArrayFileError(ValueError):
    """A file holds no array, or not the one that its header promises."""


def read_array(path: Path) -> npt.NDArray[Any]:
    """Return the array of an ``.npy`` file.

    Raises:
        ArrayFileError: if it is none, or its header promises more or less than the file holds.
        OSError: if it can't be read.
    """
    with path.open("rb") as file:
        return _read(file, path.stat().st_size)


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays of an ``.npz`` file by name; None where there is no file.

    Raises:
        ArrayFileError, zipfile.BadZipFile: as for :func:`read_array`, of any array in it.
        OSError: if it can't be read.
    """
    if not path.is_file():
        return None
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > _MOST:
            raise ArrayFileError(f"its arrays claim {total:,} bytes")
        arrays = {}
        for member in members:
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = _read(file, member.file_size)
        return arrays


def _read(file: IO[bytes], size: int) -> npt.NDArray[Any]:
    shape, dtype, start = _header(file)
    if dtype.hasobject:
        raise ArrayFileError("it holds objects, not numbers")
    promised = start + math.prod(shape) * dtype.itemsize
    if promised != size:
        raise ArrayFileError(f"its header promises {promised:,} bytes, and it has {size:,}")
    file.seek(0)
    array: npt.NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and length of a header; the length of its text is bounded by numpy itself."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, RecursionError, MemoryError, SyntaxError, TokenError, TypeError) as error:
        raise ArrayFileError(f"its header can't be read: {one_line(error)}") from error
    if any(side < 0 for side in shape):
        raise ArrayFileError(f"its header claims the shape {shape}")
    return shape, dtype, file.tell()
