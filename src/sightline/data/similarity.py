"""Whether two images are the same except for size, compression, brightness, mirroring or a small crop."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.modes import Range

__all__ = ["COMPARISONS", "ComparedImage", "Comparison", "compare", "correlations"]

Views = npt.NDArray[np.complex64]

_FAINT = 0.001  # weaker edges, on a scale of 0 to 1, are noise
_LEAST_SIDE = 16  # smaller images have too little detail to tell a copy from a similar image
_AT_ONCE = 16  # pairs or images: what is computed of them stays in the processor's cache


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

    @cached_property
    def in_band(self) -> npt.NDArray[np.intp]:
        """Positions of the frequencies that count, in a spectrum as one row: the others are zero."""
        return np.flatnonzero(self.mask)

    @cached_property
    def waves(self) -> npt.NDArray[np.float32]:
        """``[2F, S]``: what the real and the imaginary part of each frequency add at each shift that is tried."""
        most = self.side // 10
        shifts = np.arange(-most, most + 1)
        down, across = (axis.ravel() for axis in np.meshgrid(shifts, shifts, indexing="ij"))
        rows, columns = np.divmod(self.in_band, self.side // 2 + 1)
        angle = 2 * np.pi / self.side * (rows[:, None] * down + columns[:, None] * across)
        twice = np.where(columns == 0, 1, 2)[:, None]  # half of the spectrum stands for both halves
        both = np.stack([twice * np.cos(angle), -twice * np.sin(angle)], 1)
        return both.reshape(-1, len(down)).astype(np.float32)

    def transform(self, greys: Sequence[Image.Image]) -> Views:
        """Return ``[N, V, F]`` spectra of unit length: of each centre at each scale, and last of the mirrored image.

        Several images are transformed at once: small ones would take longer to be handed over than to be transformed.
        """
        from scipy.fft import irfft2, rfft2  # several times as fast as numpy's

        views = self._middles(greys)
        stack = np.concatenate([views, views[:, :1, :, ::-1]], 1)
        edges = irfft2(rfft2(stack) * self.mask, stack.shape[2:])
        most = np.abs(edges).mean((2, 3), keepdims=True)
        np.clip(edges, -most, most, out=edges)
        edges *= self.window
        whole = rfft2(edges)
        spectra = whole.reshape(*stack.shape[:2], -1).take(self.in_band, 2)
        power = 2 * (spectra.real**2 + spectra.imag**2).sum(2, keepdims=True)  # of both halves
        spectra[most[:, :, 0, 0] < _FAINT] = 0
        return np.asarray(spectra / np.sqrt(np.maximum(power, 1e-9)), np.complex64)

    def _middles(self, greys: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Return ``[N, scales, side, side]``: the centre of each image at each scale."""
        side, count = self.side, len(self.scales)
        column = Image.new("L", (side, side * count * len(greys)))  # read as an array once: each time takes a while
        for place, grey in enumerate(greys):
            for number, scale in enumerate(self.scales, place * count):
                x, y = grey.width * (1 - scale) / 2, grey.height * (1 - scale) / 2
                box = (x, y, grey.width - x, grey.height - y)
                column.paste(grey.resize((side, side), Image.Resampling.BILINEAR, box=box), (0, number * side))
        views = np.asarray(column).astype(np.float32).reshape(-1, count, side, side)
        views /= np.float32(255)
        return views

    def correlate(self, ones: Views, others: Views) -> npt.NDArray[np.float32]:
        """Return ``[P]``: the best correlation of the edges of two images over all shifts, -1 to 1.

        Args:
            ones, others: ``[P, V, F]`` spectra of both images of each pair.
        """
        ones = ones.conj()
        smaller, whole = ones[:, 1:-1], others[:, :-1]
        products = [ones[:, :1] * whole, ones[:, -1:] * whole, smaller * others[:, :1], smaller * others[:, -1:]]
        rows = np.ascontiguousarray(np.concatenate(products, 1)).view(np.float32)
        # Few shifts are tried and few frequencies count: one product of matrices takes a tenth of inverse transforms.
        fits = rows.reshape(-1, rows.shape[2]) @ self.waves
        return np.asarray(fits.reshape(len(ones), -1).max(1))


# All pairs are compared at the first size; those that pass also at the second, where both images are large enough.
COMPARISONS = (
    Comparison(32, (2, 12), (1.0, 0.95, 0.9, 0.85, 0.8), 0.6),
    Comparison(64, (8, 24), (1.0, 0.975, 0.95, 0.925, 0.9, 0.875, 0.85, 0.825, 0.8), 0.66),
)


class ComparedImage:
    """One image and its spectra, computed when first needed; its full-size pixels are not kept.

    Attributes:
        side: short side of the image, in pixels; 0 where it can't be read.
        grey: the image in grey, no larger than the comparisons need; a single pixel where it can't be read.
        spectra: of the comparisons that were made.
    """

    def __init__(self, place: Place, value_range: Range | None = None) -> None:
        self.side = 0
        self.grey = Image.new("L", (1, 1))
        self.spectra: dict[Comparison, Views] = {}
        most = 4 * COMPARISONS[-1].side
        try:
            pixels = decode_image(place, value_range=value_range, least_side=most)
        except UnreadableImage:
            return
        self.side = min(pixels.shape[:2])
        self.grey = Image.fromarray(pixels).convert("L")
        if max(self.grey.size) > most:
            size = min(most, self.grey.width), min(most, self.grey.height)
            self.grey = self.grey.resize(size, Image.Resampling.BOX)


def compare(pairs: Sequence[tuple[ComparedImage, ComparedImage]], pool: Executor) -> npt.NDArray[np.float32]:
    """Return the correlation of each pair in the last comparison that both images are large enough for.

    0 where one can't be read or is too small, or where an earlier comparison finds them different.

    Args:
        pairs: of images.
        pool: whose threads compute the spectra.

    Example:
        ``compare([(ComparedImage(place), ComparedImage(other))], pool)[0] > 0.9``
    """
    sides = np.array([min(one.side, other.side) for one, other in pairs], np.intp)
    found = np.zeros(len(pairs), np.float32)
    is_left = sides >= _LEAST_SIDE
    for level, comparison in enumerate(COMPARISONS):
        left = np.flatnonzero(is_left & (sides >= comparison.side * (level > 0)))
        found[left] = correlations([pairs[place] for place in left.tolist()], comparison, pool)
        is_left[left] = found[left] > comparison.same
        found[left[~is_left[left]]] = 0
    return found


def correlations(
    pairs: Sequence[tuple[ComparedImage, ComparedImage]], comparison: Comparison, pool: Executor
) -> npt.NDArray[np.float32]:
    """Return the correlation of each pair in one comparison, whatever others find.

    Args:
        pairs: of images that can be read.
        comparison: of ``COMPARISONS``.
        pool: whose threads compute the spectra.
    """
    _transform_all([image for pair in pairs for image in pair], comparison, pool)
    found = [np.zeros(0, np.float32)]
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        ones, others = (np.stack([pair[side].spectra[comparison] for pair in some]) for side in (0, 1))
        found.append(comparison.correlate(ones, others))
    return np.concatenate(found)


def _transform_all(images: Sequence[ComparedImage], comparison: Comparison, pool: Executor) -> None:
    """Compute the spectra of each image that has none yet."""
    missing = list({id(image): image for image in images if comparison not in image.spectra}.values())
    tasks = [missing[start : start + _AT_ONCE] for start in range(0, len(missing), _AT_ONCE)]
    views = pool.map(comparison.transform, [[image.grey for image in task] for task in tasks])
    for task, found in zip(tasks, views, strict=True):
        for image, spectra in zip(task, found, strict=True):
            image.spectra[comparison] = spectra
