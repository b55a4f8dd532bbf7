"""The one door: every mode by its rule, everything else ``UnreadableImage``."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sightline.errors import UnreadableImage
from sightline.pixels import file_bytes, opening
from sightline.pixels.decode import Header, decode_image, read_header, to_rgb_array
from sightline.pixels.file_bytes import read_bytes

RAMP = np.arange(256, dtype=np.uint16)[None].repeat(3, axis=0) * 257  # every high byte once a row
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
SEVEN = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3) * 2  # no symmetry

# What each EXIF orientation asks for, in numpy.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def oriented(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that only claims its size: signature, IHDR, an IDAT too short, IEND."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


# -- orientation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied_pixel_for_pixel(kind: str, number: int) -> None:
    data = encode(SEVEN, kind, exif=oriented(number))
    pixels = decode_image(data)
    np.testing.assert_array_equal(pixels, UPRIGHT[number](SEVEN))
    np.testing.assert_array_equal(pixels, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))


@pytest.mark.parametrize("number", [0, 9, 99])
def test_an_orientation_that_does_not_exist_is_ignored(number: int) -> None:
    np.testing.assert_array_equal(decode_image(encode(SEVEN, exif=oriented(number))), SEVEN)


@pytest.mark.parametrize("number", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_header_gives_the_size_as_shown(kind: str, number: int) -> None:
    data = encode(SEVEN, kind, exif=oriented(number))
    header = read_header(data)
    assert (header.height, header.width) == decode_image(data).shape[:2]
    assert (header.format, header.orientation) == (kind, number)


def test_a_image_in_memory_is_turned_upright_too() -> None:
    image = Image.open(io.BytesIO(encode(SEVEN, exif=oriented(6))))
    np.testing.assert_array_equal(to_rgb_array(image), UPRIGHT[6](SEVEN))


# -- modes ------------------------------------------------------------------------------------------------------


def test_an_rgb_image_keeps_every_pixel() -> None:
    np.testing.assert_array_equal(decode_image(encode(NOISE)), NOISE)


def test_a_grey_image_has_three_equal_channels() -> None:
    np.testing.assert_array_equal(decode_image(encode(NOISE[..., 0])), NOISE[..., :1].repeat(3, axis=2))


def test_a_one_bit_image_is_black_and_white() -> None:
    bits = NOISE[..., 0] > 127
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(bits)))[..., 1], bits * np.uint8(255))


def test_a_palette_image_shows_the_colours_of_its_palette() -> None:
    image = Image.fromarray(NOISE[..., 0] % 3, "L")
    image.putpalette([1, 2, 3, 40, 50, 60, 255, 0, 9])
    palette = np.array([[1, 2, 3], [40, 50, 60], [255, 0, 9]], np.uint8)
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(palette.tobytes())
    np.testing.assert_array_equal(decode_image(encode(image)), palette[NOISE[..., 0] % 3])


@pytest.mark.parametrize("transparency", [b"\x00\xff\xff", 0], ids=["alpha-table", "one-index"])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(kind: str, transparency: object) -> None:
    if kind == "GIF" and transparency != 0:
        transparency = 0
    index = (NOISE[..., 0] % 3).astype(np.uint8)
    image = Image.frombytes("P", (64, 48), index.tobytes())
    image.putpalette(bytes([1, 2, 3, 40, 50, 60, 255, 0, 9]))
    shown = np.array([[255, 255, 255], [40, 50, 60], [255, 0, 9]], np.uint8)
    np.testing.assert_array_equal(decode_image(encode(image, kind, transparency=transparency)), shown[index])


def test_a_half_transparent_palette_entry_is_blended_with_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette(bytes([0, 100, 200]))
    pixels = decode_image(encode(image, transparency=b"\x80"))
    np.testing.assert_allclose(pixels[0, 0], on_white(np.array([[0, 100, 200, 128]]))[0], atol=1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_hidden_colour_under_full_transparency_does_not_show(kind: str) -> None:
    rgba = np.dstack([NOISE, np.zeros((48, 64), np.uint8)])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert (decode_image(encode(rgba, kind, **options)) == 255).all()


def test_partly_transparent_pixels_are_blended_with_white() -> None:
    rgba = np.dstack([NOISE, NOISE[::-1, :, 0]])
    np.testing.assert_allclose(decode_image(encode(rgba)), on_white(rgba), atol=1)


def test_grey_with_alpha_is_blended_with_white() -> None:
    grey, alpha = NOISE[..., 0], NOISE[..., 1]
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    wanted = on_white(np.dstack([grey, grey, grey, alpha]))
    np.testing.assert_allclose(decode_image(encode(image)), wanted, atol=1)


@pytest.mark.parametrize(
    ("mode", "colour", "key"), [("L", 9, 9), ("RGB", (9, 8, 7), (9, 8, 7)), ("1", 0, 0)], ids=["L", "RGB", "1"]
)
def test_a_transparent_colour_key_is_white(mode: str, colour: object, key: object) -> None:
    assert (decode_image(encode(Image.new(mode, (4, 4), colour), transparency=key)) == 255).all()


def test_a_pixel_beside_the_colour_key_keeps_its_colour() -> None:
    image = Image.new("RGB", (2, 1), (9, 8, 7))
    image.putpixel((1, 0), (9, 8, 6))
    assert decode_image(encode(image, transparency=(9, 8, 7))).tolist() == [[[255, 255, 255], [9, 8, 6]]]


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 255, 255, 0), (255, 0, 0))],
    ids=["white", "black", "red"],
)
@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_ink_becomes_light(kind: str, ink: tuple[int, ...], colour: tuple[int, ...]) -> None:
    pixels = decode_image(encode(Image.new("CMYK", (16, 16), ink), kind))
    np.testing.assert_allclose(pixels[8, 8], colour, atol=0 if kind == "TIFF" else 3)


def test_a_16_bit_png_keeps_its_256_levels() -> None:
    np.testing.assert_array_equal(decode_image(encode(RAMP))[0, :, 1], np.arange(256))


@pytest.mark.parametrize(("mode", "order"), [("I;16", "<u2"), ("I;16B", ">u2")])
def test_a_16_bit_tiff_keeps_its_256_levels(mode: str, order: str) -> None:
    image = Image.frombytes(mode, (256, 3), RAMP.astype(order).tobytes())
    np.testing.assert_array_equal(decode_image(encode(image, "TIFF"))[0, :, 1], np.arange(256))


def test_a_16_bit_pgm_keeps_its_256_levels() -> None:
    data = b"P5 256 3 65535\n" + RAMP.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode_image(data)[0, :, 1], np.arange(256))


def test_a_16_bit_png_with_a_transparent_level_keeps_the_others() -> None:
    data = encode(Image.fromarray(RAMP), transparency=0)
    np.testing.assert_array_equal(decode_image(data)[0, :, 1], [255, *range(1, 256)])


def test_a_16_bit_ramp_keeps_the_high_byte_and_does_not_round() -> None:
    assert decode_image(encode(np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)))[0, :, 0].tolist() == [
        0,
        0,
        1,
        0x7F,
        0xFF,
    ]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_and_float_images_are_refused(mode: str) -> None:
    with pytest.raises(UnreadableImage, match=r"(integers|floating-point).*--range LOW,HIGH"):
        decode_image(encode(Image.new(mode, (4, 4), 7), "TIFF"))


@pytest.mark.parametrize("mode", ["LAB", "HSV"])
def test_a_mode_without_a_rule_is_refused(mode: str) -> None:
    with pytest.raises(UnreadableImage, match=f"mode {mode}"):
        to_rgb_array(Image.new(mode, (4, 4)))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_image_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (8, 8), (250, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 250))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_image(encode(first, kind, save_all=True, append_images=[second], **options))
    np.testing.assert_allclose(pixels[4, 4], (250, 0, 0), atol=2)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]))
def test_a_png_of_any_mode_and_size_is_rgb_uint8(width: int, height: int, mode: str) -> None:
    pixels = decode_image(encode(Image.new(mode, (width, height), 1)))
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8


# -- content, not name ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
def test_each_format_is_recognised_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.xyz"
    path.write_bytes(encode(Image.new("RGB", (16, 8), (200, 100, 50)), kind))
    np.testing.assert_allclose(decode_image(path)[4, 8], (200, 100, 50), atol=6)
    header = read_header(path.read_bytes())
    assert (header.width, header.height, header.format) == (16, 8, kind)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("ICO", "an icon"), ("EPS", "a PostScript file"), ("JPEG2000", "a JPEG 2000 image"), ("TGA", "known format")],
)
def test_formats_that_are_no_photos_are_refused(kind: str, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode_image(encode(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"\n  <html><body>gone", "a web page"),
        (b"<svg xmlns='x'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?>", "an XML file"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"\xff\xd8\xff\xe0", "unsupported variant of JPEG"),
        (b"just some words", "not an image of a known format"),
        (b"\0" * 100, "not an image of a known format"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode_image(path)
    assert caught.value.path == str(path)
    with pytest.raises(UnreadableImage, match=reason):
        read_header(data)


# -- damage and limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_image_is_unreadable(kind: str) -> None:
    data = encode(NOISE, kind)
    with pytest.raises(UnreadableImage):
        decode_image(data[: len(data) * 2 // 3])


def test_the_header_of_a_truncated_jpeg_can_still_be_read() -> None:
    data = encode(NOISE, "JPEG")
    assert read_header(data[: len(data) * 2 // 3]) == Header(64, 48, "JPEG", "RGB")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    for source in (path, b""):
        with pytest.raises(UnreadableImage, match="empty"):
            decode_image(source)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="no such file") as caught:
        decode_image(tmp_path / "none.jpg")
    assert caught.value.reason == "no such file"


def test_a_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage):
        decode_image(tmp_path)


def test_a_name_with_a_nul_is_unreadable() -> None:
    with pytest.raises(UnreadableImage):
        decode_image("a\0b.jpg")


def test_reading_folders_leaves_no_open_file_behind(tmp_path: Path) -> None:
    def next_descriptor() -> int:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    before = next_descriptor()
    for _ in range(3):
        with pytest.raises(UnreadableImage):
            read_bytes(tmp_path)
    assert next_descriptor() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    reasons: list[str] = []

    def read() -> None:
        try:
            decode_image(pipe)
        except UnreadableImage as error:
            reasons.append(error.reason)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert reasons == ["a pipe, not a regular file"]


@pytest.mark.parametrize("side", [10_000, 40_000], ids=["above-our-limit", "above-Pillows"])
def test_too_many_pixels_are_refused_before_decoding(side: int) -> None:
    data = png_of_size(side, side)
    for read in (decode_image, read_header):
        with pytest.raises(UnreadableImage, match="pixels"):
            read(data)


def test_a_image_of_exactly_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_PIXELS", 48 * 64)
    assert decode_image(encode(NOISE)).shape == (48, 64, 3)
    monkeypatch.setattr(opening, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(UnreadableImage, match="more than 3,071 pixels"):
        decode_image(encode(NOISE))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(file_bytes, "MAX_FILE_BYTES", 100)
    assert read_bytes(path) == b"x" * 100
    monkeypatch.setattr(file_bytes, "MAX_FILE_BYTES", 99)
    with pytest.raises(UnreadableImage, match="100 bytes, more than 99"):
        read_bytes(path)


def test_a_progressive_jpeg_is_read() -> None:
    data = encode(NOISE, "JPEG", progressive=True, quality=95)
    assert data.count(b"\xff\xda") > 1
    np.testing.assert_array_equal(decode_image(data), np.asarray(Image.open(io.BytesIO(data))))


def test_a_jpeg_with_too_many_scans_is_refused() -> None:
    data = encode(NOISE, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan, end = data[last:-2], data[-2:]
    with pytest.raises(UnreadableImage, match="scans"):
        decode_image(data[:last] + scan * 100 + end)


def test_a_jpeg_with_a_film_behind_it_is_read() -> None:
    """A phone's motion photo: a JPEG, then megabytes that are none; some of its bytes look like scans."""
    data = encode(NOISE, "JPEG")
    film = np.random.default_rng(0).bytes(8 * 2**20)
    np.testing.assert_array_equal(decode_image(data + film), decode_image(data))


@given(st.binary(max_size=300))
def test_any_bytes_at_all_raise_nothing_but_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode_image(data)


# -- pixels in memory -------------------------------------------------------------------------------------------


def test_arrays_in_memory_are_taken_as_they_are() -> None:
    np.testing.assert_array_equal(to_rgb_array(NOISE), NOISE)
    np.testing.assert_array_equal(to_rgb_array(NOISE[..., 0]), NOISE[..., :1].repeat(3, axis=2))
    rgba = np.dstack([NOISE, NOISE[..., 0]])
    np.testing.assert_allclose(to_rgb_array(rgba), on_white(rgba), atol=1)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4, 3), np.uint8), None],
    ids=["float", "two-channels", "flat", "empty", "none"],
)
def test_arrays_that_are_no_image_are_refused(array: object) -> None:
    with pytest.raises(UnreadableImage, match="it must be uint8"):
        to_rgb_array(array)


def test_a_pillow_image_of_a_truncated_file_is_unreadable() -> None:
    data = encode(NOISE, "JPEG")
    with pytest.raises(UnreadableImage):
        to_rgb_array(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_the_name_in_an_error_can_be_given() -> None:
    with pytest.raises(UnreadableImage) as caught:
        decode_image(b"nothing", name="upload 3")
    assert caught.value.path == "upload 3"
