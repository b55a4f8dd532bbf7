"""Generated images of four shapes: data for the self-test and the tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["SHAPES", "SIDE", "Pixels", "Random", "draw_shape", "encode"]

SHAPES = ("cross", "disc", "ring", "square")
SIDE = 32

Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator


def draw_shape(random: Random, shape: str, side: int = SIDE) -> Pixels:
    """Return an image of a shape on a blotchy background, with noise; no two are the same."""
    blotches = Image.fromarray(random.integers(40, 200, (4, 4, 3)).astype(np.uint8))
    pixels = np.asarray(blotches.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    y, x = np.mgrid[0:side, 0:side] - random.uniform(0.35, 0.65, (2, 1, 1)) * side
    size = random.uniform(0.2, 0.32) * side
    far, wide = np.hypot(x, y), np.maximum(abs(x), abs(y))
    masks = {
        "cross": (wide < size) & (np.minimum(abs(x), abs(y)) < size / 3),
        "disc": far < size,
        "ring": (far < size) & (far > size * 0.6),
        "square": wide < size * 0.9,
    }
    pixels[masks[shape]] = random.permutation([20, 128, 235])
    return (pixels + random.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8)


def encode(pixels: npt.NDArray[Any], kind: str = "PNG", **options: object) -> bytes:
    """Return an image file; a PNG is not compressed, so that the file size does not depend on the content."""
    file = io.BytesIO()
    options = {"compress_level": 0, **options} if kind == "PNG" else options
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()
