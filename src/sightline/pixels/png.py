"""The chunks of a PNG file: which of them its pixels need, and whether their checksums are right."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from sightline.errors import UnreadableImage
from sightline.pixels.parts import Parts

__all__ = ["MAX_CHUNKS", "Chunk", "png_parts", "read_chunks"]

# libpng and Pillow write pixels in pieces of 8 KiB and more, so the largest accepted file has 32,768.
MAX_CHUNKS = 100_000
_MAX_TEXT = 2**20  # bytes of an unpacked text that Pillow accepts; an orientation needs a few hundred
_PLAIN = frozenset((b"IHDR", b"PLTE", b"tRNS"))  # all of them are needed, where they come before the pixels
_PIXELS = frozenset((b"IDAT", b"IEND"))
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_METADATA = (*_TEXTS, b"eXIf")
_ORIENTED = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # names of texts that may hold an orientation


class Chunk(NamedTuple):
    """A chunk of a PNG: its type, where it starts and ends in the file, and whether its checksum is right."""

    kind: bytes
    start: int
    end: int
    is_good: bool


def png_parts(data: bytes, label: str) -> Parts:
    """Return what the pixels of a PNG need: no colour profile, no text, no animation, and metadata first.

    Raises:
        UnreadableImage: if there are more than ``MAX_CHUNKS`` chunks.
    """
    chunks = read_chunks(data)
    if len(chunks) > MAX_CHUNKS:
        raise UnreadableImage(label, f"a PNG of more than {MAX_CHUNKS:,} chunks")
    kinds = [chunk.kind for chunk in chunks]
    first = kinds.index(b"IDAT") if b"IDAT" in kinds else len(kinds)
    remark = "" if all(chunk.is_good for chunk in chunks) else "checksum"
    if _PLAIN.issuperset(kinds[:first]) and _PIXELS.issuperset(kinds[first:]) and kinds[-1:] == [b"IEND"]:
        return Parts(data[: chunks[-1].end], remark=remark)
    pixels = [chunk for chunk in chunks[first:] if chunk.kind in _PIXELS]
    kept = [chunk for k, chunk in enumerate(chunks) if _is_needed(data, chunk, is_late=k > first)]
    # Of several orientations of one kind the last one counts.
    last = {_name(data, chunk): chunk for chunk in kept if chunk.kind in _METADATA}
    kept = [chunk for chunk in kept if chunk.kind not in _METADATA or last[_name(data, chunk)] is chunk] + pixels
    frames = 1
    if b"acTL" in kinds[:first]:
        start = chunks[kinds.index(b"acTL")].start
        frames = max(1, int.from_bytes(data[start + 8 : start + 12], "big")) + (b"fcTL" not in kinds[:first])
    return Parts(
        _joined(data, chunks, kept),
        frames=min(frames, 2**31 - 1),
        has_profile=b"iCCP" in kinds,
        remark=remark,
    )


def read_chunks(data: bytes) -> list[Chunk]:
    """Return the complete chunks of a PNG up to its end, ``MAX_CHUNKS`` and one at most; data after it are ignored."""
    chunks: list[Chunk] = []
    position, view = 8, memoryview(data)
    while position + 12 <= len(data) and len(chunks) <= MAX_CHUNKS:
        kind = data[position + 4 : position + 8]
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data) or not kind.isalpha():
            break  # truncated, or no PNG any more; decoding reports it where pixels are missing
        is_good = zlib.crc32(view[position + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        chunks.append(Chunk(kind, position, end + 4, is_good))
        if kind == b"IEND":
            break
        position = end + 4
    return chunks


def _is_needed(data: bytes, chunk: Chunk, *, is_late: bool) -> bool:
    """Tell whether a chunk other than the pixels' is needed: what describes them, or may hold an orientation."""
    if chunk.kind == b"eXIf":
        return chunk.is_good
    if chunk.kind in _TEXTS:
        body = data[chunk.start + 8 : chunk.end - 4]
        return chunk.is_good and body.startswith(_ORIENTED) and _is_short(chunk.kind, body)
    return not is_late and chunk.kind != b"IDAT" and (chunk.kind == b"tRNS" or chunk.kind[:1].isupper())


def _name(data: bytes, chunk: Chunk) -> bytes:
    """Return what metadata a chunk holds: its type, or the name of a text."""
    return data[chunk.start + 8 : chunk.start + 25] if chunk.kind in _TEXTS else chunk.kind


def _is_short(kind: bytes, body: bytes) -> bool:
    """Tell whether a text has a size that is accepted, packed and unpacked."""
    text = body.partition(b"\0")[2]
    if kind == b"iTXt" and text[:1] == b"\1":
        text = text[2:].split(b"\0", 2)[-1]
    elif kind == b"zTXt":
        text = text[1:]
    else:
        return len(text) <= _MAX_TEXT
    try:
        return len(text) <= _MAX_TEXT and len(zlib.decompressobj().decompress(text, _MAX_TEXT + 1)) <= _MAX_TEXT
    except zlib.error:
        return False


def _joined(data: bytes, chunks: list[Chunk], kept: list[Chunk]) -> bytes:
    """Return the file with some of its chunks; the same bytes where these are all of them, in their order."""
    if not chunks or (kept == chunks and chunks[-1].end == len(data)):
        return data
    view = memoryview(data)
    rest = data[chunks[-1].end :] if chunks[-1].kind != b"IEND" else b""
    return b"".join([data[:8], *(view[chunk.start : chunk.end] for chunk in kept), rest])
