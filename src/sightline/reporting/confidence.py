"""Sections on what a confidence is worth: calibration, and what answering less often would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.split import HALVED_FROM
from sightline.evaluation.abstain import risk_coverage
from sightline.evaluation.conformal import PredictionSets
from sightline.evaluation.intervals import Interval
from sightline.evaluation.promises import find_promises
from sightline.reporting.canvas import INK, both_themes, empty_figure, leave_room, paint
from sightline.reporting.performance import digits_for
from sightline.runs.recorded import Recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confidence", "draw_coverage", "draw_reliability", "unknown"]

_BEFORE, _AFTER, _PERFECT = "#d97706", "#2563eb", "#8b95a3"
_DIGIT_FROM = 1_000  # images from which on shares have a digit
_SHOWN = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # thresholds of the table that is there without a script


def confidence(run: Recorded) -> dict[str, Any] | None:
    """How far probabilities can be believed, and the exchange of answers for certainty."""
    metrics = run.metrics
    if "calibration" not in metrics:
        return None
    found = metrics["calibration"]
    drawn = {"reliability": draw_reliability, "coverage": draw_coverage}
    figures = {name: both_themes(run, draw) for name, draw in drawn.items()}
    rows = _coverage(run)
    return {
        "validation": None,
        "is_shared": 0 < found.get("validation", {}).get("count", 0) < HALVED_FROM,
        **figures,
        **found,
        "rows": [
            {**row, "digits": digits_for(row.get("low"), row.get("high"))} for row in rows if row["threshold"] in _SHOWN
        ],
        "digits": 0 if rows[0]["n"] < _DIGIT_FROM else 1,
        "curve": [[row[name] for name in ("threshold", "coverage", "n")] + _right(row) for row in rows],
        "chosen": metrics["unknown"]["min_confidence"],
        "target": metrics["unknown"]["target_error"],
        "total": rows[0]["n"],
        "sets": PredictionSets.from_dict(metrics["sets"]) if metrics.get("sets") else None,
        "verdict": _believed(found["after"]),
        "refuted": {one.name: one.words for one in find_promises(metrics) if one.is_refuted},
    }


def _right(row: dict[str, float]) -> list[float | None]:
    return [row.get(name) for name in ("accuracy", "low", "high")]


def _believed(after: dict[str, Any]) -> str:
    """Return in a word whether the calibration error is more than chance."""
    if after["ece"] is None:
        return "few"
    return "chance" if after["ece"] <= after["ece_chance"][1] else "off"


def unknown(run: Recorded) -> dict[str, Any] | None:
    """What the classifier does with images unlike those it learnt from."""
    metrics = run.metrics
    if "unknown" not in metrics:
        return None
    found = metrics["unknown"]
    names = [row["class"] for row in metrics["classes"]]
    known = found.get("leave_one_out") or [None] * len(names)
    left_out = [pair for pair in zip(names, known, strict=True) if pair[1] is not None]
    left_out.sort(key=lambda pair: pair[1])
    areas = [area for _, area in left_out]
    foreign = found.get("foreign")
    if foreign:
        told = {name: Interval(**foreign[name]) if foreign[name] else None for name in ("new", "unsure")}
        foreign = {**foreign, **told}
    return {
        **found,
        "foreign": foreign,
        "non_images": found.get("non_images"),
        "max_novelty": found.get("max_novelty", 1.0),
        "new": Interval(**found["new"]),
        "answered": Interval(**found["answered"]) if found.get("answered") else None,
        "wrong_answers": Interval(**found["wrong_answers"]) if found.get("wrong_answers") else None,
        "left_out": left_out,
        "mean_area": float(np.mean(areas)) if areas else None,
        "refuted": {one.name: one.words for one in find_promises(metrics) if one.is_refuted},
    }


def _coverage(run: Recorded) -> list[dict[str, float]]:
    measured = run.measured
    used = measured.used
    return risk_coverage(measured.confidence[used], measured.correct[used], measured.used_units)


def draw_reliability(run: Recorded, theme: str = "light") -> Figure | None:
    """Return accuracy over confidence with intervals, before and after the temperature; None without calibration."""
    found = run.metrics.get("calibration")
    if not found:
        return None
    figure = empty_figure((4.4, 4.0))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_PERFECT, linestyle=":", linewidth=1.2, label="perfect")
    drawn = [("after", "as it ships", _AFTER, "s")]
    if found["before"]:
        drawn = [("before", "without temperature", _BEFORE, "o"), ("after", "with temperature", _AFTER, "s")]
    lowest = 1.0
    for name, label, colour, marker in drawn:
        rows = found[name]["reliability"]
        means, shares = ([row[key] for row in rows] for key in ("confidence", "accuracy"))
        ends = [[row["accuracy"] - row["low"] for row in rows], [row["high"] - row["accuracy"] for row in rows]]
        axes.errorbar(means, shares, ends, fmt=f"{marker}-", ms=4, lw=1.2, elinewidth=0.8, color=colour, label=label)
        lowest = min([lowest, *means, *(row["low"] for row in rows)])
    floor = max(0.0, np.floor(10 * lowest - 0.3) / 10)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(floor, 1.02), ylim=(floor, 1.02))
    axes.set_title("Reliability (95 % intervals)")
    axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9, loc="best")
    paint(axes, INK[theme])
    leave_room(figure, 0.65, 0.5)
    return figure


def draw_coverage(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the share of right answers over the share of images that are answered; None without calibration."""
    if "calibration" not in run.metrics:
        return None
    rows = [row for row in _coverage(run) if "accuracy" in row and row["n"] >= 10]
    if not rows:
        return None
    figure = empty_figure((4.4, 4.0))
    axes = figure.add_subplot()
    shares = [100 * row["coverage"] for row in rows]
    right, low, high = ([100 * row[name] for row in rows] for name in ("accuracy", "low", "high"))
    axes.fill_between(shares, low, high, color=_AFTER, alpha=0.18, linewidth=0, label="95 % interval")
    axes.plot(shares, right, color=_AFTER, lw=1.6, label="accuracy")
    axes.set(
        xlabel="images answered, percent", ylabel="correct answers, percent", title="Answering only when confident"
    )
    axes.invert_xaxis()
    axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9, loc="lower right")
    paint(axes, INK[theme])
    leave_room(figure, 0.65, 0.5)
    return figure
