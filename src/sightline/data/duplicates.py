"""Near-duplicates: files that differ but show the same image, resized, saved again, mirrored or slightly cropped.

Candidates are pairs with similar signatures (see ``data.similar_signatures``); each is then compared on its pixels (see
``data.similarity``), and confirmed by its details (see ``data.overlay``): round things on plain ground share an outline
and are not one image. Of exact copies, which have equal digests, only one is compared. The result depends on the
contents alone, not on the order of files.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder
from sightline.data.facts_cache import FactsCache
from sightline.data.overlay import LEAST_PLACES, LEAST_SIDE, OverlaidImage, agreement, open_overlaid
from sightline.data.samples import Samples
from sightline.data.similar_signatures import find_candidates
from sightline.data.similarity import COMPARISONS, ComparedImage, Comparison, compare, correlations
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.modes import Range
from sightline.pixels.stream import decoding_threads, threads_for

__all__ = ["describe_uncompared", "find_duplicates", "in_order_of_use"]

Pairs = npt.NDArray[np.intp]

_DETAILS = 0.6  # agreement of the details of two images whose outlines correlate
_FEW_DETAILS = 0.8  # and of two that show little, such as one small thing on plain ground
_HARDLY_ANY = 4  # places below which there is nothing to compare
_LEAST_SHARE = 0.75  # of their places that must agree then
_SAME_OUTLINE = 0.95  # correlation of two images with hardly any details from which on they are the same
_OTHER_LABEL = 0.08  # margin above the bar for images of different classes, which are seldom the same image
_RANDOM_PAIRS = 200
_TOGETHER = 256  # pairs whose images are opened before they are compared
# Where time is short, fewer: 512 large photos take longer to open than there is time in all. And of random pairs.
_TIMED, _OPENED = 32, 32
_CONFIRMED = 64  # pairs whose details are compared before the time is looked at
_AHEAD = 2_048  # pairs of nearly one likelihood, which are compared in the order that opens the fewest images
_CORRELATING = 0.5  # of the time that there is; the rest is for details


@dataclass(frozen=True, slots=True)
class _Found:
    """Pairs ``[M, 2]`` of positions that are near-duplicates, those that are doubtful, and what was left out.

    ``uncompared``: (pairs that there was no time to compare, all pairs); ``is_whole``: every image could be read.
    """

    near: Pairs
    doubtful: Pairs
    uncompared: tuple[int, int]
    is_whole: bool


def find_duplicates(
    samples: Samples,
    *,
    value_range: Range | None = None,
    threads: int = 0,
    folder: Path | None = None,
    seconds: float = math.inf,
) -> Generator[tuple[int, int], None, Samples]:
    """Return samples with ``near``, ``doubtful`` and ``uncompared`` filled.

    A generator: yields (pairs compared, pairs to compare).

    Args:
        samples: inspected, so that signatures and digests are known.
        value_range: (low, high) of 16-bit, 32-bit and float images.
        threads: that decode the candidates; 0: as many as this process may use.
        folder: where results are kept; the user's cache folder by default.
        seconds: after which no further pair is compared. Pairs of a test image and one of another part come first then,
            and the most similar; where some are left, nothing is kept.
    """
    rows, uncompared = _first_of_each(samples), (0, 0)
    with FactsCache(folder or cache_folder(), f"near, by few details too {value_range}") as cache:
        columns = (samples.facts[name][rows] for name in ("signature", "inner", "width", "height"))
        names = [samples.classes[label] for label in _labels_of(samples, rows)]
        table = [*samples.digests[rows], *names, blake2b(b"".join(column.tobytes() for column in columns)).hexdigest()]
        known = cache.get_pairs(table)
        if known is None:
            found = yield from _search(samples, rows, value_range, threads or usable_threads(), seconds)
            known = np.concatenate([[[len(found.near), len(found.doubtful)]], found.near, found.doubtful])
            uncompared = found.uncompared
            if found.is_whole and not uncompared[0]:
                cache.put_pairs(table, known)
    pairs, count = rows[known[1:]], int(known[0, 0])
    return replace(samples, near=pairs[:count], doubtful=pairs[count:], uncompared=uncompared)


def describe_uncompared(samples: Samples, options: str = "") -> tuple[str, str]:
    """Return what was compared, and what to do for the rest; ``options`` are those of reading the images, as typed."""
    left, every = samples.uncompared
    message = f"{every - left:,} of {every:,} pairs that may be near-duplicates were compared, to keep the time limit"
    checking = f"sightline check {shlex.quote(samples.source)}{options}"
    return message, f"{checking} first: what it finds is kept, and costs no training time"


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
    samples: Samples, rows: Pairs, value_range: Range | None, threads: int, seconds: float
) -> Generator[tuple[int, int], None, _Found]:
    """Return what is found among ``rows``, as positions in them."""
    from threadpoolctl import threadpool_limits

    ends = time.monotonic() + seconds
    likely = find_candidates(samples, rows)  # always whole: it takes a tenth of what reading the images took
    pairs = in_order_of_use(likely, len(rows))
    load = lru_cache(maxsize=1_024)(partial(ComparedImage, value_range=value_range))
    sides = np.minimum(samples.widths, samples.heights)[rows]
    threads = threads_for(samples.widths.astype(np.int64) * samples.heights, threads)
    is_whole = True
    with threadpool_limits(1, user_api="blas"), decoding_threads(threads, "compare") as pool:  # products are small
        bar = _bars(samples, rows, sides, pairs, partial(_correlations_of, samples, load, pool, ends))
        if bar is None:
            return _Found(pairs[:0], pairs[:0], (len(pairs), len(pairs)), is_whole)
        # Where random pairs correlate fully, no pair can exceed them.
        pairs, bar = pairs[bar < 1], bar[bar < 1]
        is_first = _change_headline(samples, rows, pairs)
        fits = np.full(len(pairs), np.nan)
        start = time.monotonic()
        order, together = np.arange(len(pairs)), _TOGETHER
        if not math.isinf(seconds):
            order, together = _likeliest_first(pairs, likely, is_first), _TIMED
        for some in (order[at : at + together] for at in range(0, len(order), together)):
            if time.monotonic() > start + _CORRELATING * (ends - start):
                break
            both = _load_pairs(samples, rows[pairs[some]], load, pool)
            is_whole &= all(one.side and other.side for one, other in both)
            fits[some] = compare(both, pool)
            yield int((~np.isnan(fits)).sum()), len(pairs)
        is_alike = fits > bar
        alike, fit, is_large = pairs[is_alike], fits[is_alike], sides[pairs[is_alike]].min(1) >= LEAST_SIDE
        details = lru_cache(maxsize=512)(partial(open_overlaid, value_range=value_range))
        agree = partial(_agree, samples, rows, details)
        agrees, is_open = ~is_large, np.zeros(len(alike), bool)
        agrees[is_large], is_open[is_large] = _confirm(
            alike[is_large],
            fit[is_large],
            len(rows),
            lambda *some: pool.map(agree, *some),
            is_first[is_alike][is_large],
            ends,
        )
    uncompared = int(np.isnan(fits).sum() + is_open.sum()), len(pairs)
    return _Found(alike[agrees], alike[~agrees & ~is_open], uncompared, is_whole)


def _change_headline(samples: Samples, rows: Pairs, pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Return which pairs join an image of the given test set and one of another part; val is the test where none is."""
    measured = "test" if (samples.given == "test").any() else "val"
    return np.asarray((samples.given[rows] == measured)[pairs].sum(1) == 1)


def _likeliest_first(pairs: Pairs, likely: Pairs, is_first: npt.NDArray[np.bool_]) -> Pairs:
    """Return the order in which pairs are compared where there is no time for all.

    Args:
        pairs: ``[M, 2]``, in the order that opens the fewest images.
        likely: the same pairs and others, the most similar first.
        is_first: ``[M]``: those that come first, however similar.
    """
    place = {pair: number for number, pair in enumerate(map(tuple, likely.tolist()))}
    ranks = np.array([place[pair] for pair in map(tuple, pairs.tolist())], np.intp)
    order = np.lexsort((ranks, ~is_first))
    parts = [np.sort(order[at : at + _AHEAD]) for at in range(0, len(order), _AHEAD)]
    return np.concatenate([np.zeros(0, np.intp), *parts])


def _bars(
    samples: Samples,
    rows: Pairs,
    sides: npt.NDArray[np.int32],
    pairs: Pairs,
    correlate: Callable[[Comparison, Pairs], npt.NDArray[np.float32] | None],
) -> npt.NDArray[np.float64] | None:
    """Return the correlation that each pair must exceed: more, where the images are of different classes.

    None where there was no time to find it.
    """
    labels = _labels_of(samples, rows)
    level_of = (sides[pairs].min(1) >= COMPARISONS[1].side).astype(int)
    large = [rows, rows[sides >= COMPARISONS[1].side]]
    bar = np.zeros(len(pairs))
    for level in np.unique(level_of).tolist():
        found = _bar(large[level], COMPARISONS[level], correlate)
        if found is None:
            return None
        bar[level_of == level] = found
    return np.asarray(bar + _OTHER_LABEL * (labels[pairs[:, 0]] != labels[pairs[:, 1]]))


def _correlations_of(
    samples: Samples,
    load: Callable[[Place], ComparedImage],
    pool: Executor,
    ends: float,
    comparison: Comparison,
    pairs: Pairs,
) -> npt.NDArray[np.float32] | None:
    """Return the correlations of pairs ``[M, 2]`` of positions in ``samples``, of those that can be read.

    None where the time ends before, by ``time.monotonic()``.
    """
    both: list[tuple[ComparedImage, ComparedImage]] = []
    for start in range(0, len(pairs), _OPENED):
        if time.monotonic() > ends:
            return None
        both += _load_pairs(samples, pairs[start : start + _OPENED], load, pool)
    return correlations([(one, other) for one, other in both if one.side and other.side], comparison, pool)


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
    is_first: npt.NDArray[np.bool_],
    ends: float,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which pairs hold, as their details agree, or pairs that agree join both images; and which are still open.

    A film has many more pairs than images. So only those are looked at that join images, most similar first; where the
    time ends before (``ends``, by ``time.monotonic()``), only those whose details agree hold.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    holds, agrees = np.ones(len(pairs), bool), np.zeros(len(pairs), bool)
    place = {tuple(pair): number for number, pair in enumerate(pairs.tolist())}
    while holds.any():
        costs = np.where(agrees, 1e-3, 2 - fits)[holds]
        tree = minimum_spanning_tree(csr_matrix((costs, tuple(pairs[holds].T)), (count, count))).tocoo()
        chosen = [place[edge] for edge in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]
        chosen = sorted((number for number in chosen if not agrees[number]), key=lambda number: not is_first[number])
        if not chosen:
            break
        for some in (chosen[at : at + _CONFIRMED] for at in range(0, len(chosen), _CONFIRMED)):
            if time.monotonic() > ends:
                return agrees, holds & ~agrees
            holds[some] = agrees[some] = list(agree(pairs[some].tolist(), fits[some].tolist()))
    return holds, np.zeros(len(pairs), bool)


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


def _bar(
    rows: Pairs, comparison: Comparison, correlate: Callable[[Comparison, Pairs], npt.NDArray[np.float32] | None]
) -> float | None:
    """Return the correlation that a pair must exceed, from those of random pairs; None where there was no time.

    Digits, icons and X-rays are similar by nature; there, only a much higher correlation means a duplicate. Copies
    among the random pairs must not raise the bar: centre and spread are those of the lower part.

    Args:
        rows: positions of one image of each content that is large enough for the comparison.
        comparison: of ``COMPARISONS``.
        correlate: returns the correlations of pairs of positions in it.
    """
    random = np.random.default_rng(0)
    if len(rows) < 3:
        return comparison.same
    drawn = random.integers(0, len(rows), (_RANDOM_PAIRS, 2))
    fits = correlate(comparison, rows[drawn[drawn[:, 0] != drawn[:, 1]]])
    if fits is None:
        return None
    if len(fits) < 20:
        return comparison.same
    low, centre = np.quantile(fits, (0.05, 0.3))
    deviation = (centre - low) / (1.645 - 0.524)  # as of a normal distribution, whose quantiles these are
    return max(comparison.same, float(centre + (0.524 + 6) * deviation))
