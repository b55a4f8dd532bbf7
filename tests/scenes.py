"""Images with the statistics of photos, and versions of them, drawn from a seed."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def scene(seed: int, side: int = 96) -> Image.Image:
    """An image with the statistics of a photo: structure at every scale (a 1/f spectrum), in three colours."""
    random = np.random.default_rng(seed)
    rows = np.fft.fftfreq(side)[:, None]
    radius = np.maximum(np.hypot(rows, np.fft.rfftfreq(side)[None]), 1 / side)
    layers = []
    for _ in range(3):
        noise = random.normal(size=(side, side // 2 + 1)) + 1j * random.normal(size=(side, side // 2 + 1))
        layers.append(np.fft.irfft2(noise / radius**1.3, (side, side)))
    pixels = np.stack(layers, -1) + layers[0][..., None]
    low, high = np.quantile(pixels, (0.01, 0.99))
    return Image.fromarray(((pixels - low) / (high - low) * 255).clip(0, 255).astype(np.uint8))


def sheared(image: Image.Image, share: float) -> Image.Image:
    """Move rows sideways, more the lower they are."""
    middle = share * image.height / 2
    return image.transform(image.size, Image.Transform.AFFINE, (1, share, -middle, 0, 1, 0), Image.Resampling.BICUBIC)


def zoomed(image: Image.Image, share: float) -> Image.Image:
    """Return the middle of an image, as large as the image."""
    edge = (1 - share) / 2
    box = (image.width * edge, image.height * edge, image.width * (1 - edge), image.height * (1 - edge))
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def recoloured(image: Image.Image) -> Image.Image:
    """Return the image darker, with other colours."""
    pixels = np.asarray(ImageEnhance.Brightness(image).enhance(0.7), np.float32) * [1.2, 0.9, 1.0]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


VERSIONS = {
    "turned by 15 degrees": lambda image: image.rotate(15, Image.Resampling.BICUBIC),
    "turned by 130 degrees": lambda image: image.rotate(130, Image.Resampling.BICUBIC),
    "turned and smaller": lambda image: image.rotate(75, Image.Resampling.BICUBIC).resize((70, 70)),
    "shifted": lambda image: image.rotate(0, translate=(16, -12), fillcolor=(90, 90, 90)),
    "zoomed": lambda image: zoomed(image, 0.75),
    "sheared": lambda image: sheared(image, 0.25),
    "mirrored and turned": lambda image: ImageOps.mirror(image).rotate(-40, Image.Resampling.BICUBIC),
    "turned on its head": lambda image: ImageOps.flip(image),
    "recoloured and shifted": lambda image: recoloured(image.rotate(0, translate=(10, 10))),
    "without colour": lambda image: image.convert("L").convert("RGB").rotate(30, Image.Resampling.BICUBIC),
}


def round_thing(seed: int) -> Image.Image:
    """A photo of something round from above, on plain ground: soft light, a rim, no details."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:256, 0:192]
    far = np.hypot((x - 96) / (70 + seed), (y - 128) / (66 - seed))
    inside = (1 / (1 + np.exp((far - 1) * 40)))[..., None]
    light = (1 + 0.25 * np.cos(np.arctan2(y - 128, x - 96) - random.uniform(0, 6.28)) * far)[..., None]
    pixels = np.array([205, 200, 190]) * (1 - inside) + random.uniform(30, 120, 3) * light * inside
    pixels -= 25 * np.exp(-(((far - 1.02) / 0.03) ** 2))[..., None]
    return Image.fromarray((pixels + random.normal(0, 1.5, pixels.shape)).clip(0, 255).astype(np.uint8))
