"""Formats that are not read are known by their content."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from corpus import NOISE, encode
from sightline.pixels.foreign import START, foreign_format

IMAGE = Image.fromarray(NOISE)
# Formats that Pillow writes: its name, the ending, ours.
WRITTEN = [
    ("TGA", ".tga", "TGA"),
    ("PCX", ".pcx", "PCX"),
    ("SGI", ".sgi", "SGI"),
    ("DDS", ".dds", "DDS"),
    ("ICO", ".ico", "icon"),
]
if features.check("jpg_2000"):
    WRITTEN += [("JPEG2000", ".jp2", "JPEG 2000"), ("JPEG2000", ".j2k", "JPEG 2000")]


@pytest.mark.parametrize(("kind", "ending", "name"), WRITTEN)
def test_what_pillow_writes_in_other_formats_is_named(kind: str, ending: str, name: str) -> None:
    out = io.BytesIO()
    IMAGE.save(out, kind, **({"no_jp2": True} if ending == ".j2k" else {}))
    assert foreign_format(out.getvalue()[:START], ending) == name


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
@pytest.mark.parametrize("ending", ["", ".jpg", ".tga", ".xyz"])
def test_formats_that_are_read_are_not_named(kind: str, ending: str) -> None:
    assert foreign_format(encode(NOISE, kind)[:START], ending) == ""


@pytest.mark.parametrize(
    "start", [b"", b"notes", b"path,label\n", b"\0" * 200, b"{}", np.random.default_rng(0).bytes(99)]
)
def test_other_files_are_not_named(start: bytes) -> None:
    assert [foreign_format(start, ending) for ending in ("", ".txt", ".tga", ".dng")] == [""] * 4


def test_a_cameras_raw_file_is_not_taken_for_a_tiff() -> None:
    start = b"II*\0" + struct.pack("<I", 8)
    assert foreign_format(start, ".nef") == "camera raw"
    assert foreign_format(start, ".tif") == ""
