"""Whether two images are one, but for size, compression, brightness, a mirror or a small crop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.modes import Range

__all__ = ["LENSES", "Glance", "Lens", "compare"]

Views = npt.NDArray[np.complex64]

_FAINT = 0.001  # edges below this, of a whole range of 1, are noise
_LEAST_SIDE = 16  # smaller images hold too little to tell a copy from a likeness


@dataclass(frozen=True)
class Lens:
    """How two images are compared at one size: every shift, scale and mirror that a small crop can bring.

    Both are whitened within a band of frequencies, so that edges decide and not where it is dark, and clipped, so
    that an outline counts no more than the texture inside: two black trousers are not one image.
    """

    side: int
    band: tuple[int, int]  # cycles an image
    scales: tuple[float, ...]  # the share of the side that a crop leaves, for each of the two
    same: float  # correlation from which on two images may be one

    @cached_property
    def mask(self) -> npt.NDArray[np.float32]:
        """What each frequency counts: its height within the band, so that all count alike in a photo."""
        rows = np.fft.fftfreq(self.side, 1 / self.side)
        radius = np.hypot(rows[:, None], np.arange(self.side // 2 + 1)[None])
        return np.where((radius >= self.band[0]) & (radius <= self.band[1]), radius, 0).astype(np.float32)

    @cached_property
    def window(self) -> npt.NDArray[np.float32]:
        """What each pixel counts: less towards the edge, where a shift brings in something else."""
        slope = np.sqrt(np.hanning(self.side + 2)[1:-1])
        return np.asarray(np.outer(slope, slope), np.float32)

    def see(self, grey: Image.Image) -> Views:
        """Return spectra of unit length: of the middle at each scale, and last of the mirror."""
        views = [self._middle(grey, scale) for scale in self.scales]
        stack = np.stack([*views, views[0][:, ::-1]])
        edges = np.fft.irfft2(np.fft.rfft2(stack) * self.mask, stack.shape[1:])
        most = np.abs(edges).mean((1, 2), keepdims=True)
        spectra = np.fft.rfft2(np.clip(edges, -most, most) * self.window) * (self.mask > 0)
        power = 2 * (np.abs(spectra) ** 2).sum((1, 2), keepdims=True)  # half of the spectrum stands for both halves
        spectra[most.ravel() < _FAINT] = 0
        return np.asarray(spectra / np.sqrt(np.maximum(power, 1e-9)), np.complex64)

    def _middle(self, grey: Image.Image, scale: float) -> npt.NDArray[np.float32]:
        x, y = grey.width * (1 - scale) / 2, grey.height * (1 - scale) / 2
        box = (x, y, grey.width - x, grey.height - y)
        small = grey.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box)
        return np.asarray(small, np.float32) / np.float32(255)

    def fit(self, one: Views, other: Views) -> float:
        """Return how well two images cover each other, -1 to 1: the best correlation of their edges."""
        whole, mirror = one[0].conj(), one[-1].conj()
        smaller = one[1:-1].conj()
        products = [whole * other[:-1], mirror * other[:-1], smaller * other[0], smaller * other[-1]]
        fits = np.fft.irfft2(np.concatenate(products), (self.side, self.side)) * self.side**2
        most = self.side // 10
        near = np.r_[0 : most + 1, -most:0]
        return float(fits[:, near][:, :, near].max())


# The first lens is for all pairs; those that pass it are looked at through the second where both are large enough.
LENSES = (
    Lens(32, (2, 12), (1.0, 0.95, 0.9, 0.85, 0.8), 0.6),
    Lens(64, (8, 24), (1.0, 0.975, 0.95, 0.925, 0.9, 0.875, 0.85, 0.825, 0.8), 0.66),
)


class Glance:
    """One image as the lenses see it, each when it is first needed; what they don't need of it is let go.

    Attributes:
        side: short side of the image, in pixels; 0 where it can't be read.
    """

    def __init__(self, place: Place, value_range: Range | None = None) -> None:
        self.side = 0
        self._views: dict[Lens, Views] = {}
        most = 4 * LENSES[-1].side
        try:
            pixels = decode_image(place, value_range=value_range, least_side=most)
        except UnreadableImage:
            return
        self.side = min(pixels.shape[:2])
        grey = Image.fromarray(pixels).convert("L")
        if max(grey.size) > most:
            grey = grey.resize((min(most, grey.width), min(most, grey.height)), Image.Resampling.BOX)
        self._grey = grey

    def through(self, lens: Lens) -> Views:
        """Return the image as a lens sees it."""
        if lens not in self._views:
            self._views[lens] = lens.see(self._grey)
        return self._views[lens]


def compare(one: Glance, other: Glance) -> float:
    """Return how well two images cover each other through the last lens that they are large enough for.

    0 where one can't be read or is too small, or where an earlier lens finds them different.
    """
    side, fit = min(one.side, other.side), 0.0
    if side < _LEAST_SIDE:
        return 0.0
    for lens in LENSES[: 1 + (side >= LENSES[1].side)]:
        fit = lens.fit(one.through(lens), other.through(lens))
        if fit <= lens.same:
            return 0.0
    return fit
