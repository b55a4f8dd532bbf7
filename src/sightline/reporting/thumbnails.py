"""Small images for pages: made of pixels alone, without metadata, inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.modes import Range

__all__ = ["Thumbnail", "image_uri", "thumbnail"]

_SIDE = 128
_LEAST, _LONGEST = 8, 2_048  # px: of the short side, and of the long one to reach that


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small image inside a page.

    Attributes:
        uri: a data URI, or None: there is no image that can be read.
        is_small: whether it has fewer pixels than are shown.
    """

    uri: str | None = None
    is_small: bool = False


def thumbnail(place: Place, value_range: Range | None = None, side: int = _SIDE) -> Thumbnail:
    """Return the image of a file, as ``image_uri`` makes it; one without a ``uri`` where it can't be read."""
    try:
        pixels = decode_image(place, value_range=value_range, least_side=2 * side)
    except UnreadableImage:
        return Thumbnail()
    return Thumbnail(image_uri(pixels, side), max(pixels.shape) < _SIDE)


def image_uri(pixels: npt.NDArray[np.uint8], side: int = _SIDE) -> str:
    """Return ``[H, W, 3] uint8`` pixels as a data URI, at most ``side`` px long; longer where it would be a thread.

    A thread of one or two pixels can't keep its shape: what is shown would be stretched.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    is_small = max(image.size) < side
    most = max(side, min(_LONGEST, _LEAST * max(image.size) // min(image.size)))
    image.thumbnail((most, most))
    out = io.BytesIO()
    image.save(out, "PNG" if is_small else "JPEG", quality=80 if side >= _SIDE else 70)
    return f"data:image/{'png' if is_small else 'jpeg'};base64,{base64.b64encode(out.getvalue()).decode()}"
