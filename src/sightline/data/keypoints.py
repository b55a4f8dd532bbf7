"""Keypoints of an image and their descriptors, which turn, grow and mirror with the image: SIFT in plain arrays.

Source: D. G. Lowe, Distinctive image features from scale-invariant keypoints, IJCV 2004, with two scales an octave;
R. Arandjelovic and A. Zisserman, CVPR 2012, for the square root of the descriptors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Keypoints", "find_keypoints"]

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

_MOST = 150  # keypoints of one image, strongest first
_SIGMA = 1.6  # of the first level
_LEVELS = 2  # an octave
_FAINT = 0.006  # weaker extrema, on a scale of 0 to 1, are noise
_EDGE = 12.0  # ratio of curvatures above which an extremum is an edge
_BINS = 36  # of the histogram of directions
_LEAST_SIDE = 24  # of an octave, in pixels


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Keypoints of one image.

    Attributes:
        width: of the image, in pixels.
        points: ``[K, 2]``: x and y.
        sizes: ``[K]``, in pixels.
        angles: ``[K]``, in radians.
        descriptors: ``[K, 128]`` of unit length: 4 x 4 places of 8 directions.
    """

    width: int
    points: Floats
    sizes: Floats
    angles: Floats
    descriptors: Floats

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def mirrored(self) -> Keypoints:
        """The keypoints of the mirrored image: places across the direction and turning senses change their order."""
        points = self.points * np.array([-1, 1], np.float32) + np.array([self.width - 1, 0], np.float32)
        # Angles turn the other way round: what lies left of the direction lies right of it, with opposite turns.
        descriptors = self.descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., -np.arange(8)].reshape(-1, 128)
        return Keypoints(self.width, points, self.sizes, np.float32(np.pi) - self.angles, descriptors)


def find_keypoints(grey: Floats) -> Keypoints:
    """Return the keypoints of an image ``[H, W]`` of values from 0 to 1.

    Example:
        >>> random = np.random.default_rng(0)
        >>> len(find_keypoints(random.random((64, 64)).astype(np.float32))) > 10
        True
    """
    octaves = list(_octaves(grey))
    places = [
        (octave, level, rows, columns, strength)
        for octave, stack in enumerate(octaves)
        for level, rows, columns, strength in _extrema(np.diff(stack, axis=0))
    ]
    every = np.sort(np.concatenate([strength for *_, strength in places])) if places else np.zeros(0, np.float32)
    weakest = every[-_MOST] if len(every) > _MOST else 0
    found: list[tuple[Floats, ...]] = []
    for octave, level, rows, columns, strength in places:
        is_strong = strength >= weakest
        sigma, scale = _SIGMA * 2 ** (level / _LEVELS), 2**octave
        gradient = np.gradient(octaves[octave][level])
        which, angles = _directions(gradient, rows[is_strong], columns[is_strong], sigma)
        rows, columns = rows[is_strong][which], columns[is_strong][which]
        points = (np.stack([columns, rows], 1) * scale).astype(np.float32)
        sizes = np.full(len(which), sigma * scale, np.float32)
        found.append((points, sizes, angles, _describe(gradient, rows, columns, angles, sigma)))
    if not found:
        return Keypoints(grey.shape[1], *(np.zeros(shape, np.float32) for shape in ((0, 2), 0, 0, (0, 128))))
    points, sizes, angles, descriptors = (np.concatenate(column) for column in zip(*found, strict=True))
    return Keypoints(grey.shape[1], points, sizes, angles, descriptors)


def _octaves(grey: Floats) -> Iterator[Floats]:
    """Yield ``[L, H, W]``: the image more and more blurred, then the same at half the size, as long as it is large."""
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(grey, _SIGMA, mode="nearest", truncate=3)
    while min(image.shape) >= _LEAST_SIDE:
        levels = [image]
        for level in range(1, _LEVELS + 3):
            before, after = (_SIGMA * 2 ** (k / _LEVELS) for k in (level - 1, level))
            more = float(np.sqrt(after**2 - before**2))
            levels.append(gaussian_filter(levels[-1], more, mode="nearest", truncate=3))
        yield np.stack(levels)
        image = levels[_LEVELS][::2, ::2]


def _extrema(differences: Floats) -> Iterator[tuple[int, Places, Places, Floats]]:
    """Yield (level, rows, columns, strength) of extrema in place and scale that are no edges."""
    width = differences.shape[2]
    flat = differences.reshape(len(differences), -1)
    around = (np.arange(-1, 2)[:, None] * width + np.arange(-1, 2)).reshape(-1, 1)
    strong = np.abs(differences[:, 1:-1, 1:-1]) > _FAINT
    for level in range(1, len(differences) - 1):
        rows, columns = np.nonzero(strong[level])
        places = (rows + 1) * width + columns + 1
        for other in (level, level - 1, level + 1):  # few are left after the first
            own, theirs = flat[level].take(places), flat[other].take(around + places)
            is_extreme = (own >= theirs.max(0, initial=-1)) | (own <= theirs.min(0, initial=1))
            places = places[is_extreme]
        d = flat[level]
        centre = 2 * d[places]
        xx = d[places + 1] + d[places - 1] - centre
        yy = d[places + width] + d[places - width] - centre
        xy = (d[places + width + 1] - d[places + width - 1] - d[places - width + 1] + d[places - width - 1]) / 4
        determinant = xx * yy - xy * xy
        is_blob = (determinant > 0) & ((xx + yy) ** 2 * _EDGE < (_EDGE + 1) ** 2 * determinant)
        rows, columns = np.divmod(places[is_blob], width)
        yield level, rows, columns, np.abs(d[places[is_blob]])


def _sample(gradient: Sequence[Floats], rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """Return both parts of the gradient at the nearest pixels; zeros outside."""
    height, width = gradient[0].shape
    down, across = np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)
    is_inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    places = np.where(is_inside, down * width + across, 0)
    first, second = (part.ravel().take(places) * is_inside for part in gradient)
    return first, second


_LATTICE = np.arange(16, dtype=np.float32) - np.float32(7.5)  # samples along each side of a descriptor
_ACROSS, _DOWN = (axis.ravel() for axis in np.meshgrid(_LATTICE, _LATTICE))
_WEIGHT = np.exp(-(_ACROSS**2 + _DOWN**2) / (2 * 8**2)).astype(np.float32)
# Place of each sample among 4 x 4, shared between neighbours as by linear interpolation: [256, 16].
_SHARES = np.clip(1 - np.abs((_LATTICE / 4 + 1.5)[:, None] - np.arange(4)), 0, 1).astype(np.float32)
_PLACES = np.einsum("ri,cj->rcij", _SHARES, _SHARES).reshape(256, 16)


# The bins on either side of each, around the circle.
_BEFORE, _AFTER = np.arange(_BINS) - 1, np.arange(1, _BINS + 1) % _BINS


def _directions(gradient: Sequence[Floats], rows: Places, columns: Places, sigma: float) -> tuple[Places, Floats]:
    """Return (place of the keypoint, angle) of each strong direction; a keypoint may have two."""
    step = 4.5 * sigma / 8
    down, across = _sample(gradient, rows[:, None] + _DOWN * step, columns[:, None] + _ACROSS * step)
    weight = np.hypot(down, across) * np.exp(-(_ACROSS**2 + _DOWN**2) * step**2 / (2 * (1.5 * sigma) ** 2))
    bins = np.floor(np.arctan2(down, across) / (2 * np.pi) * _BINS).astype(np.intp) % _BINS
    keys = bins + _BINS * np.arange(len(rows))[:, None]
    tally = np.bincount(keys.ravel(), weight.ravel(), _BINS * len(rows)).reshape(-1, _BINS).astype(np.float64)
    for _ in range(3):
        tally = (tally.take(_BEFORE, 1) + tally + tally.take(_AFTER, 1)) / 3
    before, after = tally.take(_BEFORE, 1), tally.take(_AFTER, 1)
    is_peak = (tally > before) & (tally >= after) & (tally >= 0.8 * tally.max(1, keepdims=True))
    places, peaks = np.nonzero(is_peak)
    low, middle, high = (one[places, peaks] for one in (before, tally, after))
    offset = 0.5 * (low - high) / np.minimum(low - 2 * middle + high, -1e-12)
    return places, ((peaks + 0.5 + offset) * (2 * np.pi / _BINS)).astype(np.float32)


def _describe(gradient: Sequence[Floats], rows: Places, columns: Places, angles: Floats, sigma: float) -> Floats:
    """Return descriptors ``[K, 128]``: how much each of 8 directions occurs in 4 x 4 places, along the angle."""
    step = 3 * sigma / 4
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x = columns[:, None] + step * (cosine * _ACROSS - sine * _DOWN)
    y = rows[:, None] + step * (sine * _ACROSS + cosine * _DOWN)
    down, across = _sample(gradient, y, x)
    weight = np.hypot(down, across) * _WEIGHT
    turn = (np.arctan2(down, across) - angles[:, None]) * (8 / (2 * np.pi))
    whole = np.floor(turn)
    part = (turn - whole).astype(np.float32)
    first = whole.astype(np.intp) & 7
    layers = np.zeros(8 * first.size, np.float32)  # [K, 256, 8]
    start = np.arange(0, len(layers), 8).reshape(first.shape)
    layers[start + first] = weight * (1 - part)
    layers[start + (first + 1 & 7)] = weight * part
    found = np.tensordot(_PLACES, layers.reshape(-1, 256, 8), (0, 1)).transpose(1, 0, 2).reshape(-1, 128)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    np.minimum(found, 0.2, out=found)
    found /= np.maximum(found.sum(1, keepdims=True), 1e-9)
    return np.asarray(np.sqrt(found), np.float32)
