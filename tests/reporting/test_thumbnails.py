"""Thumbnails keep the shape of their image, however odd."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from sightline.reporting.thumbnails import image_uri


@pytest.mark.parametrize(
    "size", [(3000, 40), (40, 3000), (1001, 33), (4001, 17), (2000, 3), (641, 481), (37, 21), (1, 300), (300, 1)]
)
def test_an_image_with_odd_sides_is_not_stretched(size: tuple[int, int]) -> None:
    width, height = size
    uri = image_uri(np.zeros((height, width, 3), np.uint8))
    shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert shown.width / shown.height == pytest.approx(width / height, rel=0.06)
    assert max(shown.size) <= 2_048 and len(uri) < 20_000
    if min(size) * 16 > max(size):
        assert max(shown.size) <= 128
