"""Which segments of a JPEG cost something, and that data that end early are found."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpus import NOISE, SMOOTH, jpeg, oriented
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header
from sightline.pixels.image_facts import measure_image
from sightline.pixels.jpeg import MAX_SEGMENTS, _plain_parts, _sifted_parts, jpeg_parts

PHOTO = np.asarray(Image.fromarray(NOISE).resize((256, 192), Image.Resampling.BICUBIC))
END = b"\xff\xd9"


def plain(data: bytes) -> np.ndarray:
    """Return what Pillow alone reads."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


PROFILE = b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([k, 200]) + b"B" * 60_000) for k in range(1, 201))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "extra",
    [
        segment(0xFE, b"A" * 65_000) * 300,
        segment(0xFE, b"") * 5_000,
        PROFILE,
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 16_000) * 50,
        segment(0xE1, b"FLIR" + b"\xff\xda" * 30_000) * 50,
        b"\xff" * 3_000_000,
        b"junk" * 500_000,
        segment(0xFE, b"ends with \xff"),
    ],
    ids=["comments", "empty", "profile", "photoshop", "makers", "fill", "junk", "ff"],
)
def test_what_the_pixels_do_not_need_never_costs_them(extra: bytes, progressive: bool) -> None:
    data = jpeg(PHOTO, progressive=progressive)
    behind = 4 + int.from_bytes(data[4:6], "big")  # the first segment
    longer = data[:behind] + extra + data[behind:]
    np.testing.assert_array_equal(decode_image(longer), plain(data))
    assert len(jpeg_parts(longer, "").needed) <= len(data) + 8
    between = data.rindex(b"\xff\xda")
    if progressive:
        np.testing.assert_array_equal(decode_image(data[:between] + extra + data[between:]), plain(data))


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"quality": 100}, {"restart_marker_rows": 1}], ids=str)
def test_the_short_way_of_a_small_file_leads_where_the_long_one_does(options: dict[str, object]) -> None:
    data = jpeg(PHOTO[:24, :32], **options)
    assert _plain_parts(data) == _sifted_parts(data, "")
    draws, found = np.random.default_rng(0), 0
    for _ in range(1_500):
        changed = bytearray(data)
        changed[draws.integers(2, 700 if draws.random() < 0.9 else len(data))] = draws.choice([0, 0xFF, 0xDA, 0xC0, 17])
        short = _plain_parts(bytes(changed))
        if short:
            found += 1
            assert short == _sifted_parts(bytes(changed), "")
    assert 100 < found < 1_500


def test_a_small_file_of_many_segments_is_refused_too() -> None:
    data = jpeg(PHOTO[:8, :8])
    with pytest.raises(UnreadableImage, match="a JPEG of more than"):
        jpeg_parts(data[:2] + segment(0xDB, b"") * (MAX_SEGMENTS + 1) + data[2:], "")


def test_fill_bytes_in_the_pixels_are_passed_once() -> None:
    for data in (jpeg(PHOTO), jpeg(PHOTO, progressive=True)):
        filled = data[:-2] + b"\xff" * 5_000_000 + END
        assert len(jpeg_parts(filled, "").needed) <= len(data) + 8
        np.testing.assert_array_equal(decode_image(filled), plain(data))


@pytest.mark.parametrize("where", [2, -2])
def test_more_segments_than_a_jpeg_has_are_refused(where: int) -> None:
    data = jpeg()
    with pytest.raises(UnreadableImage, match="a JPEG of more than 10,000 segments"):
        decode_image(data[:where] + segment(0xFE, b"") * MAX_SEGMENTS + data[where:])


def test_of_many_orientations_the_first_ones_are_kept() -> None:
    data = jpeg(PHOTO, exif=oriented(6))
    more = segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 500
    behind = data.index(b"Exif\0\0") - 4
    behind += 2 + int.from_bytes(data[behind + 2 : behind + 4], "big")
    longer = data[:behind] + more + data[behind:]
    assert read_header(longer).orientation == 6
    assert len(jpeg_parts(longer, "").needed) < len(data) + 16 * 2**16


def test_profile_and_orientation_are_still_known() -> None:
    data = jpeg(PHOTO, exif=oriented(6))
    header = read_header(data[:2] + PROFILE + data[2:])
    assert (header.orientation, header.has_profile, header.width) == (6, True, 192)
    assert not read_header(data[:2] + PROFILE[: len(PROFILE) // 2] + data[2:]).has_profile


KINDS = {
    "colour": {},
    "optimised": {"optimize": True},
    "coarse": {"quality": 20, "subsampling": 2},
    "restarts": {"restart_marker_blocks": 5},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_jpeg_cut_short_is_found_though_an_end_marker_closes_it(options: dict[str, object], share: float) -> None:
    data = jpeg(PHOTO, **options)
    start = data.index(b"\xff\xda") + 14
    cut = data[: start + int(share * (len(data) - start))].rstrip(b"\xff")
    assert plain(cut + END).shape == PHOTO.shape  # Pillow alone fills what is missing
    for read in (decode_image, measure_image):
        with pytest.raises(UnreadableImage, match="truncated"):
            read(cut + END)
        with pytest.raises(UnreadableImage, match="truncated"):
            read(cut)


@pytest.mark.parametrize("least", [0, 32, 64])
@pytest.mark.parametrize("options", [*KINDS.values(), {"progressive": True}])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (16, 16), (17, 33), (100, 75), (256, 192)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_complete_ones_have_the_pixels_that_pillow_reads(
    options: dict[str, object], size: tuple[int, int], mode: str, least: int
) -> None:
    data = jpeg(np.asarray(Image.fromarray(PHOTO).resize(size)), **options)
    if mode != "RGB":
        out = io.BytesIO()
        Image.fromarray(PHOTO).resize(size).convert(mode).save(out, "JPEG", **options)
        data = out.getvalue()
    for after in (b"", b"trailer" * 1000, data):
        found = decode_image(data + after, least_side=least)
        if not least:
            np.testing.assert_array_equal(found, plain(data))
        assert min(found.shape[:2]) >= min(least, *size)


def test_a_progressive_jpeg_without_its_last_scans_is_remarked_on_and_one_without_most_is_refused() -> None:
    data = jpeg(SMOOTH, progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert read_header(data).remark == ""
    assert read_header(data[: scans[-1]] + END).remark == "cut-short"
    assert measure_image(data[: scans[-1]] + END)["remark"] == b"cut-short"
    for scan in scans[1:3]:
        with pytest.raises(UnreadableImage, match="truncated progressive JPEG"):
            decode_image(data[:scan] + END)


def test_markers_beyond_the_first_block_are_found(tmp_path: Path) -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1_200, 1_600, 3)).astype(np.uint8))
    for progressive in (False, True):
        large.save(tmp_path / "a.jpg", quality=95, progressive=progressive)  # Pillow can't write it into memory
        data = (tmp_path / "a.jpg").read_bytes()
        assert len(data) > 2**20 + 2**18
        np.testing.assert_array_equal(decode_image(data + b"behind the end" * 1_000), plain(data))
        half = data[: len(data) // 2] + END
        if progressive:
            assert read_header(half).remark == "cut-short"
        else:
            with pytest.raises(UnreadableImage, match="truncated"):
                decode_image(half)
