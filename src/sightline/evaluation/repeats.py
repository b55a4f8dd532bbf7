"""Metrics of several trainings of one recipe: pooled over folds, averaged over seeds, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, pool_shares
from sightline.evaluation.metrics import METRICS
from sightline.evaluation.result import evaluate_rows
from sightline.planning.repeats import REPEATS
from sightline.runtime.predictions import Predictions
from sightline.text import share

__all__ = ["Spread", "average_metrics", "describe_spread", "pool_folds", "spread_of"]

_BESIDE = ("accuracy_with_leaks", "accuracy_with_views")  # beside the metrics, in some trainings


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the values of one metric lie apart over trainings.

    Attributes:
        mean: of the trainings.
        standard_deviation: of a sample; None for one training.
        min, max: of the values.
        values: one a training, in order.
    """

    mean: float
    standard_deviation: float | None
    min: float
    max: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return it for one value or more.

        Example:
            >>> round(Spread.of([0.5, 0.7]).standard_deviation, 3)
            0.141
        """
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), deviation, min(values), max(values), tuple(values))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {**asdict(self), "values": list(self.values)}


def pool_folds(
    said: Sequence[Predictions],
    labels: Sequence[npt.NDArray[np.int64]],
    metrics: Sequence[dict[str, Any]],
    units: Units | None = None,
) -> dict[str, Any]:
    """Return the metrics over all images of a cross-validation, each of which was tested once.

    The intervals are those of that many images; that folds share training images is not in them.

    Args:
        said, labels, metrics: of each fold; ``metrics`` give the baselines, whose hits are added up.
        units: ``[N]`` of all images, fold after fold: those of one unit are not independent, and in one fold; None:
            all are.
    """
    evaluation = evaluate_rows(Predictions.join(said), np.concatenate(labels), units=units).with_part("test")
    count = sum(map(len, labels)) if units is None else len(np.unique(units))
    baselines = {
        name: pool_shares([Interval(**fold["baselines"][name]) for fold in metrics], count).to_dict()
        for name in metrics[0]["baselines"]
        if all(name in fold["baselines"] for fold in metrics)
    }
    return {**evaluation.metrics, **_pool_views(metrics, count), "baselines": baselines, "spread": _spreads(metrics)}


def _pool_views(metrics: Sequence[dict[str, Any]], count_units: int) -> dict[str, Any]:
    """Return the accuracy over several views with the hits of all folds, where each fold has it."""
    if not all("accuracy_with_views" in fold for fold in metrics):
        return {}
    pooled = pool_shares([Interval(**fold["accuracy_with_views"]) for fold in metrics], count_units)
    return {"accuracy_with_views": pooled.to_dict(), "count_views": metrics[0]["count_views"]}


def average_metrics(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the metrics of trainings that differ in their seed, measured on the same images.

    Each is the mean of the seeds' values, and so are the ends of its interval: the count stays that of the images,
    since measuring them again makes them no more.
    """
    first = metrics[0]
    kept = ("schema_version", "part", "count", "count_bad", "count_leaked")
    return {
        **{key: first[key] for key in kept},
        **{name: _mean([one[name] for one in metrics]) for name in _in_all(metrics, (*METRICS, *_BESIDE))},
        **({"count_views": first["count_views"]} if "count_views" in first else {}),
        "baselines": {name: _mean([one["baselines"][name] for one in metrics]) for name in first["baselines"]},
        "spread": _spreads(metrics),
    }


def _mean(intervals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    value, low, high = (float(np.mean([one[end] for one in intervals])) for end in ("value", "low", "high"))
    first = Interval(**intervals[0])
    method = f"mean over {len(intervals)} seeds; {first.method}"
    worth = [Interval(**one).independent for one in intervals]
    n_effective = None if first.n_effective is None else round(float(np.mean(worth)))
    return Interval(value, low, high, first.n, method, n_effective).to_dict()


def _in_all(metrics: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    return [name for name in names if all(name in one for one in metrics)]


def spread_of(metrics: Sequence[dict[str, Any]]) -> dict[str, Spread]:
    """Return the spread of each metric that all trainings have.

    Example:
        >>> round(spread_of([{"accuracy": {"value": value}} for value in (0.5, 0.7)])["accuracy"].mean, 3)
        0.6
    """
    return {name: Spread.of([float(one[name]["value"]) for one in metrics]) for name in _in_all(metrics, list(METRICS))}


def _spreads(metrics: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: spread.to_dict() for name, spread in spread_of(metrics).items()}


def describe_spread(metrics: dict[str, Any], kind: str) -> str:
    """Return how far the accuracies of the trainings lie apart, in words.

    Args:
        metrics: of ``pool_folds`` or ``average_metrics``.
        kind: of ``REPEATS``.
    """
    spread = Spread(**metrics["spread"]["accuracy"])
    low, high = 100 * spread.min, 100 * spread.max
    if spread.standard_deviation is None:
        return f"one of the {kind} is done: their spread can't be estimated yet"
    points = 100 * spread.standard_deviation
    words = f"accuracy from {low:.1f} to {high:.1f} % over {len(spread.values)} {kind}, "
    words += f"mean {share(spread.mean)}, standard deviation {points:.1f} points"
    if REPEATS[kind].splits_data:
        return f"{words}; part of that is chance in which images a fold tests"
    if len(spread.values) < 3:
        return f"{words}; two seeds are too few to estimate what is chance"
    from scipy.stats import t

    # Of the difference between two single trainings, whose deviation is known from a few of them only.
    chance = float(t.ppf(0.975, len(spread.values) - 1)) * math.sqrt(2) * points
    return f"{words}; between two trainings of one seed each, a difference up to {chance:.1f} points can be chance"
