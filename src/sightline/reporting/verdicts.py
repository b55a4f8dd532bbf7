"""The verdicts: a headline in plain words, and what speaks for and against believing it."""

from __future__ import annotations

from typing import Any

from sightline.evaluation.gap import Gap
from sightline.evaluation.intervals import Interval
from sightline.evaluation.macro import macro_words
from sightline.evaluation.metrics import Metric, intervals_in
from sightline.evaluation.promises import find_promises
from sightline.evaluation.repeats import Spread, describe_spread
from sightline.runs.ledger import MANY_EVALUATIONS
from sightline.runs.recorded import Recorded
from sightline.text import count_of

__all__ = ["measured", "repeated", "verdict"]

_UNEVEN = 3  # times as many images in the largest class as in the smallest: metrics over classes come first


def verdict(run: Recorded) -> dict[str, Any]:
    """The headline in plain words, and what speaks for and against believing it."""
    metrics, facts = run.metrics, run.facts
    accuracy = Interval(**metrics["accuracy"])
    share, low, high = accuracy.percents()
    baselines = {name.replace("_", " "): Interval(**fields) for name, fields in metrics["baselines"].items()}
    best = max(baselines.values(), key=lambda interval: interval.value)
    return {
        "accuracy": accuracy,
        "share": f"{share} %",
        "range": f"{low} to {high} %",
        "is_test": metrics["part"] == "test",
        "gap": Gap.of(metrics),
        "torn": _torn(metrics),
        "split_rule": facts["split_rule"],
        "baselines": baselines,
        "macro_f1": Interval(**metrics["macro_f1"]),
        "balanced": Interval(**metrics["balanced_accuracy"]),
        "is_uneven": _is_uneven(metrics),
        "macro": macro_words(metrics),
        "log_loss": Interval(**metrics["log_loss"]).plain(),
        "with_leaks": Interval(**metrics["accuracy_with_leaks"]) if "accuracy_with_leaks" in metrics else None,
        "with_views": Interval(**metrics["accuracy_with_views"]) if "accuracy_with_views" in metrics else None,
        "count_views": metrics.get("count_views"),
        "checks": _checks(run, accuracy, best),
    }


def measured(run: Recorded) -> dict[str, Any]:
    """The headline of further images, and what speaks for and against believing it."""
    metrics, facts = run.metrics, run.facts
    share, low, high = Interval(**metrics["accuracy"]).percents()
    few = sum(row["too_few"] for row in metrics["classes"])
    absent = [row["class"] for row in metrics["classes"] if not row["support"]]
    bad, leaked = metrics["count_bad"], metrics["count_leaked"]
    return {
        "accuracy": Interval(**metrics["accuracy"]),
        "share": f"{share} %",
        "range": f"{low} to {high} %",
        "macro": macro_words(metrics),
        "macro_f1": Interval(**metrics["macro_f1"]),
        "balanced": Interval(**metrics["balanced_accuracy"]),
        "is_uneven": _is_uneven(metrics),
        "log_loss": Interval(**metrics["log_loss"]).plain(),
        "with_leaks": Interval(**metrics["accuracy_with_leaks"]) if "accuracy_with_leaks" in metrics else None,
        "facts": facts,
        "checks": [
            _check(
                leaked,
                "none of the images is known to have been trained on",
                f"{leaked} were trained on, and are left out",
            ),
            _check(bad, "all images could be read", f"{bad} of {metrics['count']:,} images could not be read"),
            _check(len(absent), "every class has images", f"classes without images: {', '.join(absent[:5])}"),
            _check(
                few,
                "every class has at least 30 images",
                f"{few} classes have fewer than 30: too few for reliable values",
            ),
            *_check_confidence(metrics),
            *_check_evaluations(metrics),
        ],
    }


def repeated(run: Recorded) -> dict[str, Any]:
    """The metrics of several trainings of one recipe together, and of each of them."""
    metrics, facts = run.metrics, run.facts
    share, low, high = Interval(**metrics["accuracy"]).percents()
    return {
        "kind": facts["kind"],
        "times": facts["times"],
        "done": metrics["done"],
        "is_test": metrics["part"] == "test",
        "accuracy": Interval(**metrics["accuracy"]),
        "share": f"{share} %",
        "range": f"{low} to {high} %",
        "spread": describe_spread(metrics, facts["kind"]),
        "baselines": {name.replace("_", " "): Interval(**fields) for name, fields in metrics["baselines"].items()},
        "trainings": [
            {"name": part.folder.name, "seed": part.plan.settings.seed, "n": part.metrics["accuracy"]["n"]}
            for part in run.run.parts
        ],
        "rows": [
            _spread_row(metric, interval, metrics["spread"]) for metric, interval in intervals_in(metrics).items()
        ],
        "data": facts["data"],
        "folder": str(run.folder),
    }


def _spread_row(metric: Metric, together: Interval, spreads: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of a metric: of all trainings together, their spread, and each training."""
    row = {"words": metric.words, "together": metric.shown(together), "cells": [], "values": []}
    if metric.name not in spreads:  # of a run of before it was averaged
        return row
    spread = Spread(**spreads[metric.name])
    cells = spread.mean, spread.standard_deviation, spread.min, spread.max
    row["cells"] = ["–" if cell is None else metric.number(cell) for cell in cells]
    row["values"] = [metric.number(value) for value in spread.values]
    return row


def _checks(run: Recorded, accuracy: Interval, best: Interval) -> list[tuple[bool, str]]:
    """Return (passed, sentence) rows; the sentence says what is so, passed or not."""
    metrics, samples = run.metrics, run.samples
    rows = metrics["classes"]
    better = accuracy.low > best.high
    leaked = metrics["count_leaked"]
    unread = len(samples.errors)
    never = [row["class"] for row in rows if row["support"] and not row["predicted"]]
    absent = [row["class"] for row in rows if not row["support"]]
    few = sum(row["too_few"] for row in rows)
    return [
        *_check_validation(metrics),
        *_check_torn(metrics),
        *((False, words) for words in run.shortcuts),
        (better, f"{'clearly' if better else 'NOT clearly'} better than the best baseline ({best})"),
        _check_export(run),
        _check(
            leaked,
            "no measured image was seen by the training, as it is, as a near-duplicate or as a version",
            f"{leaked} were seen by the training (as they are, as near-duplicates or as versions), and are left out",
        ),
        _check(unread, "all images could be read", f"{unread} of {len(samples):,} images could not be read"),
        _check(
            len(absent),
            "every class has measured images",
            f"{count_of(len(absent), 'class')} without measured images: {', '.join(absent[:5])}",
        ),
        _check(len(never), "every class was predicted at least once", f"never predicted: {', '.join(never[:5])}"),
        _check(
            few,
            "every class has at least 30 measured images",
            f"{few} of {len(rows)} classes have fewer than 30 measured images: too few for reliable values",
        ),
        *_check_confidence(metrics),
        *_check_evaluations(metrics),
    ]


def _check_export(run: Recorded) -> tuple[bool, str]:
    """Return the row on whether the file decides as the trained network does, or what it costs that it doesn't."""
    version, proof = run.facts.get("version"), run.facts.get("export", {})
    if version:
        words = f"{version['name']} of the run {version['of']}, which decides otherwise on some images"
        return True, f"a smaller version, {words}; on validation: {version['cost']}"
    words = f"the exported file predicts the same as the trained network on {proof.get('images', 0)} real images"
    return "error" not in proof, words


def _check_validation(metrics: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return the rows on whether validation stands for the test, and whether the test refutes what was promised."""
    if metrics["part"] != "test":
        return []
    rows = []
    if found := metrics.get("validation_gap"):
        parts = f"{Interval(**found['validation'])} on validation, {Interval(**found['test'])} on test"
        same = f"no more than chance between validation and test: {parts}"
        rows.append(_check(found["is_significant"], same, f"validation does not stand for the test: {parts}"))
    refuted = [promise.words for promise in find_promises(metrics) if promise.is_refuted]
    return rows + [(False, f"the test refutes what was promised on validation, {words}") for words in refuted]


def _torn(metrics: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is known of groups that the split separates, with the accuracy without them; None where none are."""
    found = metrics.get("torn_groups")
    if not found:
        return None
    return {**found, "accuracy": Interval(**found["accuracy"]) if found["accuracy"] else None}


def _check_torn(metrics: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return the row on groups on several sides of a given split, where there are some."""
    found = _torn(metrics)
    if not found:
        return []
    without = f"; without them the accuracy is {found['accuracy']}" if found["accuracy"] else "; no other is left"
    words = f"the given split separates {found['groups']:,} of {count_of(found['count_groups'], 'group')}: "
    words += f"{found['images']:,} of {found['count']:,} measured images have theirs in training or validation too"
    return [(False, words + without)]


def _is_uneven(metrics: dict[str, Any]) -> bool:
    """Whether the accuracy says mostly how the large classes do."""
    counts = [row["support"] for row in metrics["classes"] if row["support"]]
    return bool(max(counts) >= _UNEVEN * min(counts))


def _check_confidence(metrics: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return the row on calibration, where there are images enough to tell."""
    after = metrics.get("calibration", {}).get("after") or {}
    if after.get("ece") is None:
        return []
    low, high = after["ece_chance"]
    words = f"calibration error {after['ece']:.3f}, where chance alone gives {low:.3f} to {high:.3f}"
    well = f"confidences are well calibrated: {words}"
    return [_check(after["ece"] > high, well, f"confidences are off: {words}")]


def _check_evaluations(metrics: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return the row on how many classifiers were evaluated on these images, where that was counted."""
    count = metrics.get("count_evaluations")
    if count is None:
        return []
    words = f"{count_of(count, 'classifier')} evaluated on these images on this machine"
    return [
        _check(
            count >= MANY_EVALUATIONS,
            f"the test set is not overused: {words}",
            f"the test set is overused: {words}, so the best result is too optimistic",
        )
    ]


def _check(faults: int, well: str, ill: str) -> tuple[bool, str]:
    return not faults, ill if faults else well
