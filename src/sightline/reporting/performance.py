"""Sections on what is right and wrong: mistakes, confusions, classes, slices, and every metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sightline.evaluation.metrics import intervals_in
from sightline.pixels.containers import place_of
from sightline.reporting.behind import behind_cells
from sightline.reporting.canvas import both_themes
from sightline.reporting.ranking import draw_ranking
from sightline.reporting.thumbnails import thumbnail
from sightline.runs.folder import Run

__all__ = ["all_metrics", "classes", "confusion", "digits_for", "mistakes", "slices"]

_MATRIX_CLASSES = 25
_MISTAKES = 24
_DOUBTFUL, _HARD = 12, 12
_NEAREST_SIDE = 64  # px


def all_metrics(run: Run) -> dict[str, Any]:
    """Every metric with its interval, and how that was made."""
    metrics = run.metrics
    return {
        "rows": [(metric, metric.shown(interval), interval) for metric, interval in intervals_in(metrics).items()],
        "groups": metrics.get("count_groups"),
        "effect": metrics.get("design_effect"),
        "n": metrics["accuracy"]["n"],
        "part": metrics.get("part", ""),
        "ranking": both_themes(run, draw_ranking),
    }


def classes(run: Run) -> dict[str, Any]:
    """The per-class table."""
    rows = run.metrics["classes"]
    return {"rows": [{**row, "digits": digits_for(row["recall_low"], row["recall_high"])} for row in rows]}


def digits_for(low: float | None, high: float | None) -> int:
    """Return how many digits of a percentage an interval allows: none, or one where it is narrower than 5 points."""
    return 1 if low is not None and high is not None and high - low < 0.05 else 0


def slices(run: Run) -> dict[str, Any] | None:
    """Groups of images on which the classifier is clearly worse than on the others."""
    found = run.metrics.get("slices")
    if not found:
        return None
    rows = [
        {
            **one,
            **{
                name: f"{100 * gap:.0f}".replace("-", "\u2212")
                for name, gap in (("gap", one["accuracy"] - one["rest"]), ("from", one["low"]), ("to", one["high"]))
            },
        }
        for one in found["found"]
    ]
    return {**found, "found": rows}


def confusion(run: Run) -> dict[str, Any]:
    """The confusion matrix up to 25 classes, the most confused pairs, and the images behind both."""
    metrics = run.metrics
    matrix = np.array(metrics["confusion"])
    names = [row["class"] for row in metrics["classes"]]
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [(int(i // len(names)), int(i % len(names))) for i in order if wrong.flat[i]]
    heat = np.ceil(shares * 9).astype(int)  # 0 stays 0, so that one mistake is seen
    return {
        "names": names,
        "rows": [
            [(int(n), int(h), float(share)) for n, h, share in zip(*row, strict=True)]
            for row in zip(matrix, heat, shares, strict=True)
        ]
        if len(names) <= _MATRIX_CLASSES
        else None,
        "pairs": [(i, j, names[i], names[j], int(matrix[i, j]), float(shares[i, j])) for i, j in pairs],
        "behind": behind_cells(run),
    }


def mistakes(run: Run) -> dict[str, Any]:
    """The most confident mistakes beside the nearest training image, doubtful labels, and the least sure right ones."""
    rows = [row for row in run.predictions if not row["error"] and row["leaked"] == "0"]
    wrong = sorted((row for row in rows if row["correct"] == "0"), key=lambda row: -float(row["confidence"]))
    right = sorted((row for row in rows if row["correct"] == "1"), key=lambda row: float(row["confidence"]))
    of_path = {row["path"]: row for row in rows}
    doubtful = run.metrics.get("doubtful_labels", [])
    labels = {row["path"]: row["label"] for row in run.samples} if run.split_file.is_file() else {}
    return {
        "total": len(wrong),
        "cards": [_card(run, row, labels) for row in wrong[:_MISTAKES]],
        "doubtful": [
            {**_card(run, of_path[one["path"]], labels), "suggested": one["suggested"]}
            for one in doubtful[:_DOUBTFUL]
            if one["path"] in of_path
        ],
        "count_doubtful": run.metrics.get("count_doubtful", 0),
        "hard": [_card(run, row, labels) for row in right[:_HARD]],
        "errors": [row for row in run.predictions if row["error"]][:_MISTAKES],
    }


def _card(run: Run, row: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    root, value_range = Path(run.facts["data_root"]), run.value_range
    nearest = row.get("nearest", "")
    beside = thumbnail(place_of(root, nearest), value_range, _NEAREST_SIDE)["uri"] if nearest else None
    return {
        **row,
        **thumbnail(place_of(root, row["path"]), value_range),
        "confidence": float(row["confidence"]),
        "beside": beside,
        "beside_label": labels.get(nearest, ""),
    }
