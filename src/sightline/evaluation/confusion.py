"""The confusion matrix in JSON: its cells that are not zero, since of thousands of classes nearly all of them are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["confusion_from", "confusion_to"]


def confusion_to(matrix: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return a ``[K, K]`` matrix as in ``metrics.json``: a row ``[true, predicted, images]`` for each cell with images.

    Example:
        >>> confusion_to(np.array([[3, 0], [1, 2]]))
        {'classes': 2, 'cells': [[0, 0, 3], [1, 0, 1], [1, 1, 2]]}
    """
    rows, columns = np.nonzero(matrix)
    return {"classes": len(matrix), "cells": np.stack([rows, columns, matrix[rows, columns]], 1).tolist()}


def confusion_from(written: Any, classes: int) -> npt.NDArray[np.int64]:
    """Return the ``[K, K]`` matrix that :func:`confusion_to` wrote; also of a square, as earlier versions wrote it.

    Args:
        written: the value in ``metrics.json``.
        classes: how many there must be: the matrix takes the square of that in memory.

    Raises:
        ValueError, TypeError, LookupError: if it is something else.

    Example:
        >>> confusion_from({"classes": 2, "cells": [[1, 0, 4]]}, 2).tolist()
        [[0, 0], [4, 0]]
    """
    if isinstance(written, list):
        square = np.array(written, np.int64)
        if square.shape != (classes, classes):
            raise ValueError(f"a confusion matrix of the shape {square.shape} for {classes} classes")
        return square
    if written["classes"] != classes:
        raise ValueError(f"a confusion matrix of {written['classes']} classes, not of {classes}")
    matrix = np.zeros((classes, classes), np.int64)
    cells = np.array(written["cells"], np.int64).reshape(-1, 3)
    if (cells < 0).any():
        raise ValueError("a confusion matrix with a number below zero")
    matrix[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return matrix
