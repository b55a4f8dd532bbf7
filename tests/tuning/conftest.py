"""Images for searches: patterns that a head tells apart mostly, so that trials differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_shapes(root: Path, count: int, seed: int = 0) -> Path:
    """Write class folders of noisy patterns, which a head tells apart mostly."""
    random = np.random.default_rng(seed)
    for place, name in enumerate(("bars", "dots", "plain")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.normal(128, 55, (40, 40, 3))
            pixels[:: (place + 2) * 2] += 60
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{number:03d}.png")
    return root


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Split folders of three classes: 60 images to train, 60 to validate, 45 to test; not to be changed."""
    root = tmp_path_factory.mktemp("shapes")
    for part, count, seed in (("train", 20, 1), ("val", 20, 2), ("test", 15, 3)):
        write_shapes(root / part, count, seed)
    return root
