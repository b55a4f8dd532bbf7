"""How sure a figure is: an interval beside every number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Figure", "macro_intervals", "wilson"]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


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
    share = hits / n
    centre = share + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == n else (centre + spread) / scale
    return Figure(share, max(0.0, low), min(1.0, high), n, "Wilson, 95 %")


def macro_intervals(
    matrix: npt.NDArray[np.int64],
    statistics: dict[str, Callable[[npt.NDArray[np.float64]], float]],
    *,
    draws: int = 1000,
    seed: int = 0,
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
        hits, unseen, mass = random.gamma(right + prior), random.gamma(prior), random.gamma(wrong)
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
