"""Fixtures of prediction into a file: images of known colours, a known classifier, and small batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from known_model import GOOD
from predicting_steps import COUNT
from sightline.runtime.classifier import Classifier


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.open(GOOD)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images of one colour each, two of them unreadable, one with a name that CSV must quote."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(5)
    for number in range(COUNT):
        name = '=a,"b".png' if number == 7 else f"{number:02d}.png"
        Image.new("RGB", (9, 9), tuple(map(int, random.integers(0, 256, 3)))).save(folder / name)
    for name in ("03.png", "11.png"):
        (folder / name).write_bytes(b"no image")
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three images are predicted at once, so that twenty are seven parts."""
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 3)
