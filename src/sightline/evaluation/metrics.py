"""Metrics of predicted classes; scikit-learn is the oracle in their tests. Those of probabilities: ``scores.py``.

A class that was never predicted has precision 0, as in scikit-learn's ``zero_division=0``. Macro figures are
means over the classes that occur among the labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, design_effect, macro_intervals, proportion
from sightline.evaluation.scores import rank_classes, score_figures

__all__ = ["COUNT_METRICS", "MIN_SUPPORT", "class_table", "confusion_matrix", "evaluate_predictions"]

MIN_SUPPORT = 30  # below it a class's figures are "too few to tell"

Counts = npt.NDArray[np.float64]  # [3, K]: hits, support, predicted


def confusion_matrix(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """Return ``[K, K]`` counts: row the true class, column the predicted one.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _ratio(numerator: Counts, denominator: Counts) -> Counts:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _mean_where_present(values: Counts, counts: Counts) -> float:
    return float(values[counts[1] > 0].mean())


def macro_precision(counts: Counts) -> float:
    """Mean over classes of the share of its predictions that are right."""
    return _mean_where_present(_ratio(counts[0], counts[2]), counts)


def macro_recall(counts: Counts) -> float:
    """Mean over classes of the share of its images that are found; also called balanced accuracy."""
    return _mean_where_present(_ratio(counts[0], counts[1]), counts)


def macro_f1(counts: Counts) -> float:
    """Mean over classes of the harmonic mean of precision and recall."""
    return _mean_where_present(_ratio(2 * counts[0], counts[1] + counts[2]), counts)


def _weighted(values: Counts, counts: Counts) -> float:
    return float((values * counts[1]).sum() / counts[1].sum())


def weighted_precision(counts: Counts) -> float:
    """Precision of each class, weighted by its images."""
    return _weighted(_ratio(counts[0], counts[2]), counts)


def weighted_f1(counts: Counts) -> float:
    """F1 of each class, weighted by its images."""
    return _weighted(_ratio(2 * counts[0], counts[1] + counts[2]), counts)


def matthews(counts: Counts) -> float:
    """Matthews' correlation coefficient of true and predicted classes, -1 to 1; 0 where one of them never varies.

    References:
        J. Gorodkin, Computational Biology and Chemistry 28 (2004), for more than two classes.
    """
    hits, support, said = counts
    n = support.sum()
    spread = (n**2 - (support**2).sum()) * (n**2 - (said**2).sum())
    return float((n * hits.sum() - support @ said) / math.sqrt(spread)) if spread > 0 else 0.0


# A new figure of this kind is one function of (hits, support, predicted) and one row. Weighted recall is accuracy.
COUNT_METRICS: dict[str, Callable[[Counts], float]] = {
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "macro_f1": macro_f1,
    "weighted_precision": weighted_precision,
    "weighted_f1": weighted_f1,
    "matthews": matthews,
}


def class_table(
    labels: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    classes: tuple[str, ...],
    units: Units | None = None,
) -> list[dict[str, Any]]:
    """Return one row a class: support, precision, recall with its interval, F1, and if that is too few to tell.

    Recall is None for a class without images, precision for one that was never predicted.
    """
    matrix = confusion_matrix(labels, predicted, len(classes))
    hits, support, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.cumsum(support)[:-1])
    rows = []
    for k, name in enumerate(classes):
        part = parts[k]
        recall = proportion(predicted[part] == k, None if units is None else units[part]) if support[k] else None
        rows.append(
            {
                "class": name,
                "support": int(support[k]),
                "predicted": int(said[k]),
                "precision": float(hits[k] / said[k]) if said[k] else None,
                "recall": recall.value if recall else None,
                "recall_low": recall.low if recall else None,
                "recall_high": recall.high if recall else None,
                "f1": float(2 * hits[k] / (support[k] + said[k])) if support[k] + said[k] else None,
                "too_few": bool(support[k] < MIN_SUPPORT),
            }
        )
    return rows


def evaluate_predictions(
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    classes: tuple[str, ...],
    units: Units | None = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all figures of readable images, JSON-able, each with its interval and count.

    Args:
        labels: ``[N] int64``, the true classes as positions in ``classes``.
        probabilities: ``[N, K] float32``, rows sum to 1.
        classes: names.
        units: ``[N]``: images of one unit (a group) are not independent, which widens the intervals; None: all are.
        seed: of the draws for intervals.

    Raises:
        ValueError: if there are no images.

    Example:
        >>> said = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
        >>> evaluate_predictions(np.array([0, 1]), said, ("ant", "bee"))["accuracy"]["value"]
        1.0
    """
    if not len(labels):
        raise ValueError("no images to evaluate")
    predicted = probabilities.argmax(1).astype(np.int64)
    hits, matrix = predicted == labels, confusion_matrix(labels, predicted, len(classes))
    effect = 1.0 if units is None else design_effect(hits, units)
    figures: dict[str, Interval] = {"accuracy": proportion(hits, units)}
    figures |= macro_intervals(matrix, COUNT_METRICS, seed=seed, effect=effect)
    ranking = rank_classes(labels, probabilities)
    figures |= score_figures(labels, probabilities, ranking, units, seed=seed)
    rows = class_table(labels, predicted, classes, units)
    return {
        **{name: figure.to_dict() for name, figure in figures.items()},
        "accuracy_percent": round(100 * figures["accuracy"].value, 2),
        "loss_rounded": round(figures["log_loss"].value, 4),
        **({} if units is None else {"count_groups": len(np.unique(units)), "design_effect": effect}),
        "classes": [{**row, **score} for row, score in zip(rows, ranking.rows, strict=True)],
        "confusion": matrix.tolist(),
    }
