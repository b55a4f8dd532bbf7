"""The chunks of a PNG file: whether their checksums are right, and whether metadata come after the pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

__all__ = ["Chunk", "has_late_metadata", "read_chunks"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a PNG: its type, the first bytes of its body, and whether its checksum is right."""

    kind: bytes
    start: bytes
    is_good: bool


def read_chunks(data: bytes) -> list[Chunk]:
    """Return the complete chunks of a PNG up to its end; data after it are ignored."""
    chunks: list[Chunk] = []
    position, view = 8, memoryview(data)
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            break  # truncated; decoding reports it where pixels are missing
        is_good = zlib.crc32(view[position + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        chunks.append(
            Chunk(data[position + 4 : position + 8], bytes(view[position + 8 : min(end, position + 32)]), is_good)
        )
        if chunks[-1].kind == b"IEND":
            break
        position = end + 4
    return chunks


def has_late_metadata(chunks: list[Chunk]) -> bool:
    """Tell whether a PNG has metadata with an orientation after its pixels: EXIF, XMP, or EXIF as text."""
    kinds = [chunk.kind for chunk in chunks]
    late = chunks[kinds.index(b"IDAT") :] if b"IDAT" in kinds else []
    names = (b"XML:com.adobe.xmp", b"Raw profile type")
    return any(chunk.kind == b"eXIf" or chunk.start.startswith(names) for chunk in late)
