"""Groups of images that are classified clearly worse than the others: the small, the dark, those of one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import wilson

__all__ = ["LEAST_IMAGES", "Slice", "adjust_rates", "find_slices", "newcombe", "terciles"]

LEAST_IMAGES = 20  # of a slice
FALSE_RATE = 0.1  # of slices among those named that are chance
_MOST_VALUES = 200  # of a column: more are names, not groups


@dataclass(frozen=True, slots=True)
class Slice:
    """Images that share a value, compared with all others.

    Attributes:
        column, value: what they share, such as ``brightness`` and ``lowest third``.
        n: images of the slice.
        accuracy: of these; ``rest`` of all others.
        low, high: 95 % interval of ``accuracy - rest``.
        p: of the difference, two-sided; ``adjusted`` over all slices that were searched.
    """

    column: str
    value: str
    n: int
    accuracy: float
    rest: float
    low: float
    high: float
    p: float
    adjusted: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


def find_slices(
    hits: npt.NDArray[np.bool_], columns: Mapping[str, npt.NDArray[np.object_]], rate: float = FALSE_RATE
) -> dict[str, Any]:
    """Return how many slices were searched, and those that are worse than the rest, worst first; JSON-able.

    Every value of a column with 20 images or more, and as many outside, is a slice. Each is compared with the rest by
    Fisher's exact test, and over all that were searched Benjamini and Hochberg's rule keeps the share of false ones
    among those named below ``rate``.

    Args:
        hits: ``[N] bool``.
        columns: name -> ``[N]`` words; an empty word belongs to no slice.
        rate: share of the named slices that may be chance.

    References:
        Y. Benjamini and Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995); R. G. Newcombe, Statistics
        in Medicine 17 (1998), for the interval of the difference.

    Example:
        >>> hits = np.array([True] * 180 + [False] * 20)
        >>> where = np.array(["day"] * 170 + ["night"] * 30, object)
        >>> find_slices(hits, {"light": where})["found"][0]["value"]
        'night'
    """
    from scipy.stats import fisher_exact

    searched: list[tuple[str, str, int, int, int]] = []
    n, right = len(hits), int(hits.sum())
    for name, column in columns.items():
        values, place = np.unique(column.astype(str), return_inverse=True)
        if not 2 <= len(values) <= _MOST_VALUES:
            continue
        counts, rights = np.bincount(place), np.bincount(place, hits)
        searched += [
            (name, str(value), int(count), int(good), n - int(count))
            for value, count, good in zip(values, counts, rights, strict=True)
            if value and LEAST_IMAGES <= count <= n - LEAST_IMAGES
        ]
    tests = [
        float(fisher_exact([[good, count - good], [right - good, others - right + good]]).pvalue)
        for _, _, count, good, others in searched
    ]
    found = []
    for (name, value, count, good, others), p, adjusted in zip(searched, tests, adjust_rates(tests), strict=True):
        low, high = newcombe(good, count, right - good, others)
        found.append(Slice(name, value, count, good / count, (right - good) / others, low, high, p, adjusted))
    worse = [one for one in found if one.adjusted <= rate and one.accuracy < one.rest]
    worse.sort(key=lambda one: (one.accuracy - one.rest, one.column, one.value))
    return {"searched": len(searched), "rate": rate, "found": [one.to_dict() for one in worse]}


def newcombe(hits: int, n: int, other_hits: int, others: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two independent shares, from Wilson's of each."""
    one, other = wilson(hits, n), wilson(other_hits, others)
    gap = one.value - other.value
    down = np.hypot(one.value - one.low, other.high - other.value)
    up = np.hypot(one.high - one.value, other.value - other.low)
    return float(gap - down), float(gap + up)


def adjust_rates(p_values: list[float]) -> list[float]:
    """Return Benjamini and Hochberg's adjusted p-values, in the order given.

    Example:
        >>> adjust_rates([0.01, 0.04, 0.03])
        [0.03, 0.04, 0.04]
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda k: -p_values[k])
    adjusted, least = [0.0] * count, 1.0
    for rank, k in zip(range(count, 0, -1), order, strict=True):
        least = min(least, p_values[k] * count / rank)
        adjusted[k] = least
    return adjusted


def terciles(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.object_]:
    """Return ``lowest third``, ``middle third`` or ``highest third`` for each value; empty where all are about equal.

    Example:
        >>> terciles(np.arange(3.0)).tolist()
        ['lowest third', 'middle third', 'highest third']
    """
    low, high = np.quantile(values, (1 / 3, 2 / 3)) if len(values) else (0.0, 0.0)
    names = np.array(["lowest third", "middle third", "highest third"], object)
    if not low < high:
        return np.full(len(values), "", object)
    third: npt.NDArray[np.object_] = names[(values > low).astype(int) + (values > high)]
    return third
