"""Rows of raw pixels in one file: numpy arrays, and the binary version of CIFAR.

A row is returned as a PPM or PGM, a line of text and the raw pixels, so that the usual decoder can read it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.errors import DataError, UnreadableImage

__all__ = ["Rows", "open_array", "open_cifar", "record_bytes"]

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True, slots=True)
class Rows:
    """The positions of the rows in a file.

    Attributes:
        path: the file.
        stamp: its size and time when it was opened.
        first: bytes before the first row's pixels.
        step: bytes from one row to the next.
        count: rows.
        shape: height, width, channels (1 or 3).
        planar: whether all red comes first, then all green, then all blue.
    """

    path: Path
    stamp: tuple[int, int]
    first: int
    step: int
    count: int
    shape: tuple[int, int, int]
    planar: bool = False

    def __len__(self) -> int:
        return self.count

    def read(self, name: str) -> bytes:
        """Return a row, by its number from 0, as the bytes of a PPM or PGM.

        Raises:
            UnreadableImage: if there is no such row.
        """
        height, width, channels = self.shape
        row = int(name) if name.isascii() and name.isdigit() else self.count
        if row >= self.count:
            raise UnreadableImage(name, f"no such row; the file has {self.count:,} rows")
        with self.path.open("rb") as file:
            if _stamp(file.fileno()) != self.stamp:
                raise UnreadableImage(name, "the file changed while it was used")
            file.seek(self.first + row * self.step)
            data = file.read(height * width * channels)
        if len(data) != height * width * channels:
            raise UnreadableImage(name, "the file is truncated")
        if self.planar:
            data = np.frombuffer(data, np.uint8).reshape(channels, height, width).transpose(1, 2, 0).tobytes()
        return f"P{6 if channels == 3 else 5} {width} {height} 255\n".encode() + data


def record_bytes(size: int) -> int:
    """Return the record size of a CIFAR file of ``size`` bytes: one label or two, then the pixels; 0 if neither fits.

    Example:
        >>> record_bytes(10_000 * 3_073), record_bytes(50_000 * 3_074), record_bytes(100)
        (3073, 3074, 0)
    """
    return next((record for record in (_PIXELS + 1, _PIXELS + 2) if size and size % record == 0), 0)


def open_cifar(path: Path) -> Rows:
    """Open a file of the binary version of CIFAR-10 or CIFAR-100.

    Raises:
        DataError: if its size is not that of such a file.
    """
    with path.open("rb") as file:
        stamp = _stamp(file.fileno())
    record = record_bytes(stamp[0])
    if not record:
        raise DataError("data.array", f"{path} is not a file of CIFAR's binary version, by its size", _CIFAR_CURE)
    return Rows(path, stamp, record - _PIXELS, record, stamp[0] // record, (32, 32, 3), planar=True)


def open_array(path: Path) -> Rows:
    """Open a ``.npy`` of images: ``uint8``, ``[N, H, W]`` or ``[N, H, W, 3]``, rows after one another.

    Raises:
        DataError: if it is not such a file.
    """
    with path.open("rb") as file:
        stamp = _stamp(file.fileno())
        try:
            version = np.lib.format.read_magic(file)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, is_fortran, dtype = header(file)
        except (ValueError, KeyError, EOFError, OSError) as error:
            raise DataError("data.array", f"{path} is not a numpy file: {error}", _ARRAY_CURE) from error
        first = file.tell()
    channels = shape[3] if len(shape) == 4 else 1
    if dtype != np.uint8 or is_fortran or len(shape) not in (3, 4) or channels not in (1, 3) or 0 in shape:
        text = f"{path} is {dtype} of shape {list(shape)}; it must be uint8 [N, H, W] or [N, H, W, 3]"
        raise DataError("data.array", text, _ARRAY_CURE)
    step = shape[1] * shape[2] * channels
    if first + step * shape[0] > stamp[0]:
        raise DataError("data.array", f"{path} is truncated", _ARRAY_CURE)
    return Rows(path, stamp, first, step, shape[0], (shape[1], shape[2], channels))


def _stamp(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


_CIFAR_CURE = "unpack cifar-10-binary.tar.gz or cifar-100-binary.tar.gz again, and give the folder"
_ARRAY_CURE = "save the images with numpy.save as uint8, [N, H, W] or [N, H, W, 3]"
