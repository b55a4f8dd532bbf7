"""How sure a metric is: an interval beside every number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.joining import join_pairs

__all__ = [
    "Interval",
    "design_effect",
    "draw_blocks",
    "draw_weights",
    "effective_count",
    "join_units",
    "macro_intervals",
    "mean_interval",
    "newcombe",
    "pool_shares",
    "proportion",
    "sum_by",
    "wilson",
]

_NO_INTERVAL = "none: one image or group alone can't tell"
_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_MOST_DIGITS = 6  # of a percentage
_THIN = 10  # images of a class, in the middle of the classes: with fewer, intervals over classes are too narrow
_TELLING = 10  # units with a mistake, and with a hit: with fewer, how alike the images of a unit are is not known
_DRAWS, _LEAST_DRAWS, _CELLS = 2_000, 200, 4e7  # of a bootstrap: usual, least, and about how many numbers it may draw
_BLOCK = 50_000  # numbers of a block of draws: few calls of numpy, and arrays that stay in the processor's cache

Units = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval and the count that it rests on.

    Attributes:
        value, low, high: the number, and the ends of its interval.
        n: images.
        method: how the interval was made.
        n_effective: how many independent images would tell as much; None where all are independent.

    Example:
        >>> str(wilson(93, 100))
        '93 % (86 to 97, n=100)'
        >>> str(proportion(np.arange(100) < 90, np.arange(100) // 10))
        '90 % (52 to 99, n=100, effective n=10)'
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    n_effective: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values; ``n_effective`` only where images are not independent."""
        fields = asdict(self)
        if self.n_effective is None:
            del fields["n_effective"]
        return fields

    @property
    def independent(self) -> int:
        """How many independent images it is worth: ``n`` where all are."""
        return self.n if self.n_effective is None else self.n_effective

    @property
    def counted(self) -> str:
        """The count as it stands beside the number, with how many independent images it is worth.

        Example:
            >>> Interval(0.8, 0.7, 0.9, 2_487, "", 71).counted
            'n=2,487, effective n=71'
        """
        worth = "" if self.n_effective is None else f", effective n={self.n_effective:,}"
        return f"n={self.n:,}{worth}"

    def percents(self) -> tuple[str, str, str]:
        """Return value, low and high in percent, with as many digits as the interval's width allows.

        With more where the value would be written as 0 or 100 and is neither.
        """
        width = (self.high - self.low) * 100
        digits = 0 if width >= 5 else 1 if width >= 0.5 else 2
        while digits < _MOST_DIGITS and 0 < self.value < 1 and round(100 * self.value, digits) in (0, 100):
            digits += 1
        value, low, high = (f"{100 * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return value, low, high

    def plain(self) -> str:
        """Return the value as a number, not in percent, with as many digits as the interval's width allows.

        Example:
            >>> Interval(0.31234, 0.2512, 0.3711, 372, "").plain()
            '0.31 (0.25 to 0.37, n=372)'
        """
        if self.method == _NO_INTERVAL:
            return f"{self.value:.2f} (no interval, {self.counted})"
        width = self.high - self.low
        digits = min(4, max(2, 1 - math.floor(math.log10(width)))) if width > 0 else 4
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high}, {self.counted})"

    def __str__(self) -> str:
        value, low, high = self.percents()
        return f"{value} % ({low} to {high}, {self.counted})"


def wilson(hits: int, n: int) -> Interval:
    """Return ``hits / n`` with Wilson's score interval; it stays honest near 0 and 1, and for small n.

    Raises:
        ValueError: unless 0 <= hits <= n and n > 0.

    References:
        E. B. Wilson (1927); recommended over the usual formula by Brown, Cai and DasGupta, Statistical Science
        16 (2001).

    Example:
        >>> round(wilson(50, 50).low, 3)
        0.929
    """
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"{hits} of {n} is not a proportion")
    return Interval(hits / n, *_score_interval(hits / n, n), n, "Wilson, 95 %")


def _score_interval(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's interval of a share of ``n`` independent images, which need not be a whole number."""
    centre = share + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    low = 0.0 if share == 0 else (centre - spread) / scale
    high = 1.0 if share == 1 else (centre + spread) / scale
    return max(0.0, low), min(1.0, high)


def proportion(hits: npt.NDArray[np.bool_], units: Units | None = None) -> Interval:
    """Return the share of hits with Wilson's interval; images of one unit do not count as independent.

    The interval is that of as many independent images as the units are worth (see ``design_effect``), as for surveys
    of clusters, with Student's quantile for few units.

    Args:
        hits: ``[N] bool``, N > 0.
        units: ``[N]``, number of the unit (a patient, a burst of photos) of each image; None: each is its own.

    References:
        C. Franco, R. J. A. Little, T. A. Louis and E. V. Slud, Journal of Survey Statistics and Methodology 7 (2019).

    Example:
        >>> proportion(np.array([True] * 9 + [False])).n
        10
    """
    n, share = len(hits), float(hits.mean())
    if units is None:
        return wilson(int(hits.sum()), n)
    count, effect = len(np.unique(units)), design_effect(hits, units)
    if effect == 1 and count == n:
        return wilson(int(hits.sum()), n)
    method, worth = f"Wilson over {count:,} groups, 95 %", effective_count(hits, units)
    return Interval(share, *_score_interval(share, n / effect), n, method, worth)


def pool_shares(intervals: Sequence[Interval], count_units: int) -> Interval:
    """Return the share of hits of several sets of images together, with Wilson's interval.

    The effective counts of the sets, where images of one are not independent, give that of all: no unit may be in two.
    As in ``proportion`` the interval is wider for few units.

    Args:
        intervals: of ``proportion``, one a set; their values times n are whole numbers.
        count_units: units of all sets; n where images are independent.

    Example:
        >>> str(pool_shares([wilson(8, 10), wilson(30, 40)], 50))
        '76 % (63 to 86, n=50)'
    """
    n = sum(one.n for one in intervals)
    hits = sum(round(one.value * one.n) for one in intervals)
    if all(one.n_effective is None for one in intervals):
        return wilson(hits, n)
    # The variance of a mean of sets: each adds its share of the images, squared, over what it is worth.
    worth = n**2 / sum(one.n**2 / one.independent for one in intervals)
    share, sure = hits / n, worth
    if 1 < count_units < n:
        sure = min(n, worth / _few_units(count_units, 0 < hits < n))
    return Interval(share, *_score_interval(share, sure), n, "Wilson over groups, 95 %", round(worth))


def newcombe(hits: int, n: int, other_hits: int, others: int) -> tuple[float, float]:
    """Return the 95 % interval of ``hits / n - other_hits / others``, two independent shares, from Wilson's of each.

    References:
        R. G. Newcombe, Statistics in Medicine 17 (1998), method 10.

    Example:
        >>> [round(end, 2) for end in newcombe(40, 50, 80, 90)]
        [-0.23, 0.03]
    """
    one, other = wilson(hits, n), wilson(other_hits, others)
    gap = one.value - other.value
    down = math.hypot(one.value - one.low, other.high - other.value)
    return gap - down, gap + math.hypot(one.high - one.value, other.value - other.low)


def join_units(*several: Units | None) -> Units | None:
    """Return units in which images are together that are so in any of the given ones; None where none are given.

    Example:
        >>> join_units(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
        [0, 0, 0, 1]
    """
    given = [units for units in several if units is not None]
    if len(given) < 2:
        return given[0] if given else None
    n, ends = len(given[0]), []
    for units in given:
        _, first, place = np.unique(units, return_index=True, return_inverse=True)
        ends.append(np.stack([np.arange(n), first[place]], 1))
    return join_pairs(np.concatenate(ends), n).astype(np.int64)


def effective_count(values: npt.NDArray[np.bool_] | npt.NDArray[np.float64], units: Units) -> int:
    """Return how many independent images would give the mean of these values as surely; from 1 to their number.

    Args:
        values: ``[N]``, of each image.
        units: ``[N]``, as for ``proportion``. How alike the images of a unit are can't be told where all values are
            equal: they are then taken to be quite alike. So they are for hits, the more so the fewer units hold a
            mistake or the fewer hold a hit (see ``design_effect``).

    References:
        L. Kish, Survey Sampling (1965), section 8.2.

    Example:
        >>> effective_count(np.repeat([True, False, True, True], 25), np.repeat(np.arange(4), 25))
        4
    """
    return max(1, round(len(values) / max(1.0, _variance_ratio(values, units))))


def _variance_ratio(values: npt.NDArray[np.bool_] | npt.NDArray[np.float64], units: Units) -> float:
    """Return the variance of the mean when units are drawn, over that when images are; both as of whole populations."""
    _, place, sizes = np.unique(units, return_inverse=True, return_counts=True)
    n, size = len(values), float((sizes**2).sum()) / len(values)
    if values.min() == values.max() or len(sizes) == 1:
        return size
    sums, unseen = np.bincount(place, values), 0.0
    if values.dtype == bool:
        telling = max(1, min((sums < sizes).sum(), (sums > 0).sum()))
        unseen = min(1.0, (_TELLING / telling) ** 2)  # how much a unit wholly right and one wholly wrong count
    mean = (sums.sum() + unseen * size) / (n + 2 * unseen * size)
    unseen *= mean**2 + (1 - mean) ** 2
    spread = ((values - mean) ** 2).sum() + size * unseen
    return float((((sums - mean * sizes) ** 2).sum() + size**2 * unseen) / spread)


def design_effect(hits: npt.NDArray[np.bool_], units: Units) -> float:
    """Return how many images of these units say as much as one independent image; at least 1.

    It is the variance of the share when units are drawn, over that when images are, corrected for few units by
    Student's quantile.

    Few mistakes don't show whether they come one by one or by whole units: one wrong image of 1,200 would make forty
    patients of thirty images 1,200 witnesses. So one unit that is wholly right and one that is wholly wrong are added
    to those that were seen, as Agresti and Coull add hits and mistakes. They count fully until ten units hold a mistake
    and ten a hit, and with more by the square of ten over their number. In simulations of 20 to 300 units of 4 to 35
    images, mistakes by units, one by one or mixed, intervals held the truth in 94 to 97 of 100 cases (without the two
    units in 66 to 90 where nearly all mistakes were those of 1 to 3 units), and in up to 99.8 where few units of many
    images don't matter, for which they are up to half wider than need be.

    References:
        A. Agresti and B. A. Coull, The American Statistician 52 (1998).
    """
    count, n = len(np.unique(units)), len(hits)
    if count == n:
        return 1.0
    if count == 1:
        return float(n)
    return max(1.0, _variance_ratio(hits, units) * _few_units(count, 0 < hits.sum() < n))


def _few_units(count: int, is_mixed: bool) -> float:
    """Return by what a variance of so many units is corrected; only where hits are mixed is it estimated from them."""
    from scipy.stats import t

    few = (float(t.ppf(0.975, count - 1)) / _Z) ** 2
    return few * count / (count - 1) if is_mixed else few


def draw_weights(
    labels: npt.NDArray[np.int64],
    units: Units | None = None,
    *,
    rounds: int | None = None,
    cells: int = 0,
    seed: int = 0,
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield ``[N]``, how often each image counts, for each round of ``draw_blocks``, whose arguments it takes."""
    for block in draw_blocks(labels, units, rounds=rounds, cells=cells, seed=seed):
        yield from block


def draw_blocks(
    labels: npt.NDArray[np.int64],
    units: Units | None = None,
    *,
    rounds: int | None = None,
    cells: int = 0,
    seed: int = 0,
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield ``[B, N]``, how often each image counts in ``B`` rounds of a bootstrap of whole units within classes.

    Of each class one unit fewer is taken than it has, with replacement, and each counts for more: units lie nearer to
    their own mean than to the true one. Classes of one unit are taken together, since one alone would never vary.

    Args:
        labels: ``[N]``: every class keeps its weight.
        units: ``[N]``: units are taken as they are, with all their images, in the class that most of them have; None:
            each image is its own.
        rounds: how many in all blocks; None: 2,000, of large sets fewer, at least 200.
        cells: numbers that a round costs, where those are more than N.
        seed: of the draws.

    References:
        J. N. K. Rao and C. F. J. Wu, Journal of the American Statistical Association 83 (1988), for the size of a
        draw from small strata.
    """
    random, n = np.random.default_rng(seed), len(labels)
    if rounds is None:
        rounds = int(min(_DRAWS, max(_LEAST_DRAWS, _CELLS // max(n, cells))))
    names = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
    stratum = _strata(labels, names)
    count = len(stratum)
    order = np.argsort(stratum, kind="stable")
    size_of = np.bincount(stratum)
    first_of = np.cumsum(size_of) - size_of
    is_taken = (np.arange(count) > first_of[stratum[order]]) | (size_of[stratum[order]] == 1)
    sizes, starts = (each[stratum[order[is_taken]]] for each in (size_of, first_of))
    counts_for = (size_of / np.maximum(size_of - 1, 1))[stratum]
    for size in _block_sizes(rounds, n):
        taken = order[starts + (random.random((size, len(starts))) * sizes).astype(np.intp)]
        taken += count * np.arange(size)[:, None]
        weights = np.bincount(taken.ravel(), minlength=size * count).reshape(size, count) * counts_for
        yield weights if units is None else np.take(weights, names, axis=1)


def _block_sizes(rounds: int, cells: int) -> Iterator[int]:
    """Yield the sizes of blocks of rounds that cost ``cells`` numbers each."""
    most = max(1, _BLOCK // max(1, cells))
    for first in range(0, rounds, most):
        yield min(most, rounds - first)


def sum_by(places: npt.NDArray[np.int64], values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return ``[..., count]``: the sums of values ``[..., N]`` of equal place ``[N]``.

    Example:
        >>> sum_by(np.array([0, 1, 0]), np.array([[1.0, 2.0, 3.0]]), 2).tolist()
        [[4.0, 2.0]]
    """
    *outside, n = values.shape
    rows = math.prod(outside)
    where = np.arange(rows)[:, None] * count + places
    sums = np.bincount(where.ravel(), values.reshape(rows * n), rows * count)
    return np.asarray(sums, np.float64).reshape(*outside, count)


def _strata(labels: npt.NDArray[np.int64], names: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Return ``[U]`` the stratum of each unit: its most frequent class; those alone in theirs are one stratum."""
    classes = int(labels.max()) + 1
    pairs, sizes = np.unique(names * classes + labels, return_counts=True)
    order = np.lexsort((sizes, pairs // classes))
    stratum = np.zeros(int(names.max()) + 1, np.int64)
    stratum[pairs[order] // classes] = pairs[order] % classes  # of equal places the last, the largest, stays
    counts = np.bincount(stratum, minlength=classes)
    alone = counts[stratum] == 1
    if alone.sum() == 1 and len(stratum) > 1:  # one alone joins the smallest of the others
        others = np.where(counts > 1, counts, np.iinfo(np.int64).max)
        stratum[alone] = int(others.argmin())
    else:
        stratum[alone] = classes
    return np.unique(stratum, return_inverse=True)[1].astype(np.int64)


def mean_interval(
    values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], units: Units | None = None, *, seed: int = 0
) -> Interval:
    """Return the mean of a value an image, with a percentile interval by a bootstrap within classes, or of groups.

    Args:
        values: ``[N]``, such as the loss of each image.
        labels, units, seed: as for ``draw_weights``.

    References:
        B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, chapter 13 (1993).
    """
    value = float(values.mean())
    if (len(values) if units is None else len(np.unique(units))) < 2:
        return Interval(value, value, value, len(values), _NO_INTERVAL)
    drawn = [weights @ values / weights.sum(1) for weights in draw_blocks(labels, units, seed=seed)]
    low, high = (float(end) for end in np.quantile(np.concatenate(drawn), (0.025, 0.975)))
    over = "within classes" if units is None else "of groups"
    worth = None if units is None else effective_count(values, units)
    return Interval(value, min(low, value), max(high, value), len(values), f"bootstrap {over}, 95 %", worth)


def macro_intervals(
    matrix: npt.NDArray[np.int64],
    statistics: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]],
    *,
    draws: int = 1000,
    seed: int = 0,
    effect: float = 1.0,
) -> dict[str, Interval]:
    """Return metrics of a confusion matrix with 95 % credible intervals.

    Each draw takes every true class's row of shares from its Dirichlet posterior. The prior of a class is half an
    image right and half an image wrong, as Jeffreys' for one proportion, over the square root of the number of
    classes: with more, the priors add up to too many mistakes. So classes without a mistake are not taken for
    perfect, which resampling the images would do. In simulations of 2 to 20 classes of 10 to 120 images with
    recalls of 0.7 to 0.97 the intervals held the truth in 90 to 96 of 100 cases. With fewer images in most of the
    classes they hold it less often (precision in half the cases where 100 classes have 3), and say so in ``method``.

    Args:
        matrix: ``[K, K]`` counts, row the true class, column the predicted one.
        statistics: name -> function of ``[..., 3, K]`` counts, hits, support and predictions of each class, that
            returns ``[...]``.
        draws: how often to draw.
        seed: of the draws.
        effect: images that say as much as one independent image, see ``design_effect``.

    References:
        L. D. Brown, T. T. Cai and A. DasGupta, Statistical Science 16 (2001), for Jeffreys' interval;
        C. Goutte and E. Gaussier, ECIR 2005, for posteriors of precision, recall and F1.

    Example:
        >>> perfect = np.diag([2, 2, 2])
        >>> recall = {"recall": lambda counts: (counts[..., 0, :] / counts[..., 1, :]).mean(-1)}
        >>> macro_intervals(perfect, recall)["recall"].low < 0.9
        True
    """
    n, support, said = int(matrix.sum()), matrix.sum(1), matrix.sum(0)
    drawn: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in statistics}
    for counts in _draw_counts(matrix, draws, seed, effect):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(counts))
    point = np.stack([matrix.diagonal(), support, said]).astype(np.float64)
    is_thin = float(np.median(support[support > 0])) < _THIN
    method = "Dirichlet posterior, too narrow for so few images a class" if is_thin else "Dirichlet posterior, 95 %"
    intervals = {}
    for name, statistic in statistics.items():
        value = float(statistic(point))
        low, high = (float(end) for end in np.quantile(np.concatenate(drawn[name]), (0.025, 0.975)))
        intervals[name] = Interval(value, min(low, value), max(high, value), n, method)
    return intervals


def _draw_counts(
    matrix: npt.NDArray[np.int64], draws: int, seed: int, effect: float
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield ``[B, 3, K]``: hits, support and predictions of each class, in ``B`` draws from the posterior."""
    classes, support, said = len(matrix), matrix.sum(1), matrix.sum(0)
    right = matrix.diagonal()
    rows, columns = np.nonzero(matrix - np.diag(right))
    prior = np.where(support > 0, 0.5 / math.sqrt(max(1, (support > 0).sum())), 0.0)
    where = (said + 1) / (said + 1).sum()  # which class a mistake that was not seen would be taken for
    shapes = np.concatenate([right / effect + prior, prior, matrix[rows, columns] / effect])
    random = np.random.default_rng(seed)
    for size in _block_sizes(draws if len(rows) < 20_000 else draws // 5, len(shapes)):
        hits, unseen, mass = np.split(random.gamma(shapes, size=(size, len(shapes))), [classes, 2 * classes], axis=1)
        total = hits + unseen + sum_by(rows, mass, classes)
        scale = np.divide(support, total, out=np.zeros_like(total), where=total > 0)
        hits, unseen, mass = hits * scale, unseen * scale, mass * np.take(scale, rows, axis=1)
        predicted = hits + sum_by(columns, mass, classes) + unseen.sum(1, keepdims=True) * where
        yield np.stack([hits, np.broadcast_to(support, hits.shape), predicted], axis=1)
