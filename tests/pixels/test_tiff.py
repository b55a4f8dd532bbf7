"""Directories of TIFF files that claim more than an image has."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from corpus import NOISE, encode, tiff
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header

GREY = NOISE[..., 0]
TAGS = {256: 48, 257: 32, 258: 8, 262: 1, 277: 1}


def chain(count: int, *, loops: bool = False) -> bytes:
    """Return a TIFF of so many directories, each with the same image."""
    size, pixels = 2 + 12 * 9 + 4, GREY.tobytes()
    entries = [(256, 48), (257, 32), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 32), (279, len(pixels))]
    out = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels
    for number in range(count):
        last = 8 + len(pixels) if loops else 0
        following = 8 + len(pixels) + (number + 1) * size if number < count - 1 else last
        out += struct.pack("<H", 9) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        out += struct.pack("<I", following)
    return out


@pytest.mark.parametrize("count", [1, 2, 5, 3_000])
@pytest.mark.parametrize("loops", [False, True])
def test_directories_are_counted_once_each(count: int, loops: bool) -> None:
    data = chain(count, loops=loops)
    assert read_header(data).frames == count
    np.testing.assert_array_equal(decode_image(data)[..., 0], GREY)


@pytest.mark.parametrize("big", [False, True])
def test_pages_are_counted_as_pillow_counts_them(big: bool) -> None:
    out, pages = io.BytesIO(), [Image.fromarray(np.roll(NOISE, k, 0)) for k in range(4)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:], big_tiff=big)
    assert read_header(out.getvalue()).frames == 4
    np.testing.assert_array_equal(decode_image(out.getvalue()), NOISE)


def test_more_strips_than_rows_are_refused_before_a_tile_is_made_of_each() -> None:
    body = GREY.tobytes() + struct.pack("<H", 0) * 20_000
    with pytest.raises(UnreadableImage, match="48x32 pixels in 20,000 pieces"):
        decode_image(tiff(body, {**TAGS, 273: (8,) * 20_000}))


def test_strips_that_share_their_bytes_thousands_of_times_are_refused() -> None:
    body = GREY.tobytes()
    data = tiff(body, {**TAGS, 278: 1, 273: (8,) * 32, 279: (2**31,) * 32, 266: 2})
    with pytest.raises(UnreadableImage, match="more than the file"):
        decode_image(data)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_large_ones_are_read(compression: str) -> None:
    large = np.tile(NOISE, (40, 20, 1))
    data = encode(large, "TIFF", compression=compression)
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) if compression == "jpeg" else large
    np.testing.assert_array_equal(decode_image(data), wanted)


def test_scans_of_progressive_jpegs_inside_are_limited() -> None:
    data = encode(NOISE, "TIFF", compression="jpeg")
    with pytest.raises(UnreadableImage, match="too many scans"):
        decode_image(data + b"\xff\xda" * 50)
