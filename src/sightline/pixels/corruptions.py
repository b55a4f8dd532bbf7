"""Corruptions as they occur in practice, as functions of pixels in three severities."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from sightline.pixels.decode import RGB

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corrupt"]

Random = np.random.Generator
SEVERITIES = (1, 2, 3)


def blur(image: RGB, share: float, random: Random) -> RGB:
    """Gaussian blur with a standard deviation of ``share`` of the short side (Pillow's, by three box filters)."""
    radius = share * min(image.shape[:2])
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noise(image: RGB, share: float, random: Random) -> RGB:
    """Gaussian noise of every pixel and channel with a standard deviation of ``share`` of the range of levels."""
    noisy = image + random.normal(0, 255 * share, image.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def jpeg(image: RGB, quality: float, random: Random) -> RGB:
    """Written as a JPEG of that quality and read again (Pillow's: colours at half resolution)."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=round(quality))
    return np.asarray(Image.open(out).convert("RGB"))


def brightness(image: RGB, factor: float, random: Random) -> RGB:
    """Levels times ``factor``, cut off at white."""
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(factor))


def contrast(image: RGB, factor: float, random: Random) -> RGB:
    """Distance of the levels from the mean grey of the image times ``factor``."""
    return np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))


def rotation(image: RGB, degrees: float, random: Random) -> RGB:
    """Turned about its centre, to a random side, bilinear; the corners are filled by reflection."""
    turn = degrees if random.random() < 0.5 else -degrees
    height, width = image.shape[:2]
    edge = max(height, width) // 2
    padded = Image.fromarray(np.pad(image, ((edge, edge), (edge, edge), (0, 0)), mode="symmetric"))
    turned = padded.rotate(turn, Image.Resampling.BILINEAR)
    return np.asarray(turned)[edge : edge + height, edge : edge + width]


def resolution(image: RGB, times: float, random: Random) -> RGB:
    """Shrunk ``times`` in each direction, antialiased, and enlarged again (both bilinear)."""
    whole = Image.fromarray(image)
    small = (max(1, round(whole.width / times)), max(1, round(whole.height / times)))
    few = whole.resize(small, Image.Resampling.BILINEAR)
    return np.asarray(few.resize(whole.size, Image.Resampling.BILINEAR))


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        apply: from an image, a strength and a random generator to an image of the same shape.
        strengths: of the severities 1, 2 and 3.
        words: a format string that describes a strength.
    """

    apply: Callable[[RGB, float, Random], RGB]
    strengths: tuple[float, float, float]
    words: str

    def describe(self, severity: int) -> str:
        """Describe a severity in words.

        Example:
            >>> CORRUPTIONS["jpeg"].describe(2)
            'JPEG quality 25'
        """
        return self.words.format(self.strengths[severity - 1]).replace("%", " %")


# A new corruption is one function and one row. The kinds are those of ImageNet-C (Hendrycks and Dietterich 2019, arXiv
# 1903.12261) that any camera, phone or messenger causes; strengths are relative, so that they fit images of any size.
CORRUPTIONS: dict[str, Corruption] = {
    "blur": Corruption(blur, (0.005, 0.01, 0.02), "blurred over {:.1%} of the side"),
    "noise": Corruption(noise, (0.05, 0.1, 0.2), "noise of {:.0%} of the range"),
    "jpeg": Corruption(jpeg, (50, 25, 10), "JPEG quality {:.0f}"),
    "darker": Corruption(brightness, (0.75, 0.5, 0.25), "{:.0%} of the brightness"),
    "brighter": Corruption(brightness, (1.25, 1.5, 2), "{:.0%} of the brightness"),
    "contrast": Corruption(contrast, (0.6, 0.4, 0.2), "{:.0%} of the contrast"),
    "rotation": Corruption(rotation, (5, 15, 30), "turned by {:.0f} degrees"),
    "resolution": Corruption(resolution, (2, 3, 4), "1/{:.0f} of the resolution"),
}


def corrupt(image: RGB, name: str, severity: int, *, seed: int = 0) -> RGB:
    """Return an image with one corruption; the same for the same image and seed.

    Args:
        image: ``[H, W, 3] uint8``, usually the square input of the network.
        name: a key of ``CORRUPTIONS``.
        severity: 0 (unchanged) to 3.
        seed: of the random part; it depends on the image's content, not on its position among others.

    Returns:
        ``[H, W, 3] uint8``.

    Raises:
        ValueError: for another severity.

    Example:
        >>> corrupt(np.full((4, 4, 3), 200, np.uint8), "darker", 2)[0, 0].tolist()
        [100, 100, 100]
    """
    if severity == 0:
        return image
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity} is not one of {(0, *SEVERITIES)}")
    content = hashlib.sha256(image.tobytes() + name.encode()).digest()
    random = np.random.default_rng([seed, int.from_bytes(content[:8], "big")])
    corruption = CORRUPTIONS[name]
    return corruption.apply(image, corruption.strengths[severity - 1], random)
