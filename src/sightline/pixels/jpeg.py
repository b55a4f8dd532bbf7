"""The segments of a JPEG file: which of them its pixels need, how many scans it has, and whether its data end early."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.errors import UnreadableImage
from sightline.pixels.parts import Parts

__all__ = ["MAX_SEGMENTS", "jpeg_parts"]

# A segment has 64 KiB at most, so the largest accepted file has 4,096 full ones.
MAX_SEGMENTS = 10_000
# After ff, these begin no segment: RST (d0 to d7) and TEM (01) have no length; ff00 and ffff are data.
_BEGINS = tuple(number not in (0, 1, *range(0xD0, 0xD8), 0xFF) for number in range(256))
_TABLE: npt.NDArray[np.bool_] = np.array(_BEGINS)
_FILL = re.compile(rb"\xff{2,}+")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMENT = 0xFE
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
    segments: list[_Segment] = []
    for segment in _segments(data):
        if len(segments) >= MAX_SEGMENTS:
            raise UnreadableImage(label, f"a JPEG of more than {MAX_SEGMENTS:,} segments")
        segments.append(segment)
    scans = [segment for segment in segments if segment.marker == _SCAN]
    header = [segment for segment in segments if not scans or segment.start < scans[0].start]
    frame = next((segment for segment in header if segment.marker in _FRAMES), None)
    remark = _progress(data, label, frame, scans) if frame and scans and frame.marker == 0xC2 else ""
    pieces, metadata = [data[:2]], 0
    ends = [segment.start for segment in segments[1:]] + [len(data)]
    for segment, end in zip(segments, ends, strict=True):
        is_metadata = segment.marker == 0xE1 and _is_needed(data, segment)
        metadata += is_metadata
        if _is_needed(data, segment) and not (is_metadata and metadata > _MAX_METADATA):
            pieces.append(data[segment.start : segment.end])
        if segment.marker == _SCAN:
            pieces.append(_without_fill(data[segment.end : end]))
            if frame and end < len(data) and _has_one_scan(data, frame, scans):
                pieces.append(_PADDING)
                break
    return Parts(b"".join(pieces), has_profile=_has_profile(data, header), remark=remark, scans=len(scans))


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end of the image; data after it are ignored."""
    found, known = np.zeros(0, np.intp), (0, 0)  # markers, and the bytes that were searched for them
    position = 2
    while position < len(data) - 1:
        if data[position] != 0xFF or not _BEGINS[data[position + 1]]:  # a scan's pixels, or what is no part of a JPEG
            if not known[0] <= position < known[1]:
                found, known = _markers(data, position), (position, position + _BLOCK)
            row = int(np.searchsorted(found, position))
            position = int(found[row]) if row < len(found) else known[1]
            continue
        start, marker = position, data[position + 1]
        body = start + 2
        has_length = marker not in (_START, _END)
        position = body + (int.from_bytes(data[body : body + 2], "big") if has_length else 0)
        yield _Segment(marker, start, body + 2 * has_length, position)
        if marker == _END:
            return


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
    start = data[segment.body : segment.body + 29]
    if segment.marker == 0xE1:
        return start.startswith((b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")) and segment.end <= len(data)
    if segment.marker in (0xE0, 0xEE):
        return start.startswith((b"JFIF", b"Adobe"))
    return segment.marker != _COMMENT and not 0xE0 <= segment.marker <= 0xEF


def _has_profile(data: bytes, header: list[_Segment]) -> bool:
    starts = [data[one.body : one.body + 14] for one in header if one.marker == 0xE2]
    profile = [start for start in starts if start.startswith(b"ICC_PROFILE\0")]
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
