"""Images without an object: noise, flat colours, text, checkerboards. A classifier should answer unknown for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sightline.pixels.decode import RGB

__all__ = ["NON_IMAGES", "make_non_images"]

_WORDS = """Invoice No. 2041
Dear Sir or Madam,
please find enclosed the
list of items that you
asked for: 14 x 3.50
Total 49.00"""


def _noise(random: np.random.Generator, size: int) -> RGB:
    return random.integers(0, 256, (size, size, 3), np.uint8)


def _flat(random: np.random.Generator, size: int) -> RGB:
    return np.broadcast_to(random.integers(0, 256, 3, np.uint8), (size, size, 3)).copy()


def _checkerboard(random: np.random.Generator, size: int) -> RGB:
    field = max(1, size // int(random.integers(3, 13)))
    row = np.arange(size) // field
    colours = random.integers(0, 256, (2, 3), np.uint8)
    board: RGB = colours[(row[:, None] + row[None]) % 2]
    return board


def _text(random: np.random.Generator, size: int) -> RGB:
    ink, paper = ((0, 0, 0), (255, 255, 255)) if random.random() < 0.5 else ((20, 30, 90), (245, 240, 220))
    page = Image.new("RGB", (224, 224), paper)
    place = (int(random.integers(0, 40)), int(random.integers(0, 90)))
    ImageDraw.Draw(page).text(place, _WORDS, ink, ImageFont.load_default(int(random.integers(10, 22))))
    return np.asarray(page.resize((size, size), Image.Resampling.BILINEAR))


# A new kind is one function and one row.
NON_IMAGES: dict[str, Callable[[np.random.Generator, int], RGB]] = {
    "noise": _noise,
    "flat colour": _flat,
    "checkerboard": _checkerboard,
    "text": _text,
}


def make_non_images(kind: str, size: int, count: int = 16) -> RGB:
    """Return ``[count, size, size, 3] uint8`` of a key of ``NON_IMAGES``; always the same ones.

    Example:
        >>> make_non_images("noise", 32, 4).shape
        (4, 32, 32, 3)
    """
    random = np.random.default_rng(list(NON_IMAGES).index(kind))
    return np.stack([NON_IMAGES[kind](random, size) for _ in range(count)])
