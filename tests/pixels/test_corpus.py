"""Every bad or odd file gets the verdict it must get; and no bytes at all raise anything but ``UnreadableImage``."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import KINDS, SMOOTH, Case, cases, encode
from heic import heic
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.image_facts import measure_image

CASES = cases()


def test_there_are_enough_of_them_and_their_names_differ():
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [case for case in CASES if case.shown is not None], ids=lambda case: ascii(case.name))
def test_it_shows_its_pixels(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    pixels = decode_image(path, value_range=case.value_range)
    assert pixels.shape == case.shown.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - case.shown).max(initial=0) <= case.atol
    header = read_header(path.read_bytes())
    assert (header.height, header.width) == pixels.shape[:2]
    assert (header.remark, header.frames) == (case.remark, case.frames)
    row = measure_image(path.read_bytes(), value_range=case.value_range)
    assert (row["height"], row["width"], row["frames"]) == (header.height, header.width, header.frames)
    assert row["remark"].decode() == header.remark
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("case", [case for case in CASES if case.shown is None], ids=lambda case: ascii(case.name))
def test_it_is_refused_with_its_reason(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    with pytest.raises(UnreadableImage) as caught:
        decode_image(path, value_range=case.value_range)
    assert re.search(case.reason, caught.value.reason)
    assert caught.value.path == str(path)
    with pytest.raises(UnreadableImage):
        measure_image(read_bytes(path), value_range=case.value_range)


@pytest.mark.parametrize("kind", [*KINDS, "HEIC"])
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), cut=st.booleans())
def test_changed_bytes_give_a_image_or_unreadable(kind: str, seed: int, count: int, cut: bool) -> None:
    chance = random.Random(seed)
    data = bytearray(heic() if kind == "HEIC" else encode(SMOOTH, kind))
    for _ in range(count):
        data[int(len(data) * chance.random() ** 2)] = chance.randrange(256)  # more often near the beginning
    if cut:
        del data[chance.randrange(len(data)) :]
    for read in (decode_image, read_header, measure_image):
        try:
            result = read(bytes(data))
        except UnreadableImage as error:
            assert error.reason
        else:
            assert read is not decode_image or (result.dtype == np.uint8 and result.shape[2] == 3)
