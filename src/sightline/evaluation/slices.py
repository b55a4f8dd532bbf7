"""Groups of images that are classified clearly worse than the others: the small, the dark, those of one folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Units, design_effect, effective_count, newcombe, proportion

__all__ = ["LEAST_IMAGES", "Slice", "Slices", "compare_means", "compare_shares", "find_slices", "has_units", "terciles"]

LEAST_IMAGES = 20  # of a slice
FALSE_RATE = 0.1  # of slices among those named that are chance
_LEAST_UNITS = 5  # of a slice, and of the rest, where images come in groups
_ROUNDING = 1e-9  # of shares and ranks: less is no difference
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
        n_effective: how many independent images the slice is worth; None where all are.
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
    n_effective: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Slices:
    """What a search for slices found.

    Attributes:
        searched: how many were compared with the rest.
        rate: share of those found that may be chance.
        found: those that are worse than the rest, worst first.
    """

    searched: int
    rate: float
    found: tuple[Slice, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {"searched": self.searched, "rate": self.rate, "found": [one.to_dict() for one in self.found]}


def find_slices(
    hits: npt.NDArray[np.bool_],
    columns: Mapping[str, npt.NDArray[np.object_]],
    rate: float = FALSE_RATE,
    units: Units | None = None,
) -> Slices:
    """Return how many slices were searched, and those that are worse than the rest, worst first.

    Every value of a column with 20 images or more, and as many outside, is a slice. Each is compared with the rest by
    Fisher's exact test, and over all that were searched Benjamini and Hochberg's rule keeps the share of false ones
    among those named below ``rate``. Where images come in groups, groups are what the test counts: the variance of the
    difference is that of whole groups, and a slice needs five of them, as does the rest.

    Args:
        hits: ``[N] bool``.
        columns: name -> ``[N]`` words; an empty word belongs to no slice.
        rate: share of the named slices that may be chance.
        units: ``[N]``: images of one unit (a group) are not independent; None: all are.

    References:
        Y. Benjamini and Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995); R. G. Newcombe, Statistics
        in Medicine 17 (1998), for the interval of the difference; A. C. Cameron and D. L. Miller, Journal of Human
        Resources 50 (2015), for variances of groups.

    Example:
        >>> hits = np.array([True] * 180 + [False] * 20)
        >>> where = np.array(["day"] * 170 + ["night"] * 30, object)
        >>> find_slices(hits, {"light": where}).found[0].value
        'night'
    """
    searched: list[tuple[str, str, npt.NDArray[np.bool_]]] = []
    n = len(hits)
    for name, column in columns.items():
        values, place = np.unique(column.astype(str), return_inverse=True)
        if not 2 <= len(values) <= _MOST_VALUES:
            continue
        counts = np.bincount(place)
        searched += [
            (name, str(value), place == number)
            for number, (value, count) in enumerate(zip(values, counts, strict=True))
            if value and LEAST_IMAGES <= count <= n - LEAST_IMAGES and has_units(place == number, units)
        ]
    tests = [compare_shares(hits, inside, units) for *_, inside in searched]
    found = []
    for (name, value, inside), (p, low, high), adjusted in zip(searched, tests, _adjusted(tests), strict=True):
        shares = float(hits[inside].mean()), float(hits[~inside].mean())
        worth = None if units is None else effective_count(hits[inside], units[inside])
        found.append(Slice(name, value, int(inside.sum()), *shares, low, high, p, adjusted, worth))
    worse = [one for one in found if one.adjusted <= rate and one.accuracy < one.rest]
    worse.sort(key=lambda one: (one.accuracy - one.rest, one.column, one.value))
    return Slices(len(searched), rate, tuple(worse))


def _adjusted(tests: list[tuple[float, float, float]]) -> list[float]:
    """Return Benjamini and Hochberg's adjusted p-values."""
    from scipy.stats import false_discovery_control

    adjusted: list[float] = false_discovery_control([p for p, *_ in tests]).tolist() if tests else []
    return adjusted


def has_units(inside: npt.NDArray[np.bool_], units: Units | None) -> bool:
    """Return whether both sides have five units, so that they can be compared."""
    return units is None or all(len(np.unique(units[side])) >= _LEAST_UNITS for side in (inside, ~inside))


def compare_shares(
    hits: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_], units: Units | None = None
) -> tuple[float, float, float]:
    """Return p, two-sided, and the ends of the 95 % interval, of the share of hits inside less that outside.

    Args:
        hits: ``[N] bool``.
        inside: ``[N] bool``, both kinds present.
        units: ``[N]``, five on each side: images of one unit are not independent; None: all are.
    """
    if units is None:
        return _test_images(hits, inside)
    return _test_units(hits, inside, units)


def _test_images(hits: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return p, and the ends of the difference's interval, of independent images."""
    from scipy.stats import fisher_exact

    good, count, right, n = int(hits[inside].sum()), int(inside.sum()), int(hits.sum()), len(hits)
    table = [[good, count - good], [right - good, n - count - right + good]]
    return float(fisher_exact(table).pvalue), *newcombe(good, count, right - good, n - count)


def _test_units(hits: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_], units: Units) -> tuple[float, float, float]:
    """Return p, and the ends of the difference's interval, of images that come in groups.

    The t-test of units takes a side without a mistake, or nearly so, for one that never varies: so the exact test of as
    many independent images as the units are worth must agree with it, and the interval is the wider one.
    """
    from scipy.stats import fisher_exact

    p, low, high = compare_means(hits, inside, units)
    one, other = (proportion(hits[side], units[side]) for side in (inside, ~inside))
    gap = one.value - other.value
    down = math.hypot(one.value - one.low, other.high - other.value)
    up = math.hypot(one.high - one.value, other.value - other.low)
    table = []
    for side in (inside, ~inside):
        worth = round(side.sum() / design_effect(hits[side], units[side]))
        right = round(float(hits[side].mean()) * worth)
        table.append([right, worth - right])
    exact = float(fisher_exact(table).pvalue)
    return max(p, exact), max(-1.0, min(low, gap - down)), min(1.0, max(high, gap + up))


def compare_means(
    values: npt.NDArray[np.bool_] | npt.NDArray[np.float64], inside: npt.NDArray[np.bool_], units: Units
) -> tuple[float, float, float]:
    """Return p, two-sided, and the ends of the 95 % interval, of the mean inside less that outside, of units.

    A t-test whose variance is that of whole units, with the degrees of freedom of the side that has fewer. Where all of
    a side are equal, p is that of a permutation test, for which no other order of the units is as clear.

    Args:
        values: ``[N]``.
        inside, units: as for ``compare_shares``.
    """
    from scipy.stats import t

    sides = [side / side.sum() * (values - values[side].mean()) for side in (inside, ~inside)]
    gap = float(values[inside].mean() - values[~inside].mean())
    place = np.unique(units, return_inverse=True)[1]
    parts = np.bincount(place, sides[0] - sides[1])  # what each group adds to the difference's error
    few = min(len(np.unique(units[side])) for side in (inside, ~inside))
    error = float(np.sqrt((parts**2).sum() * few / (few - 1)))
    if error < _ROUNDING:  # no unit differs from its side
        return min(1.0, 2 / math.comb(len(np.unique(units)), few)) if abs(gap) > _ROUNDING else 1.0, gap, gap
    reach = float(t.ppf(0.975, few - 1)) * error
    return 2 * float(t.sf(abs(gap) / error, few - 1)), gap - reach, gap + reach


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
