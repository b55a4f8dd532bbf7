"""How sure a figure is: an interval beside every number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Figure", "bootstrap_macro", "wilson"]

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


def bootstrap_macro(
    labels: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    classes: int,
    statistics: dict[str, Callable[[npt.NDArray[np.float64]], float]],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return figures of per-class counts with percentile intervals from a stratified bootstrap.

    Each draw takes as many images of each class as there are, with replacement.

    Args:
        labels, predicted: ``[N]``, positions of classes.
        classes: how many classes there are.
        statistics: name -> function of a ``[3, classes]`` array: hits, support, predicted count of each class.
        draws: how often to draw.
        seed: of the draws.

    References:
        B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    order = np.argsort(labels, kind="stable")
    labels, predicted = labels[order], predicted[order]
    support = np.bincount(labels, minlength=classes)
    starts = np.repeat(np.cumsum(support) - support, support)
    sizes = np.repeat(support, support)
    random = np.random.default_rng(seed)

    def count(said: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        hits = np.bincount(labels[said == labels], minlength=classes)
        return np.stack([hits, support, np.bincount(said, minlength=classes)]).astype(np.float64)

    drawn = [count(predicted[starts + (random.random(len(labels)) * sizes).astype(np.int64)]) for _ in range(draws)]
    point = count(predicted)
    figures = {}
    for name, statistic in statistics.items():
        low, high = np.quantile([statistic(counts) for counts in drawn], (0.025, 0.975))
        figures[name] = Figure(statistic(point), float(low), float(high), len(labels), "stratified bootstrap, 95 %")
    return figures
