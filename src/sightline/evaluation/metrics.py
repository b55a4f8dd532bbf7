"""Metrics of predicted classes and probabilities; scikit-learn is the oracle in their tests.

A class that was never predicted has precision 0, as in scikit-learn's ``zero_division=0``. Macro figures are
means over the classes that occur among the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Figure, macro_intervals, wilson

__all__ = [
    "MACRO_METRICS",
    "MIN_SUPPORT",
    "class_table",
    "confusion_matrix",
    "evaluate_predictions",
    "log_loss",
]

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


def log_loss(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> float:
    """Return the mean negative log-probability of the true class, in nats; probabilities are clipped at 1e-7."""
    said = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(said, 1e-7, 1)).mean())


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


# A new macro figure is one function of (hits, support, predicted) and one row.
MACRO_METRICS: dict[str, Callable[[Counts], float]] = {
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "macro_f1": macro_f1,
}


def class_table(matrix: npt.NDArray[np.int64], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one row a class: support, precision, recall with its Wilson interval, F1, and if that is too few.

    Recall is None for a class without images, precision for one that was never predicted.
    """
    hits, support, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    rows = []
    for k, name in enumerate(classes):
        recall = wilson(int(hits[k]), int(support[k])) if support[k] else None
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
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all figures of readable images, JSON-able, each with its interval and count.

    Args:
        labels: ``[N] int64``, the true classes as positions in ``classes``.
        probabilities: ``[N, K] float32``, rows sum to 1.
        classes: names.
        seed: of the draws for the macro figures' intervals.

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
    matrix = confusion_matrix(labels, predicted, len(classes))
    figures: dict[str, Figure] = {"accuracy": wilson(int(matrix.trace()), len(labels))}
    figures |= macro_intervals(matrix, MACRO_METRICS, seed=seed)
    return {
        **{name: figure.to_dict() for name, figure in figures.items()},
        "log_loss": {"value": log_loss(labels, probabilities), "n": len(labels)},
        "classes": class_table(matrix, classes),
        "confusion": matrix.tolist(),
    }
