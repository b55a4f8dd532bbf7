"""PPM, PGM and PBM files: those that Pillow reads number by number are rewritten as it reads them at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sightline.pixels.parts import Parts

__all__ = ["ppm_parts"]

# Possessive: long blanks and comments are passed once, and nothing is tried again.
_BLANK = rb"(?:[ \t\n\v\f\r]++|#[^\r\n]*+[\r\n])++"
_HEAD = re.compile(rb"P([1-6])(?=[ \t\n\v\f\r])" + 2 * (_BLANK + rb"([0-9]{1,10}+)"))
_MAXIMUM = re.compile(_BLANK + rb"([0-9]{1,10}+)")
_COMMENT = re.compile(rb"#[^\r\n]*+[\r\n]?")
_SPACES = b" \t\n\v\f\r"
_NUMBERS = re.compile(rb"[0-9 \t\n\v\f\r]*+")
_BLOCK = 2**22
_PIECE = 2**20
_LONGEST = 10  # digits


def ppm_parts(data: bytes, limit: int) -> Parts:
    """Return a file of binary numbers whose white is 255 or 65,535, with a short header and the same pixels.

    What is not understood is returned as it is: Pillow says what is wrong with it.

    Args:
        data: the file.
        limit: of pixels; a larger one is refused by its header later.
    """
    head = _HEAD.match(data)
    if head is None or int(head[2]) * int(head[3]) > limit:
        return Parts(data)
    kind, width, height, end = int(head[1]), int(head[2]), int(head[3]), head.end()
    maximum = 0
    if kind not in (1, 4):
        found = _MAXIMUM.match(data, end)
        if found is None or not 0 < int(found[1]) < 65_536:
            return Parts(data)
        maximum, end = int(found[1]), found.end()
    if data[end : end + 1] not in {bytes([space]) for space in _SPACES}:
        return Parts(data, maximum=maximum)
    size = b"%d %d\n" % (width, height)
    if kind == 1:
        bits = _plain_bits(data[end + 1 :], width, height)
        return Parts(data if bits is None else b"P4\n" + size + bits)
    count = width * height * (3 if kind in (3, 6) else 1)
    if kind in (2, 3):
        values = _plain_values(data, end + 1, count, maximum)
    elif maximum == 255 or (kind == 5 and maximum == 65_535):
        rest = b"P%d\n%s%d\n" % (kind, size, maximum) + data[end + 1 :] if end > _BLOCK // 64 else data
        return Parts(rest, maximum=maximum)
    elif kind == 4:
        return Parts(b"P4\n" + size + data[end + 1 :] if end > _BLOCK // 64 else data)
    else:
        stored = np.dtype("u1" if maximum < 256 else ">u2")
        values = np.frombuffer(data, stored, min(count, (len(data) - end - 1) // stored.itemsize), end + 1)
    if values is None:
        return Parts(data, maximum=maximum)
    is_wide = kind in (2, 5) and maximum > 255
    white = 65_535 if is_wide else 255
    body = _stretched(values, maximum, white)
    return Parts(b"P%d\n%s%d\n" % (5 if kind in (2, 5) else 6, size, white) + body, maximum=maximum)


def _stretched(values: npt.NDArray[np.unsignedinteger], maximum: int, white: int) -> bytes:
    """Return numbers from 0 to ``maximum`` as ones from 0 to ``white``, rounded as Pillow does."""
    table = np.rint(np.arange(maximum + 1) / maximum * white).astype("u1" if white == 255 else ">u2")
    return b"".join(
        table[np.minimum(values[start : start + _BLOCK], maximum)].tobytes() for start in range(0, len(values), _BLOCK)
    )


def _plain_values(data: bytes, start: int, count: int, maximum: int) -> npt.NDArray[np.unsignedinteger] | None:
    """Return the first numbers of a text; None where one is not valid."""
    blocks, found = [], 0
    for block in _blocks(data, start):
        if block is None or not _NUMBERS.fullmatch(block):
            return None
        values = np.fromstring(block, np.int64, sep=" ") if block.strip() else np.zeros(0, np.int64)
        if values.max(initial=0) > maximum:
            return None
        blocks.append(values.astype(np.uint8 if maximum < 256 else np.uint16))
        found += len(values)
        if found >= count:
            break
    return np.concatenate(blocks)[:count] if blocks else np.zeros(0, np.uint8)


def _blocks(data: bytes, start: int) -> Iterator[bytes | None]:
    """Yield a text without its comments in blocks that end between two numbers; None for a number that is too long."""
    text = b"".join(_without_comments(data, start)) if data.find(b"#", start) >= 0 else data
    position = 0 if text is not data else start
    while position < len(text):
        end = min(position + _BLOCK, len(text))
        while end < len(text) and text[end] not in _SPACES:
            end += 1
            if end > position + _BLOCK + _LONGEST:
                yield None
                return
        yield text[position:end]
        position = end


def _without_comments(data: bytes, start: int) -> Iterator[bytes]:
    """Yield a text without its comments, in pieces that end with a line: each comment costs memory for a moment."""
    while start < len(data):
        ends = [end for end in (data.find(b"\n", start + _PIECE), data.find(b"\r", start + _PIECE)) if end >= 0]
        end = min(ends) + 1 if ends else len(data)
        yield _COMMENT.sub(b"", data[start:end])
        start = end


def _plain_bits(text: bytes, width: int, height: int) -> bytes | None:
    """Return rows of packed bits from digits 0 and 1; None where there are others, or too few."""
    digits = b"".join(_without_comments(text, 0)).translate(None, _SPACES)[: width * height]
    if len(digits) < width * height or digits.translate(None, b"01"):
        return None
    return np.packbits(np.frombuffer(digits, np.uint8).reshape(height, width) == ord("1"), axis=1).tobytes()
