"""Images that show one image though their files differ: resized, saved again, mirrored, slightly cropped.

Candidates are pairs whose signatures (see ``pixels.facts``) point the same way; each is then confirmed on its
pixels (see ``data.likeness``). Exact copies of one file are not the matter here: their digests are equal, and only
one of them is looked at. What is found depends on contents alone, not on the order of files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder
from sightline.data.facts_cache import Memory
from sightline.data.likeness import LENSES, Glance, compare
from sightline.data.samples import Samples
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.image_facts import MIRROR
from sightline.pixels.modes import Range

__all__ = ["find_candidates", "find_duplicates"]

Pairs = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]

LIKE = 0.80  # cosine of two signatures from which on a pair is looked at
LIKE_INNER = 0.90  # and of one image's signature and the other's inner one
_OTHER_LABEL = 0.08  # by which the fit of two images of different classes must pass the bar: they seldom are one
_EACH = 12  # candidates that an image may have, most alike first: a film of it must not hide the others' copies
_MOST_EACH = 4  # candidates an image that are looked at in all, on average
_RANDOM_PAIRS = 200
_BLOCK = 2_048
_MANY = 1_000_000  # pairs of one block, of which only the best of each row and column are looked at at all
_CELL = 50_000  # more images than this are compared within cells


def find_duplicates(
    samples: Samples, *, value_range: Range | None = None, threads: int = 0, folder: Path | None = None
) -> Generator[tuple[int, int], None, Samples]:
    """Return samples with ``near`` filled. A generator: yields (pairs looked at, pairs to look at).

    Args:
        samples: inspected, so that signatures and digests are known.
        value_range: (low, high) of 16-bit, 32-bit and float images.
        threads: that decode the candidates; 0: as many as this process may use.
        folder: where results are kept; the user's cache folder by default.
    """
    rows = _first_of_each(samples)
    with Memory(folder or cache_folder(), f"near {value_range}") as memory:
        columns = (samples.facts[name][rows] for name in ("signature", "inner", "width", "height"))
        names = [samples.classes[label] for label in _labels_of(samples, rows)]
        table = [*samples.digests[rows], *names, blake2b(b"".join(column.tobytes() for column in columns)).hexdigest()]
        known = memory.recall_pairs(table)
        if known is None:
            known, is_whole = yield from _search(samples, rows, value_range, threads or usable_threads())
            if is_whole:
                memory.keep_pairs(table, known)
    return replace(samples, near=rows[known])


def _first_of_each(samples: Samples) -> Pairs:
    """Return one position of each readable content, in the order of contents."""
    usable = np.flatnonzero(samples.is_ok & (samples.digests != "") & (samples.widths > 0))
    _, first = np.unique(samples.digests[usable].astype(str), return_index=True)
    return usable[first]


def _labels_of(samples: Samples, rows: Pairs) -> Pairs:
    """Return a label of each of these contents: of one that stands under several, the first class's."""
    least: dict[str, int] = {}
    for digest, label in zip(samples.digests, samples.labels.tolist(), strict=True):
        least[digest] = min(label, least.get(digest, label))
    return np.array([least[digest] for digest in samples.digests[rows]], np.intp)


def _search(
    samples: Samples, rows: Pairs, value_range: Range | None, threads: int
) -> Generator[tuple[int, int], None, tuple[Pairs, bool]]:
    """Return (pairs ``[M, 2]`` of positions in ``rows``, whether every image could be looked at)."""
    pairs = find_candidates(samples, rows)
    glance = lru_cache(maxsize=1_024)(partial(Glance, value_range=value_range))
    sides = np.minimum(samples.widths, samples.heights)[rows]
    lens_of = (sides[pairs].min(1) >= LENSES[1].side).astype(int)
    bars = {
        number: _bar(samples, rows[sides >= LENSES[number].side * number], number, glance) for number in set(lens_of)
    }
    labels = _labels_of(samples, rows)
    bar = np.array([bars[number] for number in lens_of.tolist()])
    bar = bar + _OTHER_LABEL * (labels[pairs[:, 0]] != labels[pairs[:, 1]])
    # Where chance gives all that a correlation can, no pair stands out.
    pairs, bar = pairs[bar < 1], bar[bar < 1]
    found: list[float] = []
    is_whole = True
    with ThreadPoolExecutor(threads, thread_name_prefix="compare") as pool:
        for start in range(0, len(pairs), 256):
            places = [[samples.file(int(rows[row])) for row in pair] for pair in pairs[start : start + 256]]
            both = list(pool.map(lambda two: (glance(two[0]), glance(two[1])), places))
            is_whole &= all(one.side and other.side for one, other in both)
            found += pool.map(lambda two: compare(*two), both)
            yield len(found), len(pairs)
    return np.asarray(pairs[np.array(found, float) > bar]), is_whole


def find_candidates(samples: Samples, rows: Pairs) -> Pairs:
    """Return pairs ``[M, 2]`` of positions in ``rows`` whose signatures are alike, those of near neighbours first.

    Up to 50,000 images every pair is compared; beyond that, images of one of 2 x 2 nearest cells. An image has a
    dozen candidates at most.
    """
    vectors, inner = (samples.facts[name][rows].astype(np.float32) for name in ("signature", "inner"))
    has_structure = np.flatnonzero(np.abs(vectors).sum(1) > 0)
    pairs, cosines = [np.empty((0, 2), np.intp)], [np.empty(0, np.float32)]
    for cell in _cells(vectors[has_structure]):
        members = has_structure[cell]
        whole = vectors[members]
        for columns, like in ((whole, LIKE), (inner[members], LIKE_INNER)):
            for left, right, values in _alike(whole, columns, like):
                pairs.append(np.stack([members[left], members[right]], 1))
                cosines.append(values)
    found, values = np.concatenate(pairs), np.concatenate(cosines)
    found.sort(axis=1)
    order = np.lexsort((found[:, 1], found[:, 0], -values))  # ties in the order of contents
    found = found[order]
    _, first = np.unique(found[:, 0] * len(rows) + found[:, 1], return_index=True)
    found = found[np.sort(first)]
    rank = _rank(found)
    found, rank = found[rank < _EACH], rank[rank < _EACH]
    order = np.argsort(rank, kind="stable")[: max(1, _MOST_EACH * len(rows))]
    return _in_order_of_use(found[order], len(rows))


def _in_order_of_use(pairs: Pairs, count: int) -> Pairs:
    """Return the pairs in an order in which those that share an image stand close together: it is decoded once.

    E. Cuthill and J. McKee, Reducing the bandwidth of sparse symmetric matrices, ACM 1969.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    if not len(pairs):
        return pairs
    ones = np.ones(2 * len(pairs), bool)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    graph = csr_matrix((ones, (both[:, 0], both[:, 1])), (count, count))
    place = np.empty(count, np.intp)
    place[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(count)
    ends = np.sort(place[pairs], axis=1)
    return np.asarray(pairs[np.lexsort((ends[:, 0], ends[:, 1]))])


def _rank(pairs: Pairs) -> Pairs:
    """Return the place of each pair, most alike first, in the list of that of its images where it stands higher."""
    places = -np.repeat(np.arange(len(pairs), dtype=float), 2)  # pair by pair, in falling likeness
    return np.asarray(_rank_within(pairs.ravel(), places).reshape(-1, 2).min(1))


def _rank_within(keys: Pairs, values: npt.NDArray[np.floating]) -> Pairs:
    """Return the place of each value, largest first, among those of its key."""
    order = np.lexsort((-values, keys))
    starts = np.r_[0, np.flatnonzero(np.diff(keys[order])) + 1]
    rank = np.empty(len(keys), np.intp)
    rank[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    return rank


def _cells(vectors: Vectors) -> Iterator[Pairs]:
    """Yield positions that are compared with each other; every image is in its two nearest cells."""
    if len(vectors) <= _CELL:
        yield np.arange(len(vectors))
        return
    count = -(-2 * len(vectors) // _CELL) * 2
    random = np.random.default_rng(0)
    folded = vectors.reshape(-1, 8, 8)[:, :, ::2].reshape(len(vectors), -1)  # the same for an image and its mirror
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
            # Flat positions of the few alike are found 40 times as fast as pairs of indices.
            a, b = np.divmod(np.flatnonzero(cosine > like), cosine.shape[1])
            if len(a) > _MANY:
                a, b = _most_alike(cosine, like)
            keep = a + top < b + left if rows is columns else a + top != b + left
            a, b = a[keep], b[keep]
            values = cosine[a, b]
            if len(a) > 2 * _EACH * len(cosine):  # as many as in a film: of each row and column the most alike
                best = (_rank_within(a, values) < 2 * _EACH) | (_rank_within(b, values) < 2 * _EACH)
                a, b, values = a[best], b[best], values[best]
            yield a + top, b + left, values


def _most_alike(cosine: Vectors, like: float) -> tuple[Pairs, Pairs]:
    """Return positions of the dozen largest of each row and of each column, as far as they are alike."""
    chosen = np.zeros(cosine.shape, bool)
    for axis in (0, 1):
        most = min(2 * _EACH, cosine.shape[axis])
        best = np.argpartition(-cosine, most - 1, axis=axis).take(range(most), axis)
        np.put_along_axis(chosen, best, True, axis)
    a, b = np.nonzero(chosen & (cosine > like))
    return a, b


def _bar(samples: Samples, rows: Pairs, number: int, glance: Callable[[Place], Glance]) -> float:
    """Return what a fit must pass to stand out from chance: from the fits of random pairs.

    Digits, icons and X-rays are alike by their nature; where random pairs are, only much more says anything. Copies
    among the random pairs must not count, however many they are: centre and spread are those of the lower part.

    Args:
        samples: inspected.
        rows: positions of one image of each content that is large enough for the lens.
        number: of the lens.
        glance: opens an image.
    """
    lens, random, fits = LENSES[number], np.random.default_rng(0), []
    if len(rows) < 3:
        return lens.same
    for one, other in random.integers(0, len(rows), (_RANDOM_PAIRS, 2)):
        pair = [glance(samples.file(int(rows[row]))) for row in (one, other)]
        if one != other and all(image.side for image in pair):
            fits.append(lens.fit(*(image.through(lens) for image in pair)))
    if len(fits) < 20:
        return lens.same
    low, centre = np.quantile(fits, (0.05, 0.3))
    deviation = (centre - low) / (1.645 - 0.524)  # as of a normal distribution, whose quantiles these are
    return max(lens.same, float(centre + (0.524 + 6) * deviation))
