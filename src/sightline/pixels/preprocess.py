"""From a decoded image to the square input of the network, in two steps.

``shrink`` makes the image that the cache stores, once; ``finish`` crops or pads it to the square. Evaluation, export
and prediction always do both; training does ``shrink`` once and then takes random crops. Normalisation is part of the
network's graph, so all pixels outside it are ``uint8``.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from PIL import Image

from sightline.errors import ModelError
from sightline.pixels.containers import Place
from sightline.pixels.decode import BACKGROUND, RGB, decode_image, to_rgb_array
from sightline.text import one_line

__all__ = ["MAX_STORED_ASPECT", "Preprocess"]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_FITS = ("crop", "pad", "squash")
# An image 100,000 pixels wide and one high would be stored with 25 million: the parts that no crop uses are cut off.
MAX_STORED_ASPECT = 4


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a decoded image becomes the network's ``[size, size, 3] uint8`` square.

    Attributes:
        size: side of the square, in pixels.
        resize: short side of the stored image for ``crop`` (at least ``size``); the others ignore it.
        fit: ``crop`` takes the centre, ``pad`` keeps everything on a background, ``squash`` changes the aspect.
        interpolation: ``bilinear``, ``bicubic`` or ``lanczos``, all antialiased (Pillow's).
        background: RGB colour of padding and behind transparent pixels, 0 to 255 each.
        draft: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its short side keeps ``draft`` times
            ``resize`` pixels, which is several times faster for photos; 0 decodes every pixel.
        value_range: (low, high): the values of black and white in 16-bit, 32-bit and float images; with None,
            16-bit images keep their high byte and the others are refused.

    Example:
        >>> import numpy as np
        >>> photo = np.zeros((300, 400, 3), np.uint8)
        >>> Preprocess(size=224, resize=256).apply(photo).shape
        (224, 224, 3)
    """

    size: int
    resize: int
    fit: Literal["crop", "pad", "squash"] = "crop"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    background: tuple[int, int, int] = BACKGROUND
    draft: int = 0
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        sides = (self.size, self.resize, self.draft)
        ok = self.fit in _FITS and self.interpolation in _FILTERS and all(isinstance(side, int) for side in sides)
        ok = ok and 1 <= self.size <= self.resize <= 4096 and 0 <= self.draft <= 16
        ok = ok and len(self.background) == 3 and all(level in range(256) for level in self.background)
        if not ok or not _rises(self.value_range):
            raise ModelError(
                "model.preprocess",
                f"the preprocessing {one_line(asdict(self), 500)} is not valid",
                f"use fit {'|'.join(_FITS)}, interpolation {'|'.join(_FILTERS)}, 1 <= size <= resize <= 4096, "
                "a background of three levels from 0 to 255, 0 <= draft <= 16 and a value range LOW < HIGH",
            )

    def decode(self, image: Any, *, name: str | None = None) -> RGB:
        """Decode an image for ``shrink``, with the rules of this preprocessing.

        Args:
            image: a path, an image in a container, bytes, a Pillow image, or an array.
            name: its name in errors.

        Raises:
            UnreadableImage: whatever is wrong with the image.
        """
        if isinstance(image, str | Place | bytes):
            least = self.draft * self.resize
            return decode_image(
                image, name=name, value_range=self.value_range, least_side=least, background=self.background
            )
        return to_rgb_array(image, value_range=self.value_range, background=self.background)

    def shrink(self, image: RGB) -> RGB:
        """Return the image as the cache stores it: small, of any shape (``[h, w, 3] uint8``)."""
        if self.fit == "squash":
            return self._scaled(image, self.size, self.size)
        height, width = image.shape[:2]
        if self.fit == "pad":
            scale = self.size / max(height, width)
            return self._scaled(image, max(1, round(width * scale)), max(1, round(height * scale)))
        image = _limit_aspect(image)
        height, width = image.shape[:2]
        scale = self.resize / min(height, width)
        return self._scaled(image, max(self.resize, round(width * scale)), max(self.resize, round(height * scale)))

    def finish(self, stored: RGB) -> RGB:
        """Return the network's square from a stored image: its centre, or the whole on the background."""
        height, width = stored.shape[:2]
        if (height, width) == (self.size, self.size):
            return stored
        if self.fit == "crop":
            top, left = (height - self.size) // 2, (width - self.size) // 2
            return stored[top : top + self.size, left : left + self.size]
        square = np.empty((self.size, self.size, 3), np.uint8)
        square[:] = self.background
        top, left = (self.size - height) // 2, (self.size - width) // 2
        square[top : top + height, left : left + width] = stored
        return square

    def apply(self, image: RGB) -> RGB:
        """Return ``finish(shrink(image))``: the input of evaluation, export and prediction."""
        return self.finish(self.shrink(image))

    def kept_area(self, width: int, height: int) -> float:
        """Return the share of an image's area that lies within the square, 0 to 1.

        Example:
            >>> round(Preprocess(size=224, resize=224).kept_area(400, 300), 2)
            0.75
        """
        if self.fit != "crop":
            return 1.0
        scale = self.resize / min(width, height)
        return min(1.0, self.size**2 / (scale**2 * width * height))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocess:
        """Return the ``Preprocess`` that ``to_dict`` wrote.

        Raises:
            ModelError: if fields are missing, unknown or out of range.
        """
        try:
            required = {field.name for field in fields(cls)} - {"draft", "value_range"}  # older bundles lack them
            if not required <= set(values):
                raise KeyError(*sorted(required - set(values)))
            typed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            return cls(**typed)
        except (TypeError, KeyError, OverflowError) as error:
            raise ModelError(
                "model.preprocess", f"preprocessing can't be read: {one_line(error)}", "export the model again"
            ) from error

    def _scaled(self, image: RGB, width: int, height: int) -> RGB:
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), _FILTERS[self.interpolation]))


def _rises(value_range: tuple[float, float] | None) -> bool:
    """Tell whether a range is None, or two finite numbers with the second above the first."""
    return value_range is None or (
        len(value_range) == 2 and all(map(math.isfinite, value_range)) and value_range[0] < value_range[1]
    )


def _limit_aspect(image: RGB) -> RGB:
    height, width = image.shape[:2]
    longest = MAX_STORED_ASPECT * min(height, width)
    top, left = max(0, (height - longest) // 2), max(0, (width - longest) // 2)
    return np.ascontiguousarray(image[top : top + min(height, longest), left : left + min(width, longest)])
