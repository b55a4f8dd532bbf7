"""The verdicts: a headline in plain words, and what speaks for and against believing it."""

from __future__ import annotations

from typing import Any

from sightline.evaluation.intervals import Interval
from sightline.evaluation.repeats import describe_spread
from sightline.runs.folder import Run
from sightline.runs.ledger import MANY_LOOKS
from sightline.text import count_of

__all__ = ["measured", "repeated", "verdict"]

_UNEVEN = 3  # times as many images in the largest class as in the smallest: figures over classes come first


def verdict(run: Run) -> dict[str, Any]:
    """The headline in plain words, and what speaks for and against believing it."""
    metrics, facts = run.metrics, run.facts
    accuracy = Interval(**metrics["accuracy"])
    share, low, high = accuracy.percents()
    baselines = {name.replace("_", " "): Interval(**fields) for name, fields in metrics["baselines"].items()}
    best = max(baselines.values(), key=lambda figure: figure.value)
    return {
        "accuracy": accuracy,
        "share": f"{share} %",
        "range": f"{low} to {high} %",
        "is_test": metrics["part"] == "test",
        "split_rule": facts["split_rule"],
        "baselines": baselines,
        "macro_f1": Interval(**metrics["macro_f1"]),
        "balanced": Interval(**metrics["macro_recall"]),
        "is_uneven": _is_uneven(metrics),
        "log_loss": Interval(**metrics["log_loss"]).plain(),
        "with_leaks": Interval(**metrics["accuracy_with_leaks"]) if "accuracy_with_leaks" in metrics else None,
        "with_views": Interval(**metrics["accuracy_with_views"]) if "accuracy_with_views" in metrics else None,
        "count_views": metrics.get("count_views"),
        "checks": _checks(run, accuracy, best),
    }


def measured(run: Run) -> dict[str, Any]:
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
        "macro_f1": Interval(**metrics["macro_f1"]),
        "balanced": Interval(**metrics["macro_recall"]),
        "is_uneven": _is_uneven(metrics),
        "log_loss": Interval(**metrics["log_loss"]).plain(),
        "with_leaks": Interval(**metrics["accuracy_with_leaks"]) if "accuracy_with_leaks" in metrics else None,
        "facts": facts,
        "checks": [
            _check(leaked, "no image that the training saw is known among them", f"{leaked} trained on, and left out"),
            _check(bad, "all images could be read", f"{bad} of {metrics['count']:,} images could not be read"),
            _check(len(absent), "every class has images", f"classes without images: {', '.join(absent[:5])}"),
            _check(few, "every class has at least 30 images", f"{few} classes have fewer than 30: too few to tell"),
            *_check_confidence(metrics),
            *_check_looks(metrics),
        ],
    }


def repeated(run: Run) -> dict[str, Any]:
    """What several trainings of one recipe say together, and each of them."""
    metrics, facts = run.metrics, run.facts
    names = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
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
        "names": [name.replace("_", " ") for name in names],
        "rows": [
            {"name": part.folder.name, "seed": part.plan.settings.seed, "n": part.metrics["accuracy"]["n"]}
            | {"values": [part.metrics[name]["value"] for name in names]}
            for part in run.parts
        ],
        "summary": {
            word: [metrics["spread"][name][key] for name in names]
            for word, key in (
                ("mean", "mean"),
                ("standard deviation", "standard_deviation"),
                ("least", "min"),
                ("greatest", "max"),
            )
        },
        "data": facts["data"],
        "folder": str(run.folder),
    }


def _checks(run: Run, accuracy: Interval, best: Interval) -> list[tuple[bool, str]]:
    """Return (passed, sentence) rows; the sentence says what is so, passed or not."""
    metrics, samples = run.metrics, run.samples
    rows = metrics["classes"]
    proof = run.facts.get("export", {})
    better = accuracy.low > best.high
    leaked = metrics["count_leaked"]
    unread = sum(bool(row["error"]) for row in samples)
    never = [row["class"] for row in rows if row["support"] and not row["predicted"]]
    few = sum(row["too_few"] for row in rows)
    return [
        (better, f"{'clearly' if better else 'NOT clearly'} better than the best baseline ({best})"),
        (
            "error" not in proof,
            f"the exported file decides as the trained network on {proof.get('images', 0)} real images",
        ),
        _check(leaked, "no exact copy of a measured image was trained on", f"{leaked} trained on too, and left out"),
        _check(unread, "all images could be read", f"{unread} of {len(samples):,} images could not be read"),
        _check(len(never), "every class is answered for some image", f"never answered: {', '.join(never[:5])}"),
        _check(
            few,
            "every class has at least 30 measured images",
            f"{few} of {len(rows)} classes have fewer than 30 measured images: too few to tell",
        ),
        *_check_confidence(metrics),
        *_check_looks(metrics),
    ]


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
    well = f"confidences mean what they say: {words}"
    return [_check(after["ece"] > high, well, f"confidences are off: {words}")]


def _check_looks(metrics: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return the row on how often the measured images were looked at, where that was counted."""
    looks = metrics.get("count_looks")
    if looks is None:
        return []
    words = f"{count_of(looks, 'classifier')} measured on these images on this machine"
    return [_check(looks >= MANY_LOOKS, f"{words}: few enough", f"{words}: the best looks better than it is")]


def _check(faults: int, well: str, ill: str) -> tuple[bool, str]:
    return not faults, ill if faults else well
