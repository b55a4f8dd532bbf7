"""The digits that ship with scikit-learn, as PNG folders."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sightline.data.digits import write_digits
from sightline.data.sources import read_samples
from sightline.errors import MissingExtra
from sightline.pixels.decode import decode_image


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    assert write_digits(folder) == 1797
    return folder


def test_every_image_lies_under_its_digit(digits: Path) -> None:
    samples = read_samples(digits)
    assert samples.classes == tuple("0123456789")
    by_number = {
        Path(path).stem: samples.classes[label] for path, label in zip(samples.paths, samples.labels, strict=True)
    }
    assert [int(by_number[f"{k:04d}"]) for k in range(1797)] == load_digits().target.tolist()


def test_the_pixels_are_those_of_scikit_learn(digits: Path) -> None:
    images = load_digits().images
    for path in sorted(digits.rglob("*.png"))[::50]:
        pixels = decode_image(path)
        assert pixels.shape == (8, 8, 3)
        np.testing.assert_allclose(pixels[..., 0] / 255 * 16, images[int(path.stem)], atol=0.04)


def test_a_second_call_changes_nothing_and_fills_gaps(digits: Path) -> None:
    files = sorted(digits.rglob("*.png"))
    files[0].unlink()
    files[1].write_bytes(b"the user's own")
    before = files[2].stat().st_mtime_ns
    assert write_digits(digits) == 1797
    assert files[0].is_file()
    assert files[1].read_bytes() == b"the user's own"
    assert files[2].stat().st_mtime_ns == before


def test_without_scikit_learn_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtra, match="sklearn"):
        write_digits(tmp_path)
