"""Figures of several trainings of one recipe: pooled over folds, averaged over seeds, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, wilson
from sightline.evaluation.metrics import COUNT_METRICS
from sightline.evaluation.result import evaluate_rows
from sightline.runtime.predictions import Predictions

__all__ = ["average_metrics", "describe_spread", "pool_folds", "spread_of"]

FIGURES = ("accuracy", *COUNT_METRICS)
_BESIDE = ("accuracy_with_leaks", "accuracy_with_views")  # figures that stand beside the others, in some trainings


def pool_folds(
    said: Sequence[Predictions],
    labels: Sequence[npt.NDArray[np.int64]],
    metrics: Sequence[dict[str, Any]],
    units: Units | None = None,
) -> dict[str, Any]:
    """Return the figures over all images of a cross-validation, each of which was tested once.

    The intervals are those of that many images; that folds share training images is not in them.

    Args:
        said, labels, metrics: of each fold; ``metrics`` give the baselines, whose hits are added up.
        units: ``[N]`` of all images, fold after fold: those of one unit are no independent witnesses; None: all are.
    """
    evaluation = evaluate_rows(Predictions.join(said), np.concatenate(labels), units=units).with_part("test")
    baselines = {
        name: wilson(
            sum(round(fold["baselines"][name]["value"] * fold["baselines"][name]["n"]) for fold in metrics),
            sum(fold["baselines"][name]["n"] for fold in metrics),
        ).to_dict()
        for name in metrics[0]["baselines"]
        if all(name in fold["baselines"] for fold in metrics)
    }
    return {**evaluation.metrics, **_pool_views(metrics), "baselines": baselines, "spread": spread_of(metrics)}


def _pool_views(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the accuracy over several views with the hits of all folds, where each fold has it."""
    if not all("accuracy_with_views" in fold for fold in metrics):
        return {}
    figures = [fold["accuracy_with_views"] for fold in metrics]
    pooled = wilson(sum(round(one["value"] * one["n"]) for one in figures), sum(one["n"] for one in figures))
    return {"accuracy_with_views": pooled.to_dict(), "count_views": metrics[0]["count_views"]}


def average_metrics(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of trainings that differ in their seed, measured on the same images.

    Each is the mean of the seeds' values, and so are the ends of its interval: the count stays that of the images,
    since measuring them again makes them no more.
    """
    first = metrics[0]
    kept = ("schema_version", "part", "count", "count_bad", "count_leaked")
    return {
        **{key: first[key] for key in kept},
        **{name: _mean([one[name] for one in metrics]) for name in FIGURES},
        **{name: _mean([one[name] for one in metrics]) for name in _BESIDE if all(name in one for one in metrics)},
        **({"count_views": first["count_views"]} if "count_views" in first else {}),
        "baselines": {name: _mean([one["baselines"][name] for one in metrics]) for name in first["baselines"]},
        "spread": spread_of(metrics),
    }


def _mean(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    value, low, high = (float(np.mean([figure[end] for figure in figures])) for end in ("value", "low", "high"))
    first = Interval(**figures[0])
    return Interval(value, low, high, first.n, f"mean over {len(figures)} seeds; {first.method}").to_dict()


def spread_of(metrics: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return figure -> mean, standard deviation (of a sample; None for one training), least, greatest, values.

    Example:
        >>> two = [{name: {"value": v} for name in FIGURES} | {"log_loss": {"value": v}} for v in (0.5, 0.7)]
        >>> round(spread_of(two)["accuracy"]["standard_deviation"], 3)
        0.141
    """
    spread = {}
    for name in (*FIGURES, "log_loss"):
        values = [float(one[name]["value"]) for one in metrics]
        spread[name] = {
            "mean": float(np.mean(values)),
            "standard_deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "min": min(values),
            "max": max(values),
            "values": values,
        }
    return spread


def describe_spread(metrics: dict[str, Any], kind: str) -> str:
    """Return how far the accuracies of the trainings lie apart, in words.

    Args:
        metrics: of ``pool_folds`` or ``average_metrics``.
        kind: ``folds`` or ``seeds``.
    """
    figures = metrics["spread"]["accuracy"]
    low, high = 100 * figures["min"], 100 * figures["max"]
    if figures["standard_deviation"] is None:
        return f"one of the {kind} is done: how far they spread can't be told yet"
    points = 100 * figures["standard_deviation"]
    said = f"accuracy from {low:.1f} to {high:.1f} % over {len(figures['values'])} {kind}, "
    said += f"mean {100 * figures['mean']:.1f} %, standard deviation {points:.1f} points"
    if kind == "folds":
        return f"{said}; part of that is chance in which images a fold tests"
    if len(figures["values"]) < 3:
        return f"{said}; two seeds can't tell what is chance"
    from scipy.stats import t

    # Of the difference between two single trainings, whose deviation is known from a few of them only.
    chance = float(t.ppf(0.975, len(figures["values"]) - 1)) * math.sqrt(2) * points
    return f"{said}; between two trainings of one seed each, a difference up to {chance:.1f} points can be chance"
