"""The table of images: its columns, and where its images lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.samples import Samples
from sightline.pixels.containers import Member


def test_the_files_of_a_table_are_a_sequence_of_places(table: Callable[..., Samples]) -> None:
    samples = table([0, 0, 0], paths=["a.png", "sub/b.png", "photos.zip::c.png"])
    root = samples.root
    whole = [root / "a.png", root / "sub" / "b.png", Member(root / "photos.zip", "c.png")]
    assert list(samples.files) == whole
    assert len(samples.files) == 3
    assert samples.files[1:] == whole[1:] and samples.files[::-1] == whole[::-1]
    assert samples.files[2] == samples.files[-1] == whole[2]
    assert Path("nowhere") not in samples.files
    with pytest.raises(IndexError):
        samples.files[3]
