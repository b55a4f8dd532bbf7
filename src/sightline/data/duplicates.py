"""Images that show one picture though their files differ: resized, saved again, mirrored, slightly cropped.

Candidates are pairs whose signatures (see ``pixels.facts``) point the same way; each is then confirmed on its
pixels. Exact copies of one file are not the matter here: their digests are equal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.data.memory import Memory
from sightline.data.samples import Samples
from sightline.errors import UnreadableImage
from sightline.installation import cache_folder
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.facts import MIRROR

__all__ = ["compare", "find_candidates", "find_duplicates"]

Pairs = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]
Views = npt.NDArray[np.complex64]

LIKE = 0.80  # cosine of two signatures from which on a pair is looked at
LIKE_INNER = 0.90  # and of one picture's signature and the other's inner one
_MOST = 100_000  # candidates that are looked at, most alike first
_LEAST_SIDE = 16  # smaller pictures hold too little to tell a copy from a likeness
_RANDOM_PAIRS = 200
_BLOCK = 2_048
_CELL = 50_000  # more images than this are compared within cells
_FAINT = 0.001  # edges below this, of a whole range of 1, are noise


def find_duplicates(
    samples: Samples, *, threads: int = 2, folder: Path | None = None
) -> Generator[tuple[int, int], None, Samples]:
    """Return samples with ``near`` filled. A generator: yields (pairs looked at, pairs to look at).

    Args:
        samples: inspected, so that signatures and digests are known.
        threads: threads that decode the candidates.
        folder: where results are kept; the user's cache folder by default.
    """
    with Memory(folder or cache_folder(), "near") as memory:
        table = [f"{digest} {label}" for digest, label in zip(samples.digests, samples.labels, strict=True)]
        near = memory.recall_pairs(table)
        if near is None:
            near = yield from _search(samples, threads)
            memory.keep_pairs(table, near)
    return replace(samples, near=near)


def _search(samples: Samples, threads: int) -> Generator[tuple[int, int], None, Pairs]:
    chosen, cosines = find_candidates(samples)
    order = np.argsort(-cosines, kind="stable")[:_MOST]
    # Neighbours in the table share pictures, which are then decoded once.
    pairs = chosen[order][np.lexsort((chosen[order][:, 1], chosen[order][:, 0]))]
    glance = lru_cache(maxsize=1_024)(_Glance)
    found: list[tuple[int, float] | None] = []
    with ThreadPoolExecutor(threads, thread_name_prefix="compare") as pool:
        for start in range(0, len(pairs), 256):
            files = [(samples.file(int(a)), samples.file(int(b))) for a, b in pairs[start : start + 256]]
            found += pool.map(lambda both: compare(glance(both[0]), glance(both[1])), files)
            yield len(found), len(pairs)
    bars = {number: _bar(samples, number, glance) for number in {match[0] for match in found if match}}
    is_same = [match is not None and match[1] > bars[match[0]] for match in found]
    return np.asarray(pairs[np.array(is_same, bool)])


def find_candidates(samples: Samples) -> tuple[Pairs, npt.NDArray[np.float32]]:
    """Return (pairs ``[M, 2]`` of positions, their cosines ``[M]``) of images alike but not equal as files.

    Of exact copies only the first is looked at. Up to 50,000 images every pair is compared; beyond that, images
    of one of 2 x 2 nearest cells.
    """
    usable = samples.is_ok & (np.abs(samples.facts["signature"].astype(np.float32)).sum(1) > 0)
    rows = np.flatnonzero(usable)
    _, first = np.unique(samples.digests[rows].astype(str), return_index=True)
    rows = rows[np.sort(first)]
    vectors, inner = (samples.facts[name][rows].astype(np.float32) for name in ("signature", "inner"))
    pairs, cosines = [np.empty((0, 2), np.intp)], [np.empty(0, np.float32)]
    for members in _cells(vectors):
        whole = vectors[members]
        usual = _usual_likeness(whole)
        for columns, like in ((whole, LIKE), (inner[members], LIKE_INNER)):
            for left, right, values in _alike(whole, columns, max(like, usual)):
                pairs.append(np.stack([rows[members[left]], rows[members[right]]], 1))
                cosines.append(values)
    found, values = np.concatenate(pairs), np.concatenate(cosines)
    found.sort(axis=1)
    found, index = np.unique(found, axis=0, return_index=True)
    return found, values[index]


def _usual_likeness(vectors: Vectors) -> float:
    """Return the cosine that leaves some ten candidates an image: where all are alike (digits, icons), LIKE would not."""
    some = vectors[:: -(-len(vectors) // _BLOCK)]
    cosines = np.concatenate([values for *_, values in _alike(some, some, 0.5)] or [np.empty(0, np.float32)])
    most = int(10 * len(some) ** 2 / max(1, len(vectors)))
    return float(np.partition(cosines, -most)[-most]) if 0 < most < len(cosines) else 0.0


def _cells(vectors: Vectors) -> Iterator[Pairs]:
    """Yield positions that are compared with each other; every image is in its two nearest cells."""
    if len(vectors) <= _CELL:
        yield np.arange(len(vectors))
        return
    count = -(-2 * len(vectors) // _CELL) * 2
    random = np.random.default_rng(0)
    folded = vectors.reshape(-1, 8, 8)[:, :, ::2].reshape(len(vectors), -1)  # the same for a picture and its mirror
    centres = folded[random.choice(len(vectors), count, replace=False)]
    for _ in range(5):  # a few rounds of k-means: cells need not be good, only of similar size
        nearest = np.argmax(folded @ centres.T, 1)
        sums = np.stack([folded[nearest == cell].sum(0) for cell in range(count)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    best = np.argpartition(-(folded @ centres.T), 1, axis=1)[:, :2]
    for cell in range(count):
        yield np.flatnonzero((best == cell).any(1))


def _alike(rows: Vectors, columns: Vectors, like: float) -> Iterator[tuple[Pairs, Pairs, npt.NDArray[np.float32]]]:
    """Yield (row, column, cosine) of all pairs that are alike, as they are or mirrored.

    A mirror changes the sign of odd frequencies only, so both cosines are the sum and the difference of two parts.
    Compared with itself, a set yields each pair once.
    """
    odd = MIRROR < 0
    parts = [(np.ascontiguousarray(v[:, ~odd]), np.ascontiguousarray(v[:, odd])) for v in (rows, columns)]
    (even_rows, odd_rows), (even_columns, odd_columns) = parts
    for top in range(0, len(rows), _BLOCK):
        for left in range(top if rows is columns else 0, len(columns), _BLOCK):
            down, across = slice(top, top + _BLOCK), slice(left, left + _BLOCK)
            cosine = odd_rows[down] @ odd_columns[across].T
            np.abs(cosine, out=cosine)
            cosine += even_rows[down] @ even_columns[across].T
            a, b = np.nonzero(cosine > like)
            keep = a + top < b + left if rows is columns else a + top != b + left
            a, b = a[keep], b[keep]
            yield a + top, b + left, cosine[a, b]


@dataclass(frozen=True)
class _Lens:
    """How two pictures are compared at one size: every shift, scale and mirror that a small crop can bring.

    Both are whitened within a band of frequencies, so that edges decide and not where it is dark, and clipped, so
    that an outline counts no more than the texture inside: two black trousers are not one picture.
    """

    side: int
    band: tuple[int, int]  # cycles a picture
    scales: tuple[float, ...]  # the share of the side that a crop leaves, for each of the two
    same: float  # correlation from which on two pictures are one

    @cached_property
    def mask(self) -> npt.NDArray[np.float32]:
        rows = np.fft.fftfreq(self.side, 1 / self.side)
        radius = np.hypot(rows[:, None], np.arange(self.side // 2 + 1)[None])
        return np.where((radius >= self.band[0]) & (radius <= self.band[1]), radius, 0).astype(np.float32)

    @cached_property
    def window(self) -> npt.NDArray[np.float32]:
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
        return np.asarray(small, np.float32) / 255

    def fit(self, one: Views, other: Views) -> float:
        """Return how well two pictures cover each other, -1 to 1: the best correlation of their edges."""
        whole, mirror = one[0].conj(), one[-1].conj()
        smaller = one[1:-1].conj()
        products = [whole * other[:-1], mirror * other[:-1], smaller * other[0], smaller * other[-1]]
        fits = np.fft.irfft2(np.concatenate(products), (self.side, self.side)) * self.side**2
        most = self.side // 10
        near = np.r_[0 : most + 1, -most:0]
        return float(fits[:, near][:, :, near].max())


# The first lens is for all pairs; those that pass it are looked at through the second where both are large enough.
_LENSES = (
    _Lens(32, (2, 12), (1.0, 0.95, 0.9, 0.85, 0.8), 0.6),
    _Lens(64, (8, 24), (1.0, 0.975, 0.95, 0.925, 0.9, 0.875, 0.85, 0.825, 0.8), 0.66),
)


class _Glance:
    """One picture as the lenses see it, each when it is first needed."""

    def __init__(self, place: Place) -> None:
        self._grey: Image.Image | None = None
        with contextlib.suppress(UnreadableImage):
            self._grey = Image.fromarray(decode_image(place, least_side=2 * _LENSES[-1].side)).convert("L")
        self._views: dict[_Lens, Views] = {}

    @property
    def side(self) -> int:
        return min(self._grey.size) if self._grey else 0

    def through(self, lens: _Lens) -> Views:
        assert self._grey is not None
        if lens not in self._views:
            self._views[lens] = lens.see(self._grey)
        return self._views[lens]


def compare(one: _Glance, other: _Glance) -> tuple[int, float] | None:
    """Return (lens, fit) of two pictures that may be one, or None where they are not.

    One are pictures that differ in size, compression, brightness, a mirror or a small crop only.
    """
    side, found = min(one.side, other.side), None
    for number, lens in enumerate(_LENSES):
        if side < (lens.side if number else _LEAST_SIDE):
            return found
        fit = lens.fit(one.through(lens), other.through(lens))
        if fit <= lens.same:
            return None
        found = (number, fit)
    return found


def _bar(samples: Samples, number: int, glance: Callable[[Place], _Glance]) -> float:
    """Return what a fit must pass to stand out from chance: that of random pairs of one class.

    Digits, icons and X-rays are alike by their nature; where random pairs are, only much more says anything.
    """
    lens, random, fits = _LENSES[number], np.random.default_rng(0), []
    usable = np.flatnonzero(
        samples.is_ok & (np.minimum(samples.widths, samples.heights) >= (lens.side if number else 1))
    )
    by_class = [
        rows for label in range(len(samples.classes)) if len(rows := usable[samples.labels[usable] == label]) > 1
    ]
    for rows in random.choice(len(by_class), _RANDOM_PAIRS) if by_class else ():
        one, other = random.choice(by_class[rows], 2, replace=False)
        if samples.digests[one] != samples.digests[other]:
            pair = [glance(samples.file(int(row))) for row in (one, other)]
            if min(picture.side for picture in pair):
                fits.append(lens.fit(*(picture.through(lens) for picture in pair)))
    # A handful of random pairs says nothing about chance, and may hold the very copies that are looked for.
    return max(lens.same, float(np.median(fits) + 6 * _spread(fits))) if len(fits) >= 20 else lens.same


def _spread(fits: list[float]) -> float:
    """Return the standard deviation as the middle two thirds show it, so that a few copies don't widen it."""
    low, high = np.quantile(fits, (0.16, 0.84))
    return float(high - low) / 2
