"""Versions of one original: images that someone turned, shifted, zoomed, mirrored or recoloured before the split.

Features of a network propose the nearest neighbours of each image; ``data.overlay`` confirms a pair on its pixels. A
few likely pairs tell first whether a set holds versions at all. Shots of one scene in a row are confirmed too: they are
no more independent.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from sightline.data.duplicates import in_order_of_use
from sightline.data.joining import join_pairs
from sightline.data.overlay import LEAST_AGREEMENT, LEAST_SIDE, OverlaidImage, agreement, open_overlaid
from sightline.data.samples import Samples
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.modes import Range

__all__ = ["confirm_versions", "matchable", "propose_versions", "sample_rows", "screen_versions"]

Pairs = npt.NDArray[np.intp]
Features = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

_FIRST = 3  # neighbours of one image that are compared
_EACH = 10  # and of one that has a version
_SCREENED = 50  # most similar pairs that are compared first, and as many nearest neighbours of random images
_RANDOM_PAIRS, _LEAST_RANDOM = 60, 20
_OTHER_LABEL = 0.05  # margin above the bar for images of different classes, which are seldom the same image
_SURE = 0.8  # agreement from which on one pair alone joins two units
_BLOCK = 2_048


def matchable(samples: Samples) -> Pairs:
    """Return one position of each readable content that is large enough, in the order of contents."""
    sides = np.minimum(samples.widths, samples.heights)
    usable = np.flatnonzero(samples.is_ok & (samples.digests != "") & (sides >= LEAST_SIDE))
    _, first = np.unique(samples.digests[usable].astype(str), return_index=True)
    return usable[first]


def sample_rows(samples: Samples, rows: Pairs, most: int) -> Pairs:
    """Return ``most`` of the rows: half at random, half in runs of names, since versions often have similar names."""
    if len(rows) <= most:
        return rows
    random = np.random.default_rng(0)
    by_name = rows[np.argsort(samples.paths[rows].astype(str), kind="stable")]
    run = 25
    starts = random.permutation(len(rows) // run)[: most // 2 // run] * run
    chosen = by_name[(starts[:, None] + np.arange(run)).ravel()]
    rest = rows[~np.isin(rows, chosen)]
    more = rest[random.permutation(len(rest))[: most - len(chosen)]]
    both = np.concatenate([chosen, more])
    return rows[np.isin(rows, both)]


def propose_versions(samples: Samples, rows: Pairs, features: Features) -> tuple[Pairs, Pairs]:
    """Return pairs ``[M, 2]`` of positions in ``rows`` that are near each other, nearest first, and their ranks.

    The rank of a pair is its place among the neighbours of the image that it is nearer to; 0 is the nearest. Pairs that
    are known as near-duplicates are left out.

    Args:
        samples: inspected and compared.
        rows: positions of images.
        features: ``[N, D]`` of these.
    """
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    count = min(_EACH, len(rows) - 1)
    pairs, cosines = [np.empty((0, 2), np.intp)], [np.empty(0, np.float32)]
    for start in range(0, len(rows) if count else 0, _BLOCK):
        some = np.arange(start, min(start + _BLOCK, len(rows)))
        near = units[some] @ units.T
        near[some - start, some] = -2
        best = np.argpartition(-near, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(near, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        pairs.append(np.stack([np.repeat(some, count), np.take_along_axis(best, order, 1).ravel()], 1))
        cosines.append(np.take_along_axis(values, order, 1).ravel())
    found, values = np.sort(np.concatenate(pairs), axis=1), np.concatenate(cosines)
    ranks = np.arange(len(found)) % max(1, count)
    by_rank = np.argsort(ranks, kind="stable")
    _, first = np.unique(_keys(found[by_rank], len(rows)), return_index=True)
    chosen = by_rank[first]
    chosen = chosen[~np.isin(_keys(found[chosen], len(rows)), _near_keys(samples, rows))]
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    return found[chosen], ranks[chosen]


def _keys(pairs: Pairs, count: int) -> Pairs:
    return np.asarray(pairs[:, 0] * count + pairs[:, 1])


def _near_keys(samples: Samples, rows: Pairs) -> Pairs:
    """Return the keys of pairs of ``rows`` that are near-duplicates, by their contents."""
    place = {digest: position for position, digest in enumerate(samples.digests[rows])}
    known = [[place.get(digest, -1) for digest in pair] for pair in samples.digests[samples.near].tolist()]
    pairs = np.sort(np.array(known, np.intp).reshape(-1, 2), axis=1)
    return _keys(pairs[pairs[:, 0] >= 0], len(rows))


def screen_versions(pairs: Pairs, count: int) -> npt.NDArray[np.bool_]:
    """Return which pairs are the likeliest of all, or the likeliest of one of some random images.

    Args:
        pairs: nearest first.
        count: images that they are of.
    """
    some = set(np.random.default_rng(0).permutation(count)[:_SCREENED].tolist())
    chosen = np.arange(len(pairs)) < _SCREENED
    for place, pair in enumerate(pairs.tolist()):
        if some & set(pair):
            some -= set(pair)
            chosen[place] = True
    return chosen


def confirm_versions(
    samples: Samples, rows: Pairs, pairs: Pairs, ranks: Pairs, *, value_range: Range | None = None, threads: int = 0
) -> Generator[tuple[int, int], None, Pairs | None]:
    """Return those of the pairs that are versions of one original. A generator: yields (pairs compared, to compare).

    The three nearest neighbours are compared first; those further off only for images of which a version was found.
    Where images lie over each other by nature (one form, one place, icons), as random pairs of them show, nothing can
    be told, and None is returned. Versions of a few originals agree at random too, but not with those of another.

    Args:
        samples: inspected.
        rows: positions of images.
        pairs, ranks: as of ``propose_versions``.
        value_range: (low, high) of 16-bit, 32-bit and float images.
        threads: that decode and compare; 0: as many as this process may use.
    """
    from threadpoolctl import threadpool_limits

    load = lru_cache(maxsize=1_024)(partial(open_overlaid, value_range=value_range))
    labels = samples.labels[rows]
    threads = threads or usable_threads()
    # Products are small: threads of theirs would wait for each other, and for those that compare.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads, thread_name_prefix="compare") as pool:
        compare = partial(_compare, samples, rows, load)
        found, scores = yield from _confirm(pool, compare, pairs[ranks < _FIRST], labels)
        if not len(found):
            return found
        if _are_alike_by_nature(found, len(rows), lambda some: list(pool.map(compare, some))):
            return None
        later = pairs[ranks >= _FIRST]
        unit, sizes = _join(found, len(rows))
        is_open = (unit[later[:, 0]] != unit[later[:, 1]]) & (sizes[unit[later]].max(1, initial=0) > 1)
        more, their_scores = yield from _confirm(pool, compare, later[is_open], labels)
    return _without_bridges(np.concatenate([found, more]), np.concatenate([scores, their_scores]), len(rows))


def _confirm(
    pool: Executor, compare: Callable[[Sequence[int]], float], pairs: Pairs, labels: npt.NDArray[np.int64]
) -> Generator[tuple[int, int], None, tuple[Pairs, Scores]]:
    """Return the pairs that are versions, and how well they agree."""
    pairs = in_order_of_use(pairs, len(labels))
    found: list[float] = []
    for start in range(0, len(pairs), 64):
        found += pool.map(compare, pairs[start : start + 64].tolist())
        yield len(found), len(pairs)
    scores = np.array(found, float)
    is_other = labels[pairs[:, 0]] != labels[pairs[:, 1]]
    is_version = scores >= LEAST_AGREEMENT + _OTHER_LABEL * is_other
    return pairs[is_version], scores[is_version]


def _compare(
    samples: Samples, rows: Pairs, load: Callable[[Place], OverlaidImage | None], pair: Sequence[int]
) -> float:
    one, other = (load(samples.file(int(rows[place]))) for place in pair)
    return 0.0 if one is None or other is None else agreement(one, other)


def _are_alike_by_nature(found: Pairs, count: int, compare: Callable[[list[list[int]]], list[float]]) -> bool:
    """Whether images that nothing links agree, too: then those that agree need not be versions of one original."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, count, (_RANDOM_PAIRS, 2))
    drawn = drawn[drawn[:, 0] != drawn[:, 1]]
    scores = np.array(compare(drawn.tolist()))
    # Versions among the random pairs do not count: of ten originals, a tenth of them are.
    if len(scores) < _LEAST_RANDOM or np.quantile(scores, 0.75) <= 0:
        return False
    # Of two originals, half of them are: those that agree are linked, and others drawn that nothing links.
    unit, _ = _join(np.concatenate([found, drawn[scores > 0]]), count)
    further = random.integers(0, count, (20 * _RANDOM_PAIRS, 2))
    apart = further[unit[further[:, 0]] != unit[further[:, 1]]][:_RANDOM_PAIRS]
    return len(apart) < _LEAST_RANDOM or bool(np.quantile(compare(apart.tolist()), 0.75) > 0)


def _join(pairs: Pairs, count: int) -> tuple[Pairs, Pairs]:
    """Return the unit of each image that pairs make, and the size of each unit."""
    unit = join_pairs(pairs, count)
    return unit, np.bincount(unit)


def _without_bridges(pairs: Pairs, scores: Scores, count: int) -> Pairs:
    """Leave out single doubtful pairs that would join two units of several images each."""
    sure = scores >= _SURE
    unit, sizes = _join(pairs[sure], count)
    ends = np.sort(unit[pairs], axis=1)
    _, which, many = np.unique(_keys(ends, count), return_inverse=True, return_counts=True)
    keep = sure | (sizes[ends].min(1) == 1) | (many[which] > 1)
    return np.asarray(pairs[keep])
