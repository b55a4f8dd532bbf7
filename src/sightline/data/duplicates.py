"""Near-duplicates: files that differ but show the same image, resized, saved again, mirrored or slightly cropped.

Candidates are pairs with similar signatures (see ``pixels.image_facts``); each is then compared on its pixels (see
``data.similarity``), and confirmed by its details (see ``data.overlay``): round things on plain ground share an outline
and are not one image. Of exact copies, which have equal digests, only one is compared. The result depends on the
contents alone, not on the order of files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder
from sightline.data.facts_cache import FactsCache
from sightline.data.overlay import LEAST_PLACES, LEAST_SIDE, OverlaidImage, agreement, open_overlaid
from sightline.data.samples import Samples
from sightline.data.similarity import COMPARISONS, ComparedImage, compare, correlations
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.image_facts import MIRROR
from sightline.pixels.modes import Range
from sightline.pixels.stream import decoding_threads

__all__ = ["find_candidates", "find_duplicates", "in_order_of_use"]

Pairs = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]

SIMILAR = 0.80  # cosine of two signatures from which on a pair is a candidate
SIMILAR_INNER = 0.90  # and of one image's signature and the other's inner one
_DETAILS = 0.6  # agreement of the details of two images whose outlines correlate
_FEW_DETAILS = 0.8  # and of two that show little, such as one small thing on plain ground
_HARDLY_ANY = 4  # places below which there is nothing to compare
_LEAST_SHARE = 0.75  # of their places that must agree then
_SAME_OUTLINE = 0.95  # correlation of two images with hardly any details from which on they are the same
_OTHER_LABEL = 0.08  # margin above the bar for images of different classes, which are seldom the same image
_EACH = 12  # candidates of one image, most similar first, so that a film can't crowd out the copies of other images
_MOST_EACH = 4  # candidates per image that are compared, on average
_RANDOM_PAIRS = 200
_TOGETHER = 256  # pairs whose images are opened before they are compared
_BLOCK = 2_048
_MANY = 1_000_000  # pairs of one block above which only the best of each row and column are kept
_CELL = 50_000  # more images than this are compared within cells


def find_duplicates(
    samples: Samples, *, value_range: Range | None = None, threads: int = 0, folder: Path | None = None
) -> Generator[tuple[int, int], None, Samples]:
    """Return samples with ``near`` and ``doubtful`` filled. A generator: yields (pairs compared, pairs to compare).

    Args:
        samples: inspected, so that signatures and digests are known.
        value_range: (low, high) of 16-bit, 32-bit and float images.
        threads: that decode the candidates; 0: as many as this process may use.
        folder: where results are kept; the user's cache folder by default.
    """
    rows = _first_of_each(samples)
    with FactsCache(folder or cache_folder(), f"near, by few details too {value_range}") as cache:
        columns = (samples.facts[name][rows] for name in ("signature", "inner", "width", "height"))
        names = [samples.classes[label] for label in _labels_of(samples, rows)]
        table = [*samples.digests[rows], *names, blake2b(b"".join(column.tobytes() for column in columns)).hexdigest()]
        known = cache.get_pairs(table)
        if known is None:
            near, doubtful, is_whole = yield from _search(samples, rows, value_range, threads or usable_threads())
            known = np.concatenate([[[len(near), len(doubtful)]], near, doubtful])
            if is_whole:
                cache.put_pairs(table, known)
    pairs, count = rows[known[1:]], int(known[0, 0])
    return replace(samples, near=pairs[:count], doubtful=pairs[count:])


def _first_of_each(samples: Samples) -> Pairs:
    """Return one position of each readable content, in the order of contents."""
    usable = np.flatnonzero(samples.is_ok & (samples.digests != "") & (samples.widths > 0))
    _, first = np.unique(samples.digests[usable].astype(str), return_index=True)
    return usable[first]


def _labels_of(samples: Samples, rows: Pairs) -> Pairs:
    """Return a label for each of these contents: the first class of those with several."""
    least: dict[str, int] = {}
    for digest, label in zip(samples.digests, samples.labels.tolist(), strict=True):
        least[digest] = min(label, least.get(digest, label))
    return np.array([least[digest] for digest in samples.digests[rows]], np.intp)


def _search(
    samples: Samples, rows: Pairs, value_range: Range | None, threads: int
) -> Generator[tuple[int, int], None, tuple[Pairs, Pairs, bool]]:
    """Return (pairs ``[M, 2]`` of positions in ``rows``, doubtful pairs, whether every image could be compared)."""
    from threadpoolctl import threadpool_limits

    pairs = find_candidates(samples, rows)
    load = lru_cache(maxsize=1_024)(partial(ComparedImage, value_range=value_range))
    sides = np.minimum(samples.widths, samples.heights)[rows]
    level_of = (sides[pairs].min(1) >= COMPARISONS[1].side).astype(int)
    labels = _labels_of(samples, rows)
    found: list[float] = []
    is_whole = True
    with threadpool_limits(1, user_api="blas"), decoding_threads(threads, "compare") as pool:  # products are small
        large = [rows, rows[sides >= COMPARISONS[1].side]]
        bars = {level: _bar(samples, large[level], level, load, pool) for level in np.unique(level_of).tolist()}
        bar = np.array([bars[level] for level in level_of.tolist()])
        bar = bar + _OTHER_LABEL * (labels[pairs[:, 0]] != labels[pairs[:, 1]])
        # Where random pairs correlate fully, no pair can exceed them.
        pairs, bar = pairs[bar < 1], bar[bar < 1]
        for start in range(0, len(pairs), _TOGETHER):
            both = _load_pairs(samples, rows[pairs[start : start + _TOGETHER]], load, pool)
            is_whole &= all(one.side and other.side for one, other in both)
            found += compare(both, pool).tolist()
            yield len(found), len(pairs)
        is_alike = np.array(found, float) > bar
        alike, fits = pairs[is_alike], np.array(found, float)[is_alike]
        is_large = sides[alike].min(1) >= LEAST_SIDE
        details = lru_cache(maxsize=512)(partial(open_overlaid, value_range=value_range))
        agree = partial(_agree, samples, rows, details)
        agrees = ~is_large
        agrees[is_large] = _confirm(alike[is_large], fits[is_large], len(rows), lambda *some: pool.map(agree, *some))
    return alike[agrees], alike[~agrees], is_whole


def _load_pairs(
    samples: Samples, pairs: Pairs, load: Callable[[Place], ComparedImage], pool: Executor
) -> list[tuple[ComparedImage, ComparedImage]]:
    """Return the images of pairs ``[M, 2]`` of positions in ``samples``; each is opened once."""
    each = np.unique(pairs)
    images = dict(zip(each.tolist(), pool.map(load, [samples.file(int(row)) for row in each]), strict=True))
    return [(images[one], images[other]) for one, other in pairs.tolist()]


def _agree(
    samples: Samples, rows: Pairs, load: Callable[[Place], OverlaidImage | None], pair: Sequence[int], fit: float
) -> bool:
    """Whether the details of two images agree; their outlines do. An image that can't be read agrees with none."""
    one, other = (load(samples.file(int(rows[place]))) for place in pair)
    if one is None or other is None:
        return False
    shown = min(one.shown, other.shown)
    if shown < _HARDLY_ANY:
        return fit >= _SAME_OUTLINE
    if agreement(one, other) >= _DETAILS:
        return True
    # Of a small thing on plain ground, so many places can't agree: nearly all that there are must.
    least = max(_HARDLY_ANY, round(_LEAST_SHARE * shown))
    return least < LEAST_PLACES and agreement(one, other, least) >= _FEW_DETAILS


def _confirm(
    pairs: Pairs,
    fits: npt.NDArray[np.float64],
    count: int,
    agree: Callable[[list[list[int]], list[float]], Iterable[bool]],
) -> npt.NDArray[np.bool_]:
    """Return which pairs hold: their details agree, or pairs that agree join both images.

    A film has many more pairs than images. So only those are looked at that join images, most similar first.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    holds, agrees = np.ones(len(pairs), bool), np.zeros(len(pairs), bool)
    place = {tuple(pair): number for number, pair in enumerate(pairs.tolist())}
    while holds.any():
        costs = np.where(agrees, 1e-3, 2 - fits)[holds]
        tree = minimum_spanning_tree(csr_matrix((costs, tuple(pairs[holds].T)), (count, count))).tocoo()
        chosen = [place[edge] for edge in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]
        chosen = [number for number in chosen if not agrees[number]]
        if not chosen:
            break
        holds[chosen] = agrees[chosen] = list(agree(pairs[chosen].tolist(), fits[chosen].tolist()))
    return holds


def find_candidates(samples: Samples, rows: Pairs) -> Pairs:
    """Return pairs ``[M, 2]`` of positions in ``rows`` whose signatures are similar, most similar first.

    Up to 50,000 images every pair is compared; beyond that, images that share one of their two nearest cells. An image
    has at most a dozen candidates.
    """
    vectors, inner = (samples.facts[name][rows].astype(np.float32) for name in ("signature", "inner"))
    has_structure = np.flatnonzero(np.abs(vectors).sum(1) > 0)
    pairs, cosines = [np.empty((0, 2), np.intp)], [np.empty(0, np.float32)]
    for cell in _cells(vectors[has_structure]):
        members = has_structure[cell]
        whole = vectors[members]
        for columns, bar in ((whole, SIMILAR), (inner[members], SIMILAR_INNER)):
            for left, right, values in _similar(whole, columns, bar):
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
    return in_order_of_use(found[order], len(rows))


def in_order_of_use(pairs: Pairs, count: int) -> Pairs:
    """Return the pairs ordered so that those that share an image are close together: it is then decoded once.

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
    """Return the rank of each pair, most similar first, in the list of whichever of its two images ranks it higher."""
    places = -np.repeat(np.arange(len(pairs), dtype=float), 2)  # pair by pair, in falling similarity
    return np.asarray(_rank_within(pairs.ravel(), places).reshape(-1, 2).min(1))


def _rank_within(keys: Pairs, values: npt.NDArray[np.floating]) -> Pairs:
    """Return the rank of each value, largest first, among those of its key."""
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
    for _ in range(5):  # a few rounds of k-means suffice: cells only need similar sizes
        nearest = np.argmax(folded @ centres.T, 1)
        sums = np.stack([folded[nearest == cell].sum(0) for cell in range(count)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    best = np.argpartition(-(folded @ centres.T), 1, axis=1)[:, :2]
    for cell in range(count):
        yield np.flatnonzero((best == cell).any(1))


def _similar(rows: Vectors, columns: Vectors, bar: float) -> Iterator[tuple[Pairs, Pairs, npt.NDArray[np.float32]]]:
    """Yield (row, column, cosine) of all pairs above the bar, as they are or mirrored.

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
            # Finding flat positions of the few similar pairs is 40 times as fast as pairs of indices.
            a, b = np.divmod(np.flatnonzero(cosine > bar), cosine.shape[1])
            if len(a) > _MANY:
                a, b = _most_similar(cosine, bar)
            keep = a + top < b + left if rows is columns else a + top != b + left
            a, b = a[keep], b[keep]
            values = cosine[a, b]
            if len(a) > 2 * _EACH * len(cosine):  # as many as in a film: only the most similar of each row and column
                best = (_rank_within(a, values) < 2 * _EACH) | (_rank_within(b, values) < 2 * _EACH)
                a, b, values = a[best], b[best], values[best]
            yield a + top, b + left, values


def _most_similar(cosine: Vectors, bar: float) -> tuple[Pairs, Pairs]:
    """Return positions of the largest of each row and of each column that are above the bar."""
    chosen = np.zeros(cosine.shape, bool)
    for axis in (0, 1):
        most = min(2 * _EACH, cosine.shape[axis])
        best = np.argpartition(-cosine, most - 1, axis=axis).take(range(most), axis)
        np.put_along_axis(chosen, best, True, axis)
    a, b = np.nonzero(chosen & (cosine > bar))
    return a, b


def _bar(samples: Samples, rows: Pairs, level: int, load: Callable[[Place], ComparedImage], pool: Executor) -> float:
    """Return the correlation that a pair must exceed, from those of random pairs.

    Digits, icons and X-rays are similar by nature; there, only a much higher correlation means a duplicate. Copies
    among the random pairs must not raise the bar: centre and spread are those of the lower part.

    Args:
        samples: inspected.
        rows: positions of one image of each content that is large enough for the comparison.
        level: of the comparison.
        load: opens an image.
        pool: whose threads open images.
    """
    comparison, random = COMPARISONS[level], np.random.default_rng(0)
    if len(rows) < 3:
        return comparison.same
    drawn = random.integers(0, len(rows), (_RANDOM_PAIRS, 2))
    both = _load_pairs(samples, rows[drawn[drawn[:, 0] != drawn[:, 1]]], load, pool)
    fits = correlations([(one, other) for one, other in both if one.side and other.side], comparison, pool)
    if len(fits) < 20:
        return comparison.same
    low, centre = np.quantile(fits, (0.05, 0.3))
    deviation = (centre - low) / (1.645 - 0.524)  # as of a normal distribution, whose quantiles these are
    return max(comparison.same, float(centre + (0.524 + 6) * deviation))
