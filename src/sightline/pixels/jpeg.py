"""The segments of a JPEG file: which of them its pixels need, how many scans it has, and whether its data end early."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.errors import UnreadableImage
from sightline.pixels.parts import Parts

__all__ = ["MAX_SEGMENTS", "jpeg_parts"]

# A segment has 64 KiB at most, so the largest accepted file has 4,096 full ones.
MAX_SEGMENTS = 10_000
# After ff, these begin no segment: RST (d0 to d7) and TEM (01) have no length; ff00 and ffff are data. The same twice,
# since numpy is slow to begin, and an expression slow in a large file.
_BEGINS = tuple(number not in (0, 1, *range(0xD0, 0xD8), 0xFF) for number in range(256))
_TABLE: npt.NDArray[np.bool_] = np.array(_BEGINS)
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_FILL = re.compile(rb"\xff{2,}+")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_NONE: npt.NDArray[np.intp] = np.zeros(0, np.intp)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMENT = 0xFE
_MANY = 64  # segments; small files have about ten
_PLAIN = frozenset((0xC4, 0xDB, 0xDD))  # tables and the interval of restarts
_UNSENT = 99
_MAX_METADATA = 16  # segments, of 64 KiB each, in which an orientation is looked for
_BLOCK = 2**20  # bytes that are searched for markers at once
# What libjpeg reads ahead of the last pixel: with the end marker there, it would fill missing pixels with grey.
_PADDING = bytes(8)


class _Segment(NamedTuple):
    marker: int
    start: int  # of its marker
    body: int  # of its content
    end: int


def jpeg_parts(data: bytes, label: str) -> Parts:
    """Return what the pixels of a JPEG need: no comments, no colour profile, none of the makers' notes.

    Raises:
        UnreadableImage: if there are too many segments, or it ends before all of its pixels are there.
    """
    return _plain_parts(data) or _sifted_parts(data, label)


def _sifted_parts(data: bytes, label: str) -> Parts:
    segments = list(islice(_segments(data), MAX_SEGMENTS + 1))
    if len(segments) > MAX_SEGMENTS:
        raise UnreadableImage(label, f"a JPEG of more than {MAX_SEGMENTS:,} segments")
    scans = [segment for segment in segments if segment.marker == _SCAN]
    header = segments[: segments.index(scans[0])] if scans else segments
    frames = [segment for segment in header if segment.marker in _FRAMES]
    frame = frames[0] if frames else None
    remark = _progress(data, label, frame, scans) if frame and scans and frame.marker == 0xC2 else ""
    pieces, metadata = [data[:2]], 0
    for number, segment in enumerate(segments, 1):
        is_needed = _is_needed(data, segment)
        metadata += is_needed and segment.marker == 0xE1
        if is_needed and not (segment.marker == 0xE1 and metadata > _MAX_METADATA):
            pieces.append(data[segment.start : segment.end])
        if segment.marker == _SCAN:
            end = segments[number].start if number < len(segments) else len(data)
            pieces.append(_without_fill(data[segment.end : end]))
            if frame and end < len(data) and _has_one_scan(data, frame, scans):
                pieces.append(_PADDING)
                break
    return Parts(b"".join(pieces), has_profile=_has_profile(data, header), remark=remark, scans=len(scans))


def _plain_parts(data: bytes) -> Parts | None:
    """Return the parts of a small JPEG of one scan that has nothing else, as most small ones are; None of all others.

    It is what ``_sifted_parts`` returns, in a quarter of the time.
    """
    if len(data) > _BLOCK or not data.endswith(b"\xff\xd9") or b"\xff\xff" in data:
        return None
    position, components = 2, b""
    for _ in range(_MANY):
        if position >= len(data) - 1 or data[position] != 0xFF:
            return None
        marker, end = data[position + 1], position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _SCAN:
            next_marker = _MARKER.search(data, end)
            has_one_scan = next_marker is not None and next_marker.start() == len(data) - 2
            is_plain = has_one_scan and components and data[position + 4 : position + 5] == components
            return Parts(data[:-2] + _PADDING, scans=1) if is_plain else None
        if marker in (0xC0, 0xC1) and not components:
            components = data[position + 9 : position + 10]
        elif marker not in _PLAIN and not (marker == 0xE0 and data.startswith(b"JFIF", position + 4)):
            return None
        position = end
    return None


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end of the image; data after it are ignored."""
    found, known = _NONE, (0, 0)  # markers, and the bytes that were searched for them
    position = 2
    while position < len(data) - 1:
        if data[position] != 0xFF or not _BEGINS[data[position + 1]]:  # a scan's pixels, or what is no part of a JPEG
            if len(data) <= _BLOCK:
                near = _MARKER.search(data, position)
                position = near.start() if near else len(data)
                continue
            if not known[0] <= position < known[1]:
                found, known = _markers(data, position), (position, position + _BLOCK)
            row = int(np.searchsorted(found, position))
            position = int(found[row]) if row < len(found) else known[1]
            continue
        start, marker = position, data[position + 1]
        if marker in (_START, _END):
            position = start + 2
            yield _Segment(marker, start, position, position)
            if marker == _END:
                return
            continue
        position = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        yield _Segment(marker, start, start + 4, position)


def _markers(data: bytes, start: int) -> npt.NDArray[np.intp]:
    """Return where markers are, of those that begin in a block: all at once, a file of them would fill the memory."""
    values = np.frombuffer(data, np.uint8, min(_BLOCK + 1, len(data) - start), start)
    found = np.flatnonzero(values[:-1] == 0xFF)
    return np.compress(_TABLE[values[found + 1]], found) + start


def _without_fill(coded: bytes) -> bytes:
    """Return the pixels of a scan without fill bytes, of which Pillow would read a long row again and again."""
    coded = coded.rstrip(b"\xff")
    return _FILL.sub(b"\xff", coded) if b"\xff" * 64 in coded else coded


def _is_needed(data: bytes, segment: _Segment) -> bool:
    """Tell whether the pixels need a segment: all but comments and what applications add."""
    if segment.marker < 0xE0:
        return True
    if segment.marker == 0xE1:
        names = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
        return data.startswith(names, segment.body) and segment.end <= len(data)
    if segment.marker in (0xE0, 0xEE):
        return data.startswith((b"JFIF", b"Adobe"), segment.body)
    return segment.marker != _COMMENT and segment.marker > 0xEF


def _has_profile(data: bytes, header: list[_Segment]) -> bool:
    profiles = [one.body for one in header if one.marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", one.body)]
    profile = [data[start : start + 14] for start in profiles]
    return bool(profile) and min(profile)[13] == len(profile)


def _has_one_scan(data: bytes, frame: _Segment, scans: list[_Segment]) -> bool:
    """Tell whether a frame coded by Huffman tables has one scan with all of its colours, as nearly all JPEGs have."""
    count = data[frame.body + 5 : frame.body + 6]
    return frame.marker in (0xC0, 0xC1) and len(scans) == 1 and data[scans[0].body : scans[0].body + 1] == count


def _progress(data: bytes, label: str, frame: _Segment, scans: list[_Segment]) -> str:
    """Return the remark on a progressive JPEG whose last scans are missing, or an empty string.

    Raises:
        UnreadableImage: if some coefficients are in no scan at all.
    """
    components = data[frame.body + 6 : frame.end : 3]
    missing = {number: [_UNSENT] * 64 for number in components}  # how many low bits of each coefficient are missing
    for scan in scans:
        count = (data[scan.body : scan.body + 1] or b"\0")[0]
        tail = data[scan.body + 1 + 2 * count : scan.body + 4 + 2 * count]
        if len(tail) == 3:
            for number in data[scan.body + 1 : scan.body + 1 + 2 * count : 2]:
                for coefficient in range(tail[0], min(tail[1], 63) + 1):
                    missing.get(number, [0] * 64)[coefficient] = tail[2] & 15
    worst = max((max(bits) for bits in missing.values()), default=0)
    if worst == _UNSENT:
        raise UnreadableImage(label, "damaged: a truncated progressive JPEG, whose last scans are missing")
    return "cut-short" if worst else ""
