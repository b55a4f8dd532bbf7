"""A photo that is decoded at reduced scale gives the square of the full decode, within a few levels."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from corpus import UPRIGHT, oriented
from sightline.pixels.decode import decode_image
from sightline.pixels.preprocess import Preprocess

MEAN, MOST = 0.6, 6  # levels of 255


@cache
def scene(width: int, height: int) -> Image.Image:
    """An image like a photo: gradients, edges, texture at four scales, the noise of a sensor."""
    random = np.random.default_rng(width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.stack([x / width * 200 + 20, y / height * 200 + 20, 128 + 80 * np.sin(x / width * 9)], -1)
    light += (((x // 37 + y // 29) % 2) * 30 - 15)[..., None]
    for scale in (4, 16, 64):
        blocks = random.normal(0, 14, (height // scale + 1, width // scale + 1)).astype(np.float32)
        light += blocks.repeat(scale, 0).repeat(scale, 1)[:height, :width, None]
    light += random.normal(0, 4, (height, width, 1)).astype(np.float32)
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


@cache
def photo(width: int, height: int, mode: str = "RGB", orientation: int = 1, progressive: bool = False) -> bytes:
    out = io.BytesIO()
    image = scene(width, height).convert(mode)
    image.save(out, "JPEG", quality=90, exif=oriented(orientation), progressive=progressive)
    return out.getvalue()


def check_close(data: bytes, **fields: object) -> None:
    full, reduced = (Preprocess(size=224, resize=256, draft=draft, **fields) for draft in (0, 2))
    pixels = reduced.decode(data)
    assert pixels.size < full.decode(data).size / 3.9
    assert min(pixels.shape[:2]) >= 2 * 256
    apart = np.abs(full.apply(full.decode(data)).astype(int) - reduced.apply(pixels))
    assert apart.mean() <= MEAN
    assert apart.max() <= MOST


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(1600, 1200), (1203, 1601)], ids=["even", "odd"])
def test_each_way_to_a_square_is_close_to_the_full_decode(size: tuple[int, int], fit: str, interpolation: str) -> None:
    check_close(photo(*size), fit=fit, interpolation=interpolation)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_photo_of_a_phone_is_close_to_the_full_decode(fit: str) -> None:
    check_close(photo(4032, 3024), fit=fit)


@pytest.mark.parametrize("number", UPRIGHT)
def test_each_orientation_is_close_to_the_full_decode(number: int) -> None:
    data = photo(1601, 1203, orientation=number)
    check_close(data)
    turned = UPRIGHT[number](np.zeros((1203, 1601, 3), bool))
    pixels = decode_image(data, least_side=512)
    assert pixels.shape[0] / pixels.shape[1] == pytest.approx(turned.shape[0] / turned.shape[1], rel=0.002)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_photos_are_reduced_too(mode: str) -> None:
    check_close(photo(1600, 1200, mode))


def test_a_progressive_photo_is_reduced_too() -> None:
    check_close(photo(1600, 1200, "RGB", 1, True))


@pytest.mark.parametrize("size", [(1000, 700), (3000, 500)])
def test_a_photo_that_is_not_large_enough_is_decoded_in_full(size: tuple[int, int]) -> None:
    data = photo(*size)
    np.testing.assert_array_equal(decode_image(data, least_side=512), decode_image(data))


def test_other_formats_are_decoded_in_full() -> None:
    out = io.BytesIO()
    scene(1600, 1200).save(out, "BMP")
    assert decode_image(out.getvalue(), least_side=64).shape == (1200, 1600, 3)
