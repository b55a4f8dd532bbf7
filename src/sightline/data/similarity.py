"""Whether two images are the same except for size, compression, brightness, mirroring or a small crop."""

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

__all__ = ["COMPARISONS", "ComparedImage", "Comparison", "compare"]

Views = npt.NDArray[np.complex64]

_FAINT = 0.001  # weaker edges, on a scale of 0 to 1, are noise
_LEAST_SIDE = 16  # smaller images have too little detail to tell a copy from a similar image


@dataclass(frozen=True)
class Comparison:
    """How two images are compared at one size: at every shift, scale and mirroring that a small crop can cause.

    Both are whitened within a band of frequencies, so that edges count and brightness does not, and clipped, so
    that an outline counts no more than the texture inside: two black trousers are not the same image.
    """

    side: int
    band: tuple[int, int]  # cycles per image
    scales: tuple[float, ...]  # share of the side that a crop of either image leaves
    same: float  # correlation from which on two images may be the same

    @cached_property
    def mask(self) -> npt.NDArray[np.float32]:
        """Weight of each frequency: the frequency itself within the band, so that all count the same in a photo."""
        rows = np.fft.fftfreq(self.side, 1 / self.side)
        radius = np.hypot(rows[:, None], np.arange(self.side // 2 + 1)[None])
        return np.where((radius >= self.band[0]) & (radius <= self.band[1]), radius, 0).astype(np.float32)

    @cached_property
    def window(self) -> npt.NDArray[np.float32]:
        """Weight of each pixel: less towards the edge, where a shift brings in other content."""
        slope = np.sqrt(np.hanning(self.side + 2)[1:-1])
        return np.asarray(np.outer(slope, slope), np.float32)

    def transform(self, grey: Image.Image) -> Views:
        """Return spectra of unit length: of the centre at each scale, and last of the mirrored image."""
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

    def correlate(self, one: Views, other: Views) -> float:
        """Return the best correlation of the edges of two images over all shifts, -1 to 1."""
        whole, mirror = one[0].conj(), one[-1].conj()
        smaller = one[1:-1].conj()
        products = [whole * other[:-1], mirror * other[:-1], smaller * other[0], smaller * other[-1]]
        fits = np.fft.irfft2(np.concatenate(products), (self.side, self.side)) * self.side**2
        most = self.side // 10
        near = np.r_[0 : most + 1, -most:0]
        return float(fits[:, near][:, :, near].max())


# All pairs are compared at the first size; those that pass also at the second, where both images are large enough.
COMPARISONS = (
    Comparison(32, (2, 12), (1.0, 0.95, 0.9, 0.85, 0.8), 0.6),
    Comparison(64, (8, 24), (1.0, 0.975, 0.95, 0.925, 0.9, 0.875, 0.85, 0.825, 0.8), 0.66),
)


class ComparedImage:
    """One image and its spectra, computed when first needed; its full-size pixels are not kept.

    Attributes:
        side: short side of the image, in pixels; 0 where it can't be read.
    """

    def __init__(self, place: Place, value_range: Range | None = None) -> None:
        self.side = 0
        self._views: dict[Comparison, Views] = {}
        most = 4 * COMPARISONS[-1].side
        try:
            pixels = decode_image(place, value_range=value_range, least_side=most)
        except UnreadableImage:
            return
        self.side = min(pixels.shape[:2])
        grey = Image.fromarray(pixels).convert("L")
        if max(grey.size) > most:
            grey = grey.resize((min(most, grey.width), min(most, grey.height)), Image.Resampling.BOX)
        self._grey = grey

    def spectra(self, comparison: Comparison) -> Views:
        """Return the spectra that a comparison needs."""
        if comparison not in self._views:
            self._views[comparison] = comparison.transform(self._grey)
        return self._views[comparison]


def compare(one: ComparedImage, other: ComparedImage) -> float:
    """Return the correlation of two images in the last comparison that they are large enough for.

    0 where one can't be read or is too small, or where an earlier comparison finds them different.
    """
    side, correlation = min(one.side, other.side), 0.0
    if side < _LEAST_SIDE:
        return 0.0
    for comparison in COMPARISONS[: 1 + (side >= COMPARISONS[1].side)]:
        correlation = comparison.correlate(one.spectra(comparison), other.spectra(comparison))
        if correlation <= comparison.same:
            return 0.0
    return correlation
