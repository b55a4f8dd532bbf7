"""What pairs join: images that a chain of pairs links are one unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["join_pairs"]


def join_pairs(pairs: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Return the number of the unit of each thing, ``[count]``, from 0 on.

    Args:
        pairs: ``[M, 2]`` positions of things that are together.
        count: of all things.

    Example:
        >>> join_pairs(np.array([[0, 1], [3, 1]]), 4).tolist()
        [0, 0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)
