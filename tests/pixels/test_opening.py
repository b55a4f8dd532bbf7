"""Limits and manners of the door that a file alone does not show."""

from __future__ import annotations

import builtins
import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from corpus import NOISE, SMOOTH, encode, jpeg, oriented
from heic import heic
from sightline.errors import InputError, UnreadableImage
from sightline.pixels.decode import decode_image, read_header, to_rgb_array
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.image_facts import FACTS, measure_image


@pytest.fixture
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fail(name: str, *rest: object) -> object:
        if name == "pi_heif":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fail)


def test_without_its_library_an_iphones_photo_is_named_and_the_line_that_helps(without_heic: None) -> None:
    for read in (decode_image, read_header):
        with pytest.raises(UnreadableImage, match=r"as iPhones take them.*pip install.*\[heic\]"):
            read(heic())


def test_avif_in_a_container_of_the_family_is_not_taken_for_heic(without_heic: None) -> None:
    data = encode(SMOOTH, "AVIF")
    assert data[8:12] == b"avif"
    assert b"mif1" in data[12:32]
    swapped = data[:8] + data[8:32].replace(b"avif", b"TEMP").replace(b"mif1", b"avif").replace(b"TEMP", b"mif1")
    assert decode_image(swapped + data[32:]).shape == SMOOTH.shape


def test_a_heic_photo_that_is_cut_to_a_small_part_is_measured_as_a_whole() -> None:
    data = bytearray(heic())
    at = data.index(b"ispe") + 8
    data[at : at + 8] = (20_000).to_bytes(4, "big") * 2
    with pytest.raises(UnreadableImage, match="20000x20000 is more than"):
        read_header(bytes(data))


def test_the_limit_of_pixels_can_be_raised_above_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", "2_000")
    np.testing.assert_array_equal(decode_image(encode(NOISE)), NOISE)
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", "1000")
    with pytest.raises(UnreadableImage, match="48x32 is more than 1,000 pixels"):
        decode_image(encode(NOISE))


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5"])
def test_a_limit_that_is_no_number_is_the_users_fault_and_no_images(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", text)
    for read in (decode_image, read_header):
        with pytest.raises(InputError) as caught:
            read(encode(NOISE))
        assert caught.value.code == "image.max-pixels"


def test_another_librarys_wish_for_grey_instead_of_errors_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = jpeg(NOISE)
    with pytest.raises(UnreadableImage, match="truncated"):
        decode_image(data[: len(data) // 2])


def test_the_header_of_a_png_is_read_without_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: object) -> None:
        pytest.fail("decoded")

    data = encode(NOISE, exif=oriented(6))
    plain = encode(NOISE)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    assert read_header(plain).orientation == 1
    assert read_header(data).orientation == 6


def test_too_little_memory_is_a_verdict_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(UnreadableImage, match="more memory than there is"):
        decode_image(encode(NOISE))


@pytest.mark.parametrize("scans", [60, 70])
def test_a_small_progressive_jpeg_may_have_64_scans(scans: int) -> None:
    data = jpeg(progressive=True)
    first, last = data.index(b"\xff\xda"), data.rindex(b"\xff\xda")
    many = data[:last] + data[last:-2] * (scans - data[first:last].count(b"\xff\xda")) + data[-2:]
    if scans <= 64:
        assert decode_image(many).shape == SMOOTH.shape
    else:
        with pytest.raises(UnreadableImage, match="more than 64 scans"):
            decode_image(many)


def test_a_large_progressive_jpeg_may_have_fewer_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", str(SMOOTH.shape[0] * SMOOTH.shape[1]))
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    assert decode_image(data).shape == SMOOTH.shape
    with pytest.raises(UnreadableImage, match="more than 16 scans"):
        decode_image(data[:last] + data[last:-2] * 20 + data[-2:])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes in folders")
def test_a_writer_who_waits_at_a_pipe_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"for somebody else",), daemon=True)
    writer.start()
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_bytes(pipe)
    assert pipe.read_bytes() == b"for somebody else"
    writer.join(20)


def test_lists_that_are_no_array_are_refused() -> None:
    with pytest.raises(UnreadableImage, match="not an array"):
        to_rgb_array([[1, 2], [3]])


@pytest.mark.parametrize("mode", ["La", "PA", "RGBa"])
def test_rare_modes_of_pillow_in_memory_are_laid_on_the_background(mode: str) -> None:
    start = {"La": "LA", "PA": "PA", "RGBa": "RGBA"}[mode]
    image = Image.new(start, (2, 2), 0) if start == "PA" else Image.new(start, (2, 2)).convert(mode)
    assert to_rgb_array(image, background=(1, 2, 3))[0, 0].tolist() == [1, 2, 3]


def test_the_row_of_facts_is_what_numpy_says() -> None:
    row = measure_image(encode(NOISE))
    assert row.dtype == FACTS
    assert (row["width"], row["height"], row["format"], row["mode"], row["orientation"]) == (48, 32, b"PNG", b"RGB", 1)
    luma = NOISE @ np.array([0.299, 0.587, 0.114]) / 255
    assert row["brightness"] == pytest.approx(luma.mean(), abs=0.01)
    np.testing.assert_allclose(row["colour"], NOISE.mean((0, 1)) / 255, atol=0.01)
    assert np.linalg.norm(row["signature"].astype(float)) == pytest.approx(1, abs=0.01)


def test_a_thread_of_pixels_is_measured_in_bounded_memory() -> None:
    out = io.BytesIO()
    Image.new("L", (300_000, 20), 90).save(out, "PNG")
    row = measure_image(out.getvalue())
    assert (row["width"], row["height"], row["sharpness"]) == (300_000, 20, 0)
