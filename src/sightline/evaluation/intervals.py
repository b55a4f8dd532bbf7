"""How sure a figure is: an interval beside every number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Figure", "design_effect", "draw_weights", "macro_intervals", "mean_figure", "proportion", "wilson"]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_DRAWS, _LEAST_DRAWS, _CELLS = 2_000, 200, 4e7  # of a bootstrap: usual, least, and about how many numbers it may draw

Units = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval and the count that it rests on.

    Example:
        >>> str(wilson(93, 100))
        '93 % (86 to 97, n=100)'
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)

    def percents(self) -> tuple[str, str, str]:
        """Return value, low and high in percent, with as many digits as the interval's width allows."""
        width = (self.high - self.low) * 100
        digits = 0 if width >= 5 else 1 if width >= 0.5 else 2
        value, low, high = (f"{100 * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return value, low, high

    def plain(self) -> str:
        """Return the figure as a number that is no share, with as many digits as the interval's width allows.

        Example:
            >>> Figure(0.31234, 0.2512, 0.3711, 372, "").plain()
            '0.31 (0.25 to 0.37, n=372)'
        """
        width = self.high - self.low
        digits = min(4, max(2, 1 - math.floor(math.log10(width)))) if width > 0 else 4
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high}, n={self.n:,})"

    def __str__(self) -> str:
        value, low, high = self.percents()
        return f"{value} % ({low} to {high}, n={self.n:,})"


def wilson(hits: int, n: int) -> Figure:
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
        raise ValueError(f"hits={hits} of n={n} is no proportion")
    return Figure(hits / n, *_score_interval(hits / n, n), n, "Wilson, 95 %")


def _score_interval(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's interval of a share of ``n`` independent images, which need not be a whole number."""
    centre = share + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    low = 0.0 if share == 0 else (centre - spread) / scale
    high = 1.0 if share == 1 else (centre + spread) / scale
    return max(0.0, low), min(1.0, high)


def proportion(hits: npt.NDArray[np.bool_], units: Units | None = None) -> Figure:
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
    return Figure(share, *_score_interval(share, n / effect), n, f"Wilson over {count:,} groups, 95 %")


def design_effect(hits: npt.NDArray[np.bool_], units: Units) -> float:
    """Return how many images of these units say as much as one independent image; at least 1.

    It is the variance of the share when units are drawn, over that when images are, corrected for few units by
    Student's quantile. Where all images or none are hits, a unit is taken for one image.
    """
    names, place = np.unique(units, return_inverse=True)
    count, n = len(names), len(hits)
    if count == n:
        return 1.0
    if count == 1:
        return float(n)
    from scipy.stats import t

    share = float(hits.mean())
    few = (float(t.ppf(0.975, count - 1)) / _Z) ** 2
    if share in (0.0, 1.0):
        return n / count * few
    sums = np.bincount(place, hits - share, count)
    variance = count / (count - 1) * float((sums**2).sum()) / n**2
    return max(1.0, variance / (share * (1 - share) / n) * few)


def draw_weights(
    labels: npt.NDArray[np.int64], units: Units | None = None, *, cells: int = 0, seed: int = 0
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield how often each image is drawn in each round of a bootstrap: within its class, or by whole units.

    Args:
        labels: ``[N]``: without units every class keeps its number of images, as in the set.
        units: ``[N]``: units are drawn as they are, with all their images.
        cells: numbers that a round costs, where those are more than N: large sets get fewer rounds, at least 200.
        seed: of the draws.
    """
    random, n = np.random.default_rng(seed), len(labels)
    rounds = int(min(_DRAWS, max(_LEAST_DRAWS, _CELLS // max(n, cells))))
    keys = labels if units is None else np.zeros(n, np.int64)
    names = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
    first = np.unique(names, return_index=True)[1]  # one image of each unit
    order = first[np.argsort(keys[first], kind="stable")]
    sizes = np.bincount(keys[order])
    start, size = np.repeat(np.cumsum(sizes) - sizes, sizes), np.repeat(sizes, sizes)
    for _ in range(rounds):
        drawn = names[order[start + (random.random(len(order)) * size).astype(np.intp)]]
        yield np.bincount(drawn, minlength=len(first)).astype(np.float64)[names]


def mean_figure(
    values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], units: Units | None = None, *, seed: int = 0
) -> Figure:
    """Return the mean of a value an image, with a percentile interval by a bootstrap within classes, or over units.

    Args:
        values: ``[N]``, such as the loss of each image.
        labels, units, seed: as for ``draw_weights``.

    References:
        B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, chapter 13 (1993).
    """
    drawn = [float(w @ values / w.sum()) for w in draw_weights(labels, units, seed=seed)]
    value = float(values.mean())
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    over = "within classes" if units is None else "over groups"
    return Figure(value, min(low, value), max(high, value), len(values), f"bootstrap {over}, 95 %")


def macro_intervals(
    matrix: npt.NDArray[np.int64],
    statistics: dict[str, Callable[[npt.NDArray[np.float64]], float]],
    *,
    draws: int = 1000,
    seed: int = 0,
    effect: float = 1.0,
) -> dict[str, Figure]:
    """Return figures of a confusion matrix with 95 % credible intervals.

    Each draw takes every true class's row of shares from its Dirichlet posterior. The prior of a class is half an
    image right and half an image wrong, as Jeffreys' for one proportion, over the square root of the number of
    classes: with more, the priors add up to too many mistakes. So classes without a mistake are not taken for
    perfect, which resampling the images would do. In simulations of 2 to 20 classes of 10 to 120 images with
    recalls of 0.7 to 0.97 the intervals held the truth in 90 to 96 of 100 cases.

    Args:
        matrix: ``[K, K]`` counts, row the true class, column the predicted one.
        statistics: name -> function of a ``[3, K]`` array: hits, support, predicted count of each class.
        draws: how often to draw.
        seed: of the draws.
        effect: images that say as much as one independent image, see ``design_effect``.

    References:
        L. D. Brown, T. T. Cai and A. DasGupta, Statistical Science 16 (2001), for Jeffreys' interval;
        C. Goutte and E. Gaussier, ECIR 2005, for posteriors of precision, recall and F1.

    Example:
        >>> perfect = np.diag([2, 2, 2])
        >>> recall = {"recall": lambda counts: float((counts[0] / counts[1]).mean())}
        >>> macro_intervals(perfect, recall)["recall"].low < 0.9
        True
    """
    n, support, said = int(matrix.sum()), matrix.sum(1), matrix.sum(0)
    right = matrix.diagonal()
    rows, columns = np.nonzero(matrix - np.diag(right))
    wrong = matrix[rows, columns]
    prior = np.where(support > 0, 0.5 / math.sqrt(max(1, (support > 0).sum())), 0.0)
    where = (said + 1) / (said + 1).sum()  # which class a mistake that was not seen would be taken for
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(draws if len(rows) < 20_000 else draws // 5):
        hits, unseen, mass = random.gamma(right / effect + prior), random.gamma(prior), random.gamma(wrong / effect)
        total = hits + unseen + np.bincount(rows, mass, len(matrix))
        scale = np.divide(support, total, out=np.zeros(len(matrix)), where=total > 0)
        hits, unseen, mass = hits * scale, unseen * scale, mass * scale[rows]
        predicted = hits + np.bincount(columns, mass, len(matrix)) + unseen.sum() * where
        counts = np.stack([hits, support, predicted])
        for name, statistic in statistics.items():
            drawn[name].append(statistic(counts))
    point = np.stack([right, support, said]).astype(np.float64)
    figures = {}
    for name, statistic in statistics.items():
        value = statistic(point)
        low, high = np.quantile(drawn[name], (0.025, 0.975))
        figures[name] = Figure(value, min(float(low), value), max(float(high), value), n, "Dirichlet posterior, 95 %")
    return figures
