"""Whether two maps of one image point at the same places."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["map_agreement", "rank_correlation"]


def rank_correlation(one: npt.ArrayLike, two: npt.ArrayLike) -> float | None:
    """Return Spearman's rank correlation, -1 to 1, equal values sharing their mean rank; None where one is constant.

    Example:
        >>> rank_correlation([1, 2, 3, 3], [10, 20, 30, 30])
        1.0
    """
    ranks = [_mean_ranks(np.asarray(values).ravel()) for values in (one, two)]
    first, second = (values - values.mean() for values in ranks)
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(np.clip(first @ second / scale, -1, 1)) if scale else None


def map_agreement(one: npt.NDArray[np.float32], two: npt.NDArray[np.float32], cells: int) -> float | None:
    """Return the rank correlation of two ``[H, W]`` maps, averaged over ``cells`` x ``cells`` places first.

    Maps that are coarse by nature agree or not in their cells; pixels would only count the same cell many times.
    """
    return rank_correlation(*(_averaged(values, cells) for values in (one, two)))


def _mean_ranks(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: npt.NDArray[np.float64] = (last - (counts - 1) / 2)[place.ravel()]
    return means


def _averaged(values: npt.NDArray[np.float32], cells: int) -> npt.NDArray[np.float64]:
    edges = [np.linspace(0, side, min(cells, side) + 1).round().astype(np.intp)[:-1] for side in values.shape]
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), edges[0], 0), edges[1], 1)
    heights, widths = (np.diff([*edge, side]) for edge, side in zip(edges, values.shape, strict=True))
    means: npt.NDArray[np.float64] = sums / np.outer(heights, widths)
    return means
