"""Baselines: a model that is not clearly better is not worth shipping."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion

__all__ = ["majority_class", "nearest_class_mean"]


def majority_class(
    train_labels: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], units: Units | None = None
) -> Interval:
    """Accuracy of always saying the class that is most frequent in training.

    Example:
        >>> majority_class(np.array([0, 0, 1]), np.array([0, 1])).value
        0.5
    """
    return proportion(labels == np.bincount(train_labels).argmax(), units)


def nearest_class_mean(
    train: npt.NDArray[np.float32],
    train_labels: npt.NDArray[np.int64],
    test: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    units: Units | None = None,
) -> Interval:
    """Accuracy of saying the class whose mean image is nearest (Euclidean distance).

    Args:
        train, test: ``[N, D]`` and ``[M, D]``, for example small images as vectors.
        train_labels, labels: their classes.
        units: ``[M]``: images of one unit are not independent; None: all are.
    """
    present = np.unique(train_labels)
    means = np.stack([train[train_labels == label].mean(0) for label in present])
    # |x - m|^2 without x^2, which is the same for every class
    distance = (means**2).sum(1) - 2 * test @ means.T
    return proportion(present[distance.argmin(1)] == labels, units)
