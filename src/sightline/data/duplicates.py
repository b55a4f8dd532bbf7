"""Images that show one picture though their files differ: resized, saved again, mirrored, slightly cropped.

Candidates are pairs whose signatures (see ``pixels.facts``) point the same way; each is then confirmed on its
pixels. Exact copies of one file are not the matter here: their digests are equal.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.data.samples import Samples
from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.facts import MIRROR

__all__ = ["find_candidates", "find_duplicates"]

Pairs = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]

LIKE = 0.90  # cosine of two signatures from which on a pair is looked at
SAME = 0.97  # correlation of two pictures' pixels from which on they are one picture
_MOST = 20_000  # candidates that are looked at, most alike first
_BLOCK = 2_048
_CELL = 50_000  # more images than this are compared within cells
_SIDE = 32


def find_duplicates(samples: Samples, *, threads: int = 2) -> Generator[tuple[int, int], None, Samples]:
    """Return samples with ``near`` filled. A generator: yields (pairs looked at, pairs to look at).

    Args:
        samples: inspected, so that signatures and digests are known.
        threads: threads that decode the candidates.
    """
    chosen, cosines = find_candidates(samples)
    confirmed = []
    order = np.argsort(-cosines, kind="stable")[:_MOST]
    # Neighbours in the table share pictures, which are then decoded once.
    pairs = chosen[order][np.lexsort((chosen[order][:, 1], chosen[order][:, 0]))]
    see = lru_cache(maxsize=4_096)(_see)
    with ThreadPoolExecutor(threads, thread_name_prefix="compare") as pool:
        for start in range(0, len(pairs), 256):
            part = pairs[start : start + 256]
            files = [(samples.file(int(a)), samples.file(int(b))) for a, b in part]
            same = list(pool.map(lambda both: _is_same(see(both[0]), see(both[1])), files))
            confirmed.append(part[np.array(same, bool)])
            yield start + len(part), len(pairs)
    near = np.concatenate(confirmed) if confirmed else np.empty((0, 2), np.intp)
    return replace(samples, near=near)


def find_candidates(samples: Samples) -> tuple[Pairs, npt.NDArray[np.float32]]:
    """Return (pairs ``[M, 2]`` of positions, their cosines ``[M]``) of images alike but not equal as files.

    Of exact copies only the first is looked at. Up to 50,000 images every pair is compared; beyond that, images
    of one of 2 x 2 nearest cells.
    """
    usable = samples.is_ok & (np.abs(samples.facts["signature"].astype(np.float32)).sum(1) > 0)
    rows = np.flatnonzero(usable)
    _, first = np.unique(samples.digests[rows].astype(str), return_index=True)
    rows = rows[np.sort(first)]
    vectors = samples.facts["signature"][rows].astype(np.float32)
    pairs, cosines = [np.empty((0, 2), np.intp)], [np.empty(0, np.float32)]
    for members in _cells(vectors):
        for left, right, values in _alike(vectors[members]):
            pairs.append(np.stack([rows[members[left]], rows[members[right]]], 1))
            cosines.append(values)
    found, values = np.concatenate(pairs), np.concatenate(cosines)
    found.sort(axis=1)
    found, index = np.unique(found, axis=0, return_index=True)
    return found, values[index]


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


def _alike(vectors: Vectors) -> Iterator[tuple[Pairs, Pairs, npt.NDArray[np.float32]]]:
    """Yield (left, right, cosine) of all pairs left < right that are alike, as they are or mirrored.

    A mirror changes the sign of odd frequencies only, so both cosines are the sum and the difference of two parts.
    """
    odd = MIRROR < 0
    even_part, odd_part = np.ascontiguousarray(vectors[:, ~odd]), np.ascontiguousarray(vectors[:, odd])
    for top in range(0, len(vectors), _BLOCK):
        for left in range(top, len(vectors), _BLOCK):
            rows, columns = slice(top, top + _BLOCK), slice(left, left + _BLOCK)
            cosine = odd_part[rows] @ odd_part[columns].T
            np.abs(cosine, out=cosine)
            cosine += even_part[rows] @ even_part[columns].T
            found = np.flatnonzero(cosine.ravel() > LIKE)
            a, b = np.divmod(found, cosine.shape[1])
            values = cosine.ravel()[found]
            keep = a + top < b + left
            yield a[keep] + top, b[keep] + left, values[keep]


def _see(place: Place) -> npt.NDArray[np.float32] | None:
    try:
        picture = Image.fromarray(decode_image(place, least_side=2 * _SIDE))
    except UnreadableImage:
        return None
    return np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)


def _is_same(one: npt.NDArray[np.float32] | None, other: npt.NDArray[np.float32] | None) -> bool:
    """Compare the pixels of two small pictures, as they are and mirrored, and slightly cropped."""
    if one is None or other is None:
        return False
    return max(_best_fit(one, other), _best_fit(one, other[:, ::-1])) > SAME


def _best_fit(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    return max(
        _correlation(one, other),
        *(_correlation(_cropped(one, cut), other) for cut in _CUTS),
        *(_correlation(one, _cropped(other, cut)) for cut in _CUTS),
    )


_CUTS = (0.025, 0.05, 0.1)  # cut off on each side


def _cropped(picture: npt.NDArray[np.float32], cut: float) -> npt.NDArray[np.float32]:
    edge = cut * _SIDE
    box = (edge, edge, _SIDE - edge, _SIDE - edge)
    layers = [
        Image.fromarray(picture[..., channel]).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=box)
        for channel in range(3)
    ]
    return np.stack([np.asarray(layer) for layer in layers], -1)


def _correlation(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    a, b = one - one.mean((0, 1)), other - other.mean((0, 1))
    return float((a * b).sum() / max(1e-6, np.sqrt((a * a).sum() * (b * b).sum())))
