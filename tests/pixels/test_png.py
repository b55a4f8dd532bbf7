"""Which chunks of a PNG cost something, and that none that is not needed costs the pixels."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from corpus import NOISE, chunk, encode, oriented
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header
from sightline.pixels.png import MAX_CHUNKS, png_parts, read_chunks

PNG = encode(NOISE)
HEAD, REST = PNG[:33], PNG[33:]
EXIF = chunk(b"eXIf", oriented(6).tobytes()[6:])
XMP = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(30_000_000))),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(np.random.default_rng(0).bytes(3_000_000), 0)),
        chunk(b"zTXt", b"k\0\0" + zlib.compress(b"A" * 8_000_000)),
        chunk(b"tEXt", b"k\0" + b"A" * 8_000_000),
        chunk(b"iTXt", b"k\0\0\0\0\0" + b"A" * 8_000_000),
        b"".join(chunk(b"zTXt", b"k%d\0\0" % k + zlib.compress(b"A" * 900_000)) for k in range(80)),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"A" * 3_000_000)),
        chunk(b"prVt", b"") * 1_000,
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 900_000) * 80,
        chunk(b"tEXt", b"k\0text", good=False),
    ],
    ids=[
        "profile-bomb",
        "profile",
        "ztxt",
        "text",
        "itxt",
        "many-texts",
        "raw-exif-bomb",
        "private",
        "many-xmp",
        "bad-text",
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_what_the_pixels_do_not_need_never_costs_them(extra: bytes, is_late: bool) -> None:
    data = HEAD + REST[:-12] + extra + REST[-12:] if is_late else HEAD + extra + REST
    np.testing.assert_array_equal(decode_image(data), NOISE)
    assert len(png_parts(data, "").needed) <= len(PNG) + 2**20


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("what", [EXIF, chunk(b"iTXt", XMP)], ids=["exif", "xmp"])
def test_an_orientation_is_kept_wherever_it_stands(what: bytes, is_late: bool) -> None:
    data = HEAD + REST[:-12] + what + REST[-12:] if is_late else HEAD + what + REST
    np.testing.assert_array_equal(decode_image(data), np.rot90(NOISE, -1))
    assert read_header(data).orientation == 6


def test_a_plain_file_is_passed_on_as_it_is() -> None:
    assert png_parts(PNG, "").needed is PNG


@pytest.mark.parametrize("kind", [b"prVt", b"IDAT"])
def test_more_chunks_than_a_png_has_are_refused_before_they_are_read(kind: bytes) -> None:
    data = HEAD + REST[:-12] + chunk(kind, b"") * MAX_CHUNKS + REST[-12:]
    with pytest.raises(UnreadableImage, match=r"a\.png: a PNG of more than 100,000 chunks"):
        decode_image(data, name="a.png")


def test_many_small_pieces_of_pixels_are_read() -> None:
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in NOISE))
    pieces = b"".join(chunk(b"IDAT", packed[k : k + 1]) for k in range(len(packed)))
    np.testing.assert_array_equal(decode_image(HEAD + pieces + REST[-12:]), NOISE)


def test_zeros_behind_the_signature_are_no_chunks() -> None:
    data = PNG[:8] + bytes(5_000_000)
    assert read_chunks(data) == []
    with pytest.raises(UnreadableImage, match="damaged"):
        decode_image(data)


@pytest.mark.parametrize("size", [(1, 89_000_000), (89_000_000, 1), (1_000_001, 2)])
def test_a_side_that_no_image_has_is_refused_by_the_header(size: tuple[int, int]) -> None:
    head = PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    with pytest.raises(UnreadableImage, match="a side of more than 1,000,000 pixels"):
        decode_image(head + REST)


def test_a_very_long_image_is_read() -> None:
    strip = np.random.default_rng(0).integers(0, 256, (3, 300_000, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(encode(strip)), strip)
