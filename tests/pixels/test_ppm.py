"""PPM files that Pillow reads number by number get the pixels that Pillow gives them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from corpus import NOISE
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header
from sightline.pixels.ppm import ppm_parts

SEED = np.random.default_rng(0)
COMMENTS = b"# a comment\n" * 3


def plain(kind: int, values: np.ndarray, maximum: int, between: bytes = b" ") -> bytes:
    height, width = values.shape[:2]
    text = between.join(b"%d" % value for value in values.ravel().tolist())
    end = b"%d\n" % maximum if kind != 1 else b""
    return b"P%d\n%s%d %d\n%s%s" % (kind, COMMENTS, width, height, end, text)


def raw(kind: int, values: np.ndarray, maximum: int) -> bytes:
    height, width = values.shape[:2]
    stored = values.astype("u1" if maximum < 256 else ">u2").tobytes()
    return b"P%d %d %d %d\n" % (kind, width, height, maximum) + stored


def pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data), formats=["PPM"])
    if image.mode == "I":
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, 2)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("maximum", [1, 7, 100, 254, 255, 256, 1023, 4095, 65_534, 65_535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_pixels_are_those_of_pillow(kind: int, maximum: int) -> None:
    values = SEED.integers(0, maximum + 1, (7, 11, 3) if kind in (3, 6) else (7, 11))
    data = plain(kind, values, maximum) if kind < 4 else raw(kind, values, maximum)
    np.testing.assert_array_equal(decode_image(data), pillow(data))
    assert read_header(data).remark == ("sixteen-bit" if maximum > 255 else "")


@pytest.mark.parametrize("between", [b"", b" ", b"\n", b" # 0 1\n"])
def test_bits_as_text_are_those_of_pillow(between: bytes) -> None:
    data = plain(1, SEED.integers(0, 2, (9, 13)), 1, between)
    np.testing.assert_array_equal(decode_image(data), pillow(data))


@pytest.mark.parametrize("between", [b"\t", b"\r\n", b" # 1 2 3\r", b"   "])
def test_blanks_and_comments_between_numbers_are_those_of_pillow(between: bytes) -> None:
    data = plain(3, SEED.integers(0, 200, (9, 13, 3)), 255, between)
    np.testing.assert_array_equal(decode_image(data), pillow(data))


@pytest.mark.parametrize("text", [b"1 2 x", b"1 2 -3", b"1 2 300", b"1 2", b"1 2 99999999999999999999 4", b""])
def test_text_that_is_damaged_or_short_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode_image(b"P2 2 2 255\n" + text)


@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_fewer_numbers_than_pixels_are_refused(kind: int) -> None:
    values = SEED.integers(0, 100, (8, 8, 3) if kind in (3, 6) else (8, 8))
    data = plain(kind, values, 100) if kind < 4 else raw(kind, values, 100)
    with pytest.raises(UnreadableImage):
        decode_image(data[:-9])


@pytest.mark.parametrize("blank", [b"#" + b"c" * 3_000_000 + b"\n", b" " * 3_000_000, b"#\n" * 500_000])
def test_a_long_header_is_passed_at_once(blank: bytes) -> None:
    for data in (
        b"P6\n" + blank + b"48 32\n255\n" + NOISE.tobytes(),
        b"P6\n48 32" + blank + b" 255\n" + NOISE.tobytes(),
    ):
        assert len(ppm_parts(data, 10**6).needed) < NOISE.size + 100
        np.testing.assert_array_equal(decode_image(data), NOISE)


def test_a_range_is_in_the_numbers_of_the_file() -> None:
    values = SEED.integers(0, 4096, (6, 6))
    wanted = np.rint(values.clip(0, 2000) * (255 / 2000))
    for data in (plain(2, values, 4095), raw(5, values, 4095)):
        found = decode_image(data, value_range=(0, 2000))[..., 0]
        assert np.abs(found - wanted).max() <= 1
