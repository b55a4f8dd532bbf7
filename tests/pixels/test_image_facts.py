"""The row of facts of an image: compared with numpy's own arithmetic on the decoded pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.fft import dctn
from scipy.ndimage import laplace

from corpus import cases
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_both, read_header
from sightline.pixels.image_facts import MIRROR, measure_image, measure_reduced, reduce_image


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_image(seed: int = 0, size: tuple[int, int] = (32, 32)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def luma_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image, float) / 255 @ [0.299, 0.587, 0.114]


def test_colours_and_brightness_are_those_of_the_pixels():
    image = make_image()
    row, pixels, luma = measure_image(encode(image)), np.asarray(image, float) / 255, luma_of(image)
    assert row["brightness"] == pytest.approx(luma.mean(), abs=1e-5)
    assert row["contrast"] == pytest.approx(luma.std(), abs=1e-5)
    np.testing.assert_allclose(row["colour"], pixels.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(row["spread"], pixels.std((0, 1)), atol=1e-5)
    assert row["saturation"] == pytest.approx(np.ptp(pixels, axis=2).mean(), abs=1e-5)
    border = np.ones((32, 32), bool)
    border[2:-2, 2:-2] = False
    np.testing.assert_allclose(row["border"], pixels[border].mean(0), atol=1e-5)
    assert row["border_spread"] == pytest.approx(luma[border].std(), abs=1e-5)


def test_sharpness_is_the_spread_of_the_laplacian():
    image = make_image(size=(90, 70))
    grey = np.asarray(image.convert("L"), float)
    wanted = laplace(grey)[1:-1, 1:-1].clip(-128, 127).std() / 255
    assert measure_image(encode(image))["sharpness"] == pytest.approx(wanted, rel=1e-4)
    blurred = image.resize((4, 3)).resize((90, 70), Image.Resampling.BICUBIC)
    assert measure_image(encode(blurred))["sharpness"] < wanted / 2


def test_the_signature_is_the_low_frequencies_of_the_luma():
    row = measure_image(encode(make_image()))
    frequencies = dctn(luma_of(make_image()))[:8, :8] * np.hypot(*np.mgrid[:8, :8])  # all cosines of one height
    np.testing.assert_allclose(row["signature"], (frequencies / np.linalg.norm(frequencies)).ravel(), atol=2e-3)


@pytest.mark.parametrize("size", [(32, 32), (150, 110), (300, 400), (1600, 1200)])
def test_a_mirror_changes_the_sign_of_odd_frequencies_only(size):
    image = make_image(size=size)
    one, other = (measure_image(encode(each))["signature"].astype(float) for each in (image, ImageOps.mirror(image)))
    assert one @ (other * MIRROR) > 0.999


def test_the_inner_signature_is_that_of_a_crop():
    image = make_image(size=(440, 440))
    crop = image.crop((20, 20, 420, 420))
    inner = measure_image(encode(image))["inner"].astype(float)
    assert inner @ measure_image(encode(crop))["signature"].astype(float) > 0.998


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_size_and_format_are_those_as_shown(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(make_image(size=(60, 40)), kind, exif=exif)
    row = measure_image(data)
    assert (row["width"], row["height"], row["bytes"], row["format"]) == (40, 60, len(data), kind.encode())
    assert row["orientation"] == 6


def test_flat_images_have_no_signature():
    row = measure_image(encode(Image.new("RGB", (50, 50), (9, 200, 30))))
    assert not row["signature"].any()
    assert row["contrast"] == 0


@pytest.mark.parametrize("case", [case for case in cases() if case.data], ids=lambda case: ascii(case.name))
def test_reading_both_at_once_is_reading_one_after_the_other(case):
    try:
        wanted = read_header(case.data), decode_image(case.data)
    except UnreadableImage as error:
        with pytest.raises(UnreadableImage) as caught:
            read_both(case.data)
        assert caught.value.reason == error.reason
        return
    header, pixels = read_both(case.data)
    assert header == wanted[0]
    np.testing.assert_array_equal(pixels, wanted[1])


def test_many_images_at_once_are_measured_as_each_alone():
    sizes = [(32, 32), (90, 70), (32, 32), (2, 9), (300, 400), (90, 70), (700, 8)]
    files = [encode(make_image(seed, size)) for seed, size in enumerate(sizes)]
    files.append(encode(Image.new("RGB", (50, 50))))  # flat
    together = measure_reduced([reduce_image(data) for data in files])
    for row, data in zip(together, files, strict=True):
        alone = measure_image(data)
        for name in alone.dtype.names:
            if alone[name].dtype.kind == "f":
                np.testing.assert_allclose(row[name], alone[name], atol=1e-5, err_msg=name)
            else:
                assert row[name] == alone[name], name
    assert len(measure_reduced([])) == 0
