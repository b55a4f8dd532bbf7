"""Whether images of one group are more alike than images of different groups, by a permutation test. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Likeness", "compare_groups"]

_GROUPS, _EACH = 150, 6  # groups, and images of each, that are compared at most
_DRAWS = 200
_LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike images of one class are, in one group and in different ones.

    Attributes:
        within, between: mean cosine of two images of one group, and of different groups.
        p: of so large a difference where groups say nothing, one-sided.
    """

    within: float
    between: float
    p: float

    @property
    def is_clear(self) -> bool:
        """Whether images of one group are more alike than chance."""
        return self.p <= _LEVEL


def compare_groups(
    features: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], *, seed: int = 0
) -> Likeness | None:
    """Return how alike images of one group are, beside images of the same class; None where that can't be told.

    Images of different classes are not compared: that a group lies in one class would make it alike. Groups are drawn
    anew among the images of each class, for what chance alone gives.

    Args:
        features: ``[N, D]``, finite; rows of zeros are left out.
        groups: ``[N]``, a number for each; of many groups some are drawn.
        labels: ``[N]``.
        seed: of the draws.

    Example:
        >>> random = np.random.default_rng(0)
        >>> groups = np.repeat(np.arange(20), 3)
        >>> alike = (random.normal(size=(20, 8))[groups] + random.normal(0, 0.5, (60, 8))).astype(np.float32)
        >>> compare_groups(alike, groups, np.zeros(60, np.int64)).is_clear
        True
    """
    random = np.random.default_rng(seed)
    rows = _draw(groups, np.flatnonzero(np.abs(features).sum(1) > 0), random)
    lengths = np.linalg.norm(features[rows], axis=1, keepdims=True)
    unit = features[rows] / np.maximum(lengths, 1e-12)
    cosines, own, of_class = unit @ unit.T, groups[rows], labels[rows]
    one, other = np.triu_indices(len(rows), 1)
    kept = of_class[one] == of_class[other]
    one, other = one[kept], other[kept]
    values = cosines[one, other].astype(np.float64)
    inside = own[one] == own[other]
    if not inside.any() or inside.all():
        return None
    within, between = float(values[inside].mean()), float(values[~inside].mean())
    above = 0
    order = np.argsort(of_class, kind="stable")
    for _ in range(_DRAWS):
        drawn = own.copy()
        for part in np.split(order, np.cumsum(np.bincount(of_class))[:-1]):
            drawn[part] = own[part][random.permutation(len(part))]
        inside = drawn[one] == drawn[other]
        above += not inside.any() or float(values[inside].mean()) >= within
    return Likeness(within, between, (1 + above) / (1 + _DRAWS))


def _draw(
    groups: npt.NDArray[np.int64], rows: npt.NDArray[np.intp], random: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Return some of the rows: a few images of some groups that have two or more."""
    names, counts = np.unique(groups[rows], return_counts=True)
    several = random.permutation(names[counts > 1])[:_GROUPS]
    chosen = [random.permutation(rows[groups[rows] == name])[:_EACH] for name in several]
    return np.sort(np.concatenate([np.zeros(0, np.intp), *chosen]))
