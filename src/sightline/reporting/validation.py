"""The section of the report on what differs between validation and test images."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.evaluation.intervals import Interval
from sightline.evaluation.shift import LabelledPredictions, RecallChange, compare_recalls
from sightline.reporting.performance import digits_for
from sightline.runs.recorded import Recorded
from sightline.text import signed

__all__ = ["validation_and_test"]

_SHOWN = 10  # classes


def validation_and_test(run: Recorded) -> dict[str, Any] | None:
    """The classes whose recall differs most between validation and test; None where the run has not got both."""
    validation = run.validation
    if validation is None or run.metrics.get("part") != "test":
        return None
    measured = run.measured
    used = measured.used
    columns = (measured.labels[used], measured.predicted[used], measured.confidence[used].astype(np.float32))
    test = LabelledPredictions(*columns, measured.used_units)
    changes = compare_recalls(validation, test)
    if not changes:
        return None
    significant = [change for change in changes if change.is_significant]
    return {
        "rows": [_row(measured.classes, change) for change in changes[:_SHOWN]],
        "largest": _row(measured.classes, changes[0]),
        "count": len(changes),
        "significant": len(significant),
        "count_validation": len(validation.labels),
        "count_test": len(test.labels),
        "is_head_alone": run.is_head_alone,
        "gap": run.metrics.get("validation_gap"),
        "parts": _accuracies(run.metrics.get("validation_gap")),
    }


def _accuracies(gap: dict[str, Any] | None) -> list[Interval] | None:
    """Return the accuracy on validation and on test; None where they were not compared."""
    return None if gap is None else [Interval(**gap[part]) for part in ("validation", "test")]


def _row(classes: tuple[str, ...], change: RecallChange) -> dict[str, Any]:
    points = (signed(100 * gap, 0).replace("-", "\u2212") for gap in (change.difference, change.low, change.high))
    difference, low, high = points
    return {
        "class": classes[change.label],
        "change": change,
        "difference": difference,
        "range": f"{low} to {high}",
        "digits": digits_for(change.low, change.high),
    }
