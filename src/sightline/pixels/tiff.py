"""The directories of a TIFF file: how many there are, and whether the first one is plausible."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.errors import UnreadableImage
from sightline.pixels.parts import Parts

__all__ = ["tiff_parts"]

_MAX_COUNTED = 100_000  # directories; each is an image
_WIDTH, _HEIGHT, _COMPRESSION, _PROFILE = 256, 257, 259, 34675
_OFFSETS, _SIZES = (273, 324), (279, 325)  # of strips and of tiles
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
_JPEGS = (6, 7)
_LEAST_TILE = 16 * 16  # pixels; smaller ones are not valid
_SHARED = 16  # how often a byte may be part of strips: empty tiles of maps are often stored once
_FEW = 1_000


class _Layout(NamedTuple):
    """How numbers are stored: their byte order, and their widths in a BigTIFF or another one."""

    order: str
    is_big: bool

    @property
    def first(self) -> int:
        """Where the offset of the first directory is."""
        return 8 if self.is_big else 4

    @property
    def length(self) -> struct.Struct:
        """Number of entries of a directory."""
        return struct.Struct(self.order + ("Q" if self.is_big else "H"))

    @property
    def offset(self) -> struct.Struct:
        """Where something is in the file."""
        return struct.Struct(self.order + ("Q" if self.is_big else "I"))

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, count, and the value or its offset."""
        return struct.Struct(self.order + ("HHQ8s" if self.is_big else "HHI4s"))


def tiff_parts(data: bytes, label: str) -> Parts:
    """Return a TIFF as it is, with the number of its images.

    Raises:
        UnreadableImage: if the first directory lists more strips, data or scans than its image can have.
    """
    layout = _Layout(">" if data[:2] == b"MM" else "<", 43 in data[2:4])
    try:
        tags = _read_tags(data, layout)
    except struct.error:
        return Parts(data, frames=0)
    width, height = (_values(data, layout, tags, tag)[:1].sum() for tag in (_WIDTH, _HEIGHT))
    strips = max((tags[tag][1] for tag in _OFFSETS if tag in tags), default=0)
    if strips > _FEW + 4 * int(height) + int(width) * int(height) // _LEAST_TILE:
        raise UnreadableImage(label, f"damaged: a TIFF of {width}x{height} pixels in {strips:,} pieces")
    stored = sum(float(_values(data, layout, tags, tag).sum(dtype=np.float64)) for tag in _SIZES)
    if stored > _SHARED * len(data) + 2**26:
        raise UnreadableImage(label, f"damaged: a TIFF whose pieces have {stored:,.0f} bytes, more than the file")
    compression = _values(data, layout, tags, _COMPRESSION)[:1].sum()
    if compression in _JPEGS and data.count(b"\xff\xda") > _SHARED + 4 * strips:
        raise UnreadableImage(label, "a TIFF of progressive JPEGs with too many scans")
    return Parts(data, frames=_count_directories(data, layout), has_profile=_PROFILE in tags)


def _read_tags(data: bytes, layout: _Layout) -> dict[int, tuple[int, int, bytes]]:
    """Return tag -> (type, count, the value or its offset) of the first directory."""
    (start,) = layout.offset.unpack_from(data, layout.first)
    (count,) = layout.length.unpack_from(data, start)
    tags: dict[int, tuple[int, int, bytes]] = {}
    for number in range(min(count, 65_535)):
        at = start + layout.length.size + number * layout.entry.size
        if at + layout.entry.size > len(data):
            break
        tag, kind, length, value = layout.entry.unpack_from(data, at)
        tags.setdefault(tag, (kind, length, value))
    return tags


def _values(data: bytes, layout: _Layout, tags: dict[int, tuple[int, int, bytes]], tag: int) -> npt.NDArray[Any]:
    """Return the numbers of a tag; none where there is no such tag, or they are not in the file."""
    kind, count, value = tags.get(tag, (0, 0, b""))
    if kind not in _NUMBERS:
        return np.zeros(0, np.uint8)
    kind_of = np.dtype(layout.order + _NUMBERS[kind])
    size = kind_of.itemsize * count
    if size <= len(value):
        return np.frombuffer(value[:size], kind_of)
    (start,) = layout.offset.unpack(value)
    return np.frombuffer(data, kind_of, count, start) if start + size <= len(data) else np.zeros(0, kind_of)


def _count_directories(data: bytes, layout: _Layout) -> int:
    """Count the directories in their chain, up to ``_MAX_COUNTED``; one that leads back ends it."""
    seen: set[int] = set()
    try:
        (at,) = layout.offset.unpack_from(data, layout.first)
        while at and at not in seen and len(seen) < _MAX_COUNTED:
            seen.add(at)
            (count,) = layout.length.unpack_from(data, at)
            (at,) = layout.offset.unpack_from(data, at + layout.length.size + count * layout.entry.size)
    except (struct.error, OverflowError):  # it leads out of the file
        pass
    return max(1, len(seen))
