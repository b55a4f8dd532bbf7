"""Conversion of every supported pixel format to RGB ``uint8``; other formats are refused.

The rules are listed in ``docs/data.md``, and each has a test of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.errors import UnreadableImage

__all__ = ["BACKGROUND", "RGB", "Range", "Rules", "to_rgb"]

BACKGROUND = (255, 255, 255)

RGB = npt.NDArray[np.uint8]
Range = tuple[float, float]

_MAY_BE_TRANSPARENT = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa")
_STRIP = 2**22  # values that are scaled at once


@dataclass(frozen=True, slots=True)
class Rules:
    """Choices about the conversion of pixels.

    Attributes:
        value_range: (low, high): values of black and white in 16-bit grey, 32-bit and float images.
        background: colour behind transparent pixels.
    """

    value_range: Range | None = None
    background: tuple[int, int, int] = BACKGROUND


def to_rgb(image: Image.Image, label: str, rules: Rules) -> Image.Image:
    """Decode an opened image and return it in RGB, not rotated.

    Raises:
        UnreadableImage: for a mode without a rule. Pillow's own errors are passed on.
    """
    raw_mode, maximum = _storage(image)
    image.load()
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _from_16_bits(image, rules, maximum)
    if image.mode in ("I", "F") and rules.value_range:
        return Image.fromarray(_as_rgb(_scaled(np.asarray(image), rules.value_range)))
    return _from_8_bits(image, label, rules, raw_mode)


def _storage(image: Image.Image) -> tuple[str, int]:
    """Return (Pillow's raw mode, highest number) of a file that is not decoded yet; ("", 65535) if unknown."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    parts = arguments if isinstance(arguments, tuple) else (arguments,)
    return (str(parts[0]) if parts else ""), image.info.get("maximum") or 65535


def _from_16_bits(image: Image.Image, rules: Rules, maximum: int) -> Image.Image:
    """Return 16-bit grey: by the range, or the high byte; a transparent level becomes the background."""
    values = np.asarray(image)
    bits = 16
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits = max(9, min(16, _first(tags.get(258, 16))))
        if _first(tags.get(262, 1)) == 0:  # white is 0; Pillow inverts it for 8 bits only
            values = (2**bits - 1) - values
    if not rules.value_range:
        shifted = values >> (bits - 8)
        rgb = _as_rgb(shifted.clip(0, 255).astype(np.uint8))
    else:
        # Pillow stretches grey maps of any maximum to 65535; a range is in the values of the file.
        low, high = (bound * 65535 / maximum for bound in rules.value_range)
        rgb = _as_rgb(_scaled(values, (low, high)))
    key = image.info.get("transparency")
    if isinstance(key, int):
        rgb[values == key] = rules.background
    return Image.fromarray(rgb)


def _first(tag: Any) -> int:
    return int(tag[0] if isinstance(tag, tuple) else tag)


def _scaled(values: npt.NDArray[Any], value_range: Range) -> npt.NDArray[np.uint8]:
    """Return values as grey, low as black and high as white; NaN is black."""
    low, high = value_range
    grey = np.empty(values.shape, np.uint8)
    rows = max(1, _STRIP // max(1, values.shape[1]))  # in strips: double precision needs eight times the memory
    for top in range(0, len(values), rows):
        part = values[top : top + rows].astype(np.float64)
        part[np.isnan(part)] = low
        grey[top : top + rows] = ((part.clip(low, high) - low) * (255 / (high - low))).round()
    return grey


def _as_rgb(grey: npt.NDArray[np.uint8]) -> RGB:
    return np.repeat(grey[..., None], 3, axis=2)


_NUMBERS = {"I": "32-bit integers and signed 16-bit ones", "F": "floating-point pixels"}


def _from_8_bits(image: Image.Image, label: str, rules: Rules, raw_mode: str) -> Image.Image:
    """Turn each Pillow mode of 8 bits or less into RGB."""
    mode = image.mode
    if mode in _MAY_BE_TRANSPARENT and image.has_transparency_data:
        return _composited(image, rules.background, raw_mode)
    if mode == "RGB":
        return image
    if mode in ("1", "L", "P", "RGBX", "CMYK", "YCbCr"):
        return image.convert("RGB")
    if mode in ("I", "F"):
        reason = f"{_NUMBERS[mode]} have no standard brightness range"
        how = "check and train take the values of black and white (sightline check DATA --range LOW,HIGH)"
        raise UnreadableImage(label, f"{reason}; {how}")
    raise UnreadableImage(label, f"pixels of mode {mode} are not supported; convert it to 8-bit RGB")


def _composited(image: Image.Image, background: tuple[int, int, int], raw_mode: str) -> Image.Image:
    """Composite a transparent image on the background; a colour key is converted to the depth of the pixels."""
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    key = image.info.get("transparency")
    if raw_mode in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[raw_mode]
    elif "16" in raw_mode and isinstance(key, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in key)
    flat = Image.new("RGB", image.size)
    rows = max(1, _STRIP // image.width)  # in strips: each of the three copies needs four bytes a pixel
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        flat.paste(
            Image.alpha_composite(Image.new("RGBA", strip.size, (*background, 255)), strip).convert("RGB"), (0, top)
        )
    return flat
