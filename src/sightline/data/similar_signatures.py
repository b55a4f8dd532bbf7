"""Pairs of images with similar signatures: candidates for near-duplicates, found without opening a file.

A signature is compared with the other's, and with the other's inner one, as of a crop (see ``pixels.image_facts``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.machine import usable_threads
from sightline.pixels.image_facts import MIRROR
from sightline.pixels.stream import run_ahead

__all__ = ["SIMILAR", "SIMILAR_INNER", "find_candidates"]

Pairs = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]
Found = tuple[Pairs, Vectors]  # pairs of positions, and their cosines

SIMILAR = 0.80  # cosine of two signatures from which on a pair is a candidate
SIMILAR_INNER = 0.90  # and of one image's signature and the other's inner one
_EACH = 12  # candidates of one image, most similar first, so that a film can't crowd out the copies of other images
_MOST_EACH = 4  # candidates per image that are compared, on average
_CELL = 50_000  # more images than this are compared within cells
_TILE = (256, 512)  # rows and columns of cosines that are computed at once: they stay in a processor's cache
_SLACK = 0.002  # signatures are stored with 11 bits: their lengths are 1 within a thousandth
_SOME = 64  # of a tile's pairs, one in so many: with more it is faster to compute all cosines with inner signatures
_HALF = 4  # one in so many: with more, only the most similar of each row and column are looked at
_PENDING = 2_000_000  # pairs that are kept before only the most similar ones of each image are


def find_candidates(samples: Samples, rows: Pairs) -> Pairs:
    """Return pairs ``[M, 2]`` of positions in ``rows`` whose signatures are similar, most similar first.

    Up to 50,000 images every pair is compared; beyond that, images that share one of their two nearest cells. An image
    has at most a dozen candidates.
    """
    from threadpoolctl import threadpool_limits

    vectors, inner = (samples.facts[name][rows].astype(np.float32) for name in ("signature", "inner"))
    has_structure = np.flatnonzero(np.abs(vectors).sum(1) > 0)
    waiting: list[Found] = [(np.empty((0, 2), np.intp), np.empty(0, np.float32))]
    with threadpool_limits(1, user_api="blas"):  # tiles are small, and several are computed at once
        for cell in _cells(vectors[has_structure]):
            members = has_structure[cell]
            for pairs, cosines in _similar(vectors[members], inner[members]):
                waiting.append((np.sort(members[pairs], axis=1), cosines))
                if sum(len(one) for _, one in waiting) > _PENDING:
                    waiting = [_most_similar_of_each(waiting)]
    found, _ = _most_similar_of_each(waiting)
    order = np.argsort(_rank(found), kind="stable")[: max(1, _MOST_EACH * len(rows))]
    return found[np.sort(order)]


def _most_similar_of_each(found: list[Found]) -> Found:
    """Return the dozen most similar pairs of each image, each once, most similar first; ties in the order of contents.

    What is left out has a dozen better ones at both of its images, so it makes no difference when this is done.
    """
    pairs, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))
    pairs, cosines = pairs[order], cosines[order]
    _, first = np.unique(pairs[:, 0] * (pairs.max(initial=0) + 1) + pairs[:, 1], return_index=True)
    first.sort()
    pairs, cosines = pairs[first], cosines[first]
    keep = _rank(pairs) < _EACH
    return pairs[keep], cosines[keep]


def _rank(pairs: Pairs) -> Pairs:
    """Return the rank of each pair, most similar first, in the list of whichever of its two images ranks it higher."""
    keys = pairs.ravel()
    order = np.argsort(keys, kind="stable")  # pair by pair, in falling similarity
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    rank = np.empty(len(keys), np.intp)
    rank[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
    return np.asarray(rank.reshape(-1, 2).min(1, initial=len(keys)))


def _cells(vectors: Vectors) -> Iterator[Pairs]:
    """Yield positions that are compared with each other; every image is in its two nearest cells."""
    if len(vectors) <= _CELL:
        yield np.arange(len(vectors))
        return
    count = -(-2 * len(vectors) // _CELL) * 2
    random = np.random.default_rng(0)
    folded = vectors.reshape(-1, 8, 8)[:, :, ::2].reshape(len(vectors), -1)  # the same for an image and its mirror
    centres = folded[random.choice(len(vectors), count, replace=False)]
    for _ in range(5):  # a few rounds of k-means suffice: cells only need similar sizes
        nearest = np.argmax(folded @ centres.T, 1)
        sums = np.stack([folded[nearest == cell].sum(0) for cell in range(count)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    best = np.argpartition(-(folded @ centres.T), 1, axis=1)[:, :2]
    for cell in range(count):
        yield np.flatnonzero((best == cell).any(1))


@dataclass(frozen=True, slots=True)
class _Halves:
    """Signatures as even and odd frequencies. A mirror changes the sign of the odd ones only: so the larger of both
    cosines, with the image and with its mirror, is the sum of one half and the size of the other."""

    even: Vectors
    odd: Vectors

    @classmethod
    def of(cls, vectors: Vectors) -> _Halves:
        is_odd = MIRROR < 0
        return cls(np.ascontiguousarray(vectors[:, ~is_odd]), np.ascontiguousarray(vectors[:, is_odd]))

    def __getitem__(self, some: slice | Pairs) -> _Halves:
        return _Halves(self.even[some], self.odd[some])

    def cosines(self, others: _Halves) -> Vectors:
        """Return ``[N, M]``: the larger cosine of each with each of the others."""
        found = self.odd @ others.odd.T
        np.abs(found, out=found)
        found += self.even @ others.even.T
        return np.asarray(found)

    def cosines_of_pairs(self, others: _Halves) -> Vectors:
        """Return ``[N]``: the larger cosine of each with the one at its place."""
        odd = np.einsum("nf,nf->n", self.odd, others.odd)
        return np.asarray(np.abs(odd) + np.einsum("nf,nf->n", self.even, others.even))


def _similar(vectors: Vectors, inner: Vectors) -> Iterator[Found]:
    """Yield (pairs, cosines) of all that are similar, as they are or mirrored, in one of three ways: their signatures,
    or the signature of one and the inner one of the other; the largest cosine of those that reach their bar.

    Inner signatures are looked at only where those of the whole images are similar enough: the angle between a
    signature and another's inner one is that between both signatures at least, less the one between the other's two.
    """
    bars = _least_similar(vectors, inner)
    order = np.argsort(bars, kind="stable")  # so that tiles have nearly one bar
    tiles = _Tiles(_Halves.of(vectors[order]), _Halves.of(inner[order]), bars[order])
    threads = usable_threads()
    for pairs, cosines in run_ahead(tiles.search, range(0, len(order), _TILE[0]), threads, 2 * threads):
        yield order[pairs], cosines


def _least_similar(vectors: Vectors, inner: Vectors) -> Vectors:
    """Return ``[N]``: the cosine of an image's signature that another's reaches if they are similar in any way."""
    length = np.linalg.norm(inner, axis=1)
    own = np.einsum("nf,nf->n", vectors, inner) / np.maximum(length * np.linalg.norm(vectors, axis=1), 1e-9)
    least = np.cos(np.minimum(np.pi, np.arccos(np.clip(own, -1, 1)) + np.arccos(SIMILAR_INNER - _SLACK))) - _SLACK
    return np.where(length > 0, np.minimum(SIMILAR, least), SIMILAR).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """All pairs of some images, in stripes of tiles; ``bars`` rise."""

    whole: _Halves
    inner: _Halves
    bars: Vectors

    def search(self, top: int) -> Found:
        """Return what is similar of the pairs of a stripe of images with those that come later."""
        found: list[Found] = [(np.empty((0, 2), np.intp), np.empty(0, np.float32))]
        down = slice(top, top + _TILE[0])
        for left in range(top, len(self.bars), _TILE[1]):
            across = slice(left, left + _TILE[1])
            cosines = self.whole[down].cosines(self.whole[across])
            places = np.flatnonzero(cosines > self.bars[top])
            if len(places) * _SOME > cosines.size:
                cosines = self._largest(cosines, down, across)
                places = _above(cosines, SIMILAR)
                pairs, values = _positions(places, cosines.shape[1], top, left), cosines.ravel()[places]
            else:
                pairs = _positions(places, cosines.shape[1], top, left)
                values = self._refine(pairs, cosines.ravel()[places])
            keep = (values > SIMILAR) & (pairs[:, 0] < pairs[:, 1])
            found.append((pairs[keep], values[keep]))
        pairs, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return pairs, values

    def _largest(self, cosines: Vectors, down: slice, across: slice) -> Vectors:
        """Return the largest cosine of each pair that reaches its bar, of a whole tile; 0 where none does."""
        largest = np.where(cosines > SIMILAR, cosines, 0)
        for one, other in ((self.whole, self.inner), (self.inner, self.whole)):
            found = one[down].cosines(other[across])
            np.maximum(largest, np.where(found > SIMILAR_INNER, found, 0), out=largest)
        return largest

    def _refine(self, pairs: Pairs, cosines: Vectors) -> Vectors:
        """Return the largest cosine of each pair that reaches its bar; 0 where none does."""
        largest = np.where(cosines > SIMILAR, cosines, 0)
        for one, other in (pairs.T, pairs.T[::-1]):
            # Only the other's inner signature can be far from its whole one.
            near = np.flatnonzero(cosines > self.bars[other])
            found = self.whole[one[near]].cosines_of_pairs(self.inner[other[near]])
            largest[near] = np.maximum(largest[near], np.where(found > SIMILAR_INNER, found, 0))
        return largest


def _positions(places: Pairs, width: int, top: int, left: int) -> Pairs:
    """Return pairs of positions for flat places of a tile, which are found 40 times as fast as pairs of indices."""
    down, across = np.divmod(places, width)
    return np.stack([down + top, across + left], 1)


def _above(cosines: Vectors, bar: float) -> Pairs:
    """Return the flat places of cosines above a bar; where they are many, the largest of each row and column alone."""
    places = np.flatnonzero(cosines > bar)
    if len(places) * _HALF <= cosines.size:
        return places
    chosen = np.zeros(cosines.shape, bool)
    for axis in (0, 1):
        most = min(2 * _EACH, cosines.shape[axis])
        best = np.argpartition(-cosines, most - 1, axis=axis).take(range(most), axis)
        np.put_along_axis(chosen, best, True, axis)
    return np.flatnonzero(chosen & (cosines > bar))
