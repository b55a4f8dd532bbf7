"""``METRICS``: one row a metric. Whoever lists, compares, requires or averages metrics reads this table.

Metrics of predicted classes are computed here, those of probabilities in ``scores.py``; scikit-learn is the oracle in
their tests. A class that was never predicted has precision 0, as in scikit-learn's ``zero_division=0``. Macro metrics
are means over the classes that occur among the labels (``macro.py`` says what scikit-learn's default does).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sightline.evaluation.confusion import confusion_to
from sightline.evaluation.intervals import (
    Interval,
    Units,
    design_effect,
    effective_count,
    macro_intervals,
    mean_interval,
    proportion,
)
from sightline.evaluation.macro import describe_macro
from sightline.evaluation.scores import (
    Ranking,
    image_briers,
    image_hits,
    image_losses,
    macro_average_precision,
    macro_roc_auc,
    rank_classes,
    top_hits,
)
from sightline.text import share

__all__ = [
    "ALIASES",
    "METRICS",
    "MIN_SUPPORT",
    "Metric",
    "OfCounts",
    "OfImages",
    "OfRanking",
    "class_table",
    "confusion_matrix",
    "evaluate_predictions",
    "find_metric",
    "intervals_in",
]

MIN_SUPPORT = 30  # images of a class; below it the class's metrics are "too few to tell"

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.float64]  # [..., 3, K]: hits, support, predicted


@dataclass(frozen=True, slots=True)
class OfCounts:
    """A function of ``[..., 3, K]`` counts, hits, support and predictions of each class, that returns ``[...]``.

    Its interval is the posterior's.
    """

    of: Callable[[Counts], Values]


@dataclass(frozen=True, slots=True)
class OfImages:
    """The mean over images of ``of(labels, probabilities) [N]``: a share if that is bool, with Wilson's interval.

    The mean of numbers has the interval of a bootstrap. With fewer classes than ``least_classes`` there is no metric.
    """

    of: Callable[[Labels, Shares], npt.NDArray[np.bool_] | Values]
    least_classes: int = 1


@dataclass(frozen=True, slots=True)
class OfRanking:
    """How well probabilities rank the images of each class, with an interval; None where there is nothing to rank."""

    of: Callable[[Labels, Shares, Ranking, Units | None, int], Interval | None]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that says how good predictions are.

    Attributes:
        name: in ``metrics.json``, ``--require`` and ``--sort``.
        words: for people.
        compute: what it is a function of, and that function.
        unit: ``share`` is shown in percent, ``nats`` and ``plain`` as numbers.
        is_higher_better: the other way round for losses.
        least, most: values that it can have.
    """

    name: str
    words: str
    compute: OfCounts | OfImages | OfRanking
    unit: Literal["share", "nats", "plain"] = "share"
    is_higher_better: bool = True
    least: float = 0.0
    most: float = 1.0

    def shown(self, interval: Interval) -> str:
        """Return a value with its interval as people read it.

        Example:
            >>> METRICS["matthews"].shown(Interval(0.5, 0.4, 0.6, 100, ""))
            '0.50 (0.40 to 0.60, n=100)'
        """
        return str(interval) if self.unit == "share" else interval.plain()

    def number(self, value: float, digits: int = 1) -> str:
        """Return a value without an interval: in percent with so many digits, or as a number with two more."""
        return share(value, digits) if self.unit == "share" else f"{value:.{digits + 2}f}"


def confusion_matrix(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """Return ``[K, K]`` counts: row the true class, column the predicted one.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _ratio(numerator: Values, denominator: Values) -> Values:
    """Return the quotient, 0 where it would be by 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _mean_where_present(values: Values, support: Values) -> Values:
    means: Values = values.mean(-1, where=support > 0)
    return means


def macro_precision(counts: Counts) -> Values:
    """Mean over classes of the share of its predictions that are right."""
    hits, support, predicted = np.moveaxis(counts, -2, 0)
    return _mean_where_present(_ratio(hits, predicted), support)


def balanced_accuracy(counts: Counts) -> Values:
    """Mean over classes of the share of its images that are found: macro recall."""
    hits, support, _ = np.moveaxis(counts, -2, 0)
    return _mean_where_present(_ratio(hits, support), support)


def macro_f1(counts: Counts) -> Values:
    """Mean over classes of the harmonic mean of precision and recall."""
    hits, support, predicted = np.moveaxis(counts, -2, 0)
    return _mean_where_present(_ratio(2 * hits, support + predicted), support)


def _weighted(values: Values, support: Values) -> Values:
    means: Values = (values * support).sum(-1) / support.sum(-1)
    return means


def weighted_precision(counts: Counts) -> Values:
    """Precision of each class, weighted by its images."""
    hits, support, predicted = np.moveaxis(counts, -2, 0)
    return _weighted(_ratio(hits, predicted), support)


def weighted_f1(counts: Counts) -> Values:
    """F1 of each class, weighted by its images."""
    hits, support, predicted = np.moveaxis(counts, -2, 0)
    return _weighted(_ratio(2 * hits, support + predicted), support)


def matthews(counts: Counts) -> Values:
    """Matthews' correlation coefficient of true and predicted classes, -1 to 1; 0 where one of them never varies.

    References:
        J. Gorodkin, Computational Biology and Chemistry 28 (2004), for more than two classes.
    """
    hits, support, predicted = np.moveaxis(counts, -2, 0)
    n = support.sum(-1)
    spread = (n**2 - (support**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    return _ratio(n * hits.sum(-1) - (support * predicted).sum(-1), np.sqrt(np.maximum(spread, 0)))


def cohen_kappa(counts: Counts) -> Values:
    """Cohen's kappa, unweighted: agreement beyond what the same class shares would give by chance, -1 to 1.

    0 where only one class occurs, in labels and predictions alike.
    """
    hits, support, predicted = np.moveaxis(counts, -2, 0)
    n = support.sum(-1)
    by_chance = (support * predicted).sum(-1) / n**2
    return _ratio(hits.sum(-1) / n - by_chance, 1 - by_chance)


# A new metric is one function and one row. Weighted recall is accuracy.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", OfImages(image_hits)),
        Metric("balanced_accuracy", "balanced accuracy", OfCounts(balanced_accuracy)),
        Metric("macro_precision", "macro precision", OfCounts(macro_precision)),
        Metric("macro_f1", "macro F1", OfCounts(macro_f1)),
        Metric("weighted_precision", "weighted precision", OfCounts(weighted_precision)),
        Metric("weighted_f1", "weighted F1", OfCounts(weighted_f1)),
        Metric("top_3", "top-3 accuracy", OfImages(partial(top_hits, 3), least_classes=4)),
        Metric("top_5", "top-5 accuracy", OfImages(partial(top_hits, 5), least_classes=6)),
        Metric("matthews", "Matthews correlation", OfCounts(matthews), "plain", least=-1.0),
        Metric("cohen_kappa", "Cohen's kappa", OfCounts(cohen_kappa), "plain", least=-1.0),
        Metric("roc_auc", "ROC AUC, mean over classes", OfRanking(macro_roc_auc), "plain"),
        Metric(
            "average_precision", "average precision, mean over classes", OfRanking(macro_average_precision), "plain"
        ),
        Metric("log_loss", "log-loss, nats", OfImages(image_losses), "nats", is_higher_better=False, most=math.inf),
        Metric("brier", "Brier score, 0 to 2", OfImages(image_briers), "plain", is_higher_better=False, most=2.0),
    )
}

ALIASES = {"macro_recall": "balanced_accuracy"}  # other names that people know, and what earlier runs wrote


def find_metric(name: str) -> Metric | None:
    """Return the metric of that name or alias, or None.

    Example:
        >>> find_metric("macro_recall").name
        'balanced_accuracy'
    """
    return METRICS.get(ALIASES.get(name, name))


def intervals_in(metrics: Mapping[str, Any]) -> dict[Metric, Interval]:
    """Return each metric that ``metrics.json`` holds, in the order of the table.

    Example:
        >>> [metric.name for metric in intervals_in({"accuracy": Interval(0.9, 0.8, 1, 50, "").to_dict()})]
        ['accuracy']
    """
    return {metric: Interval(**metrics[name]) for name, metric in METRICS.items() if name in metrics}


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
                **({} if units is None else {"n_effective": recall.independent if recall else 0}),
                "f1": float(2 * hits[k] / (support[k] + said[k])) if support[k] + said[k] else None,
                "too_few": bool(not recall or recall.independent < MIN_SUPPORT),
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
    """Return every metric of readable images, JSON-able, each with its interval and count.

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
    worth = None if units is None else effective_count(hits, units)
    of_counts = {name: metric.compute.of for name, metric in METRICS.items() if isinstance(metric.compute, OfCounts)}
    counted = macro_intervals(matrix, of_counts, seed=seed, effect=effect)
    ranking = rank_classes(labels, probabilities)
    found: dict[str, Interval] = {}
    for name, metric in METRICS.items():
        match metric.compute:
            case OfCounts():
                found[name] = replace(counted[name], n_effective=worth)
            case OfImages(of, least_classes):
                if len(classes) >= least_classes:
                    found[name] = _mean_of(of(labels, probabilities), labels, units, seed)
            case OfRanking(of):
                interval = of(labels, probabilities, ranking, units, seed)
                if interval is not None:
                    found[name] = replace(interval, n_effective=worth)
    rows = class_table(labels, predicted, classes, units)
    return {
        **{name: interval.to_dict() for name, interval in found.items()},
        "accuracy_percent": round(100 * found["accuracy"].value, 2),
        "loss_rounded": round(found["log_loss"].value, 4),
        **({} if units is None else {"count_groups": len(np.unique(units)), "design_effect": effect}),
        "macro": describe_macro(rows),
        "classes": [{**row, **score} for row, score in zip(rows, ranking.rows, strict=True)],
        "confusion": confusion_to(matrix),
    }


def _mean_of(values: npt.NDArray[np.bool_] | Values, labels: Labels, units: Units | None, seed: int) -> Interval:
    if values.dtype == bool:
        return proportion(values.astype(bool), units)
    return mean_interval(values.astype(np.float64), labels, units, seed=seed)
