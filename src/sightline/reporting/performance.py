"""Sections on what is right and wrong: mistakes, confusions, classes, slices, and every metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.confusion import confusion_from
from sightline.evaluation.intervals import Interval
from sightline.evaluation.macro import macro_words
from sightline.evaluation.metrics import intervals_in
from sightline.reporting.behind import behind_cells
from sightline.reporting.canvas import both_themes
from sightline.reporting.letters import key_of_numbers
from sightline.reporting.ranking import draw_ranking
from sightline.reporting.thumbnails import thumbnail
from sightline.runs.recorded import Recorded
from sightline.text import signed

__all__ = ["all_metrics", "classes", "confusion", "digits_for", "mistakes", "slices"]

_MATRIX_CLASSES = 25
_MISTAKES = 24
_DOUBTFUL, _HARD = 12, 12
_NEAREST_SIDE = 64  # px


def all_metrics(run: Recorded) -> dict[str, Any]:
    """Every metric with its interval, and how that was made."""
    metrics = run.metrics
    return {
        "rows": [(metric, metric.shown(interval), interval) for metric, interval in intervals_in(metrics).items()],
        "groups": metrics.get("count_groups"),
        "worth": Interval(**metrics["accuracy"]).independent,
        "n": metrics["accuracy"]["n"],
        "part": metrics.get("part", ""),
        "macro": macro_words(metrics),
        "ranking": both_themes(run, draw_ranking),
        "numbers": key_of_numbers([row["class"] for row in metrics.get("classes", [])]),
    }


def classes(run: Recorded) -> dict[str, Any]:
    """The per-class table."""
    rows = run.metrics["classes"]
    has_units = any("n_effective" in row for row in rows)
    return {
        "has_units": has_units,
        "rows": [{**row, "digits": digits_for(row["recall_low"], row["recall_high"])} for row in rows],
    }


def digits_for(low: float | None, high: float | None) -> int:
    """Return how many digits of a percentage an interval allows: none, or one where it is narrower than 5 points."""
    return 1 if low is not None and high is not None and high - low < 0.05 else 0


def slices(run: Recorded) -> dict[str, Any] | None:
    """Groups of images on which the classifier is clearly worse than on the others."""
    found = run.metrics.get("slices")
    if not found:
        return None
    rows = [
        {
            "n_effective": None,  # as of runs of before
            **one,
            **{
                name: signed(100 * gap, 0).replace("+", "").replace("-", "\u2212")
                for name, gap in (("gap", one["accuracy"] - one["rest"]), ("from", one["low"]), ("to", one["high"]))
            },
        }
        for one in found["found"]
    ]
    return {**found, "found": rows}


def confusion(run: Recorded) -> dict[str, Any]:
    """The confusion matrix up to 25 classes, the most confused pairs, and the images behind both."""
    metrics = run.metrics
    names, support = [row["class"] for row in metrics["classes"]], [row["support"] for row in metrics["classes"]]
    wrong = sorted((cell for cell in metrics["confusion"]["cells"] if cell[0] != cell[1]), key=lambda cell: -cell[2])
    return {
        "names": names,
        "rows": _heat_rows(confusion_from(metrics["confusion"], len(names))) if len(names) <= _MATRIX_CLASSES else None,
        "pairs": [(i, j, names[i], names[j], count, count / support[i]) for i, j, count in wrong[:10]],
        "behind": behind_cells(run),
    }


def _heat_rows(matrix: npt.NDArray[np.int64]) -> list[list[tuple[int, int, float]]]:
    """Return the cells of a confusion matrix: images, strength of the colour from 0 to 9, share of the row."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    heat = np.ceil(shares * 9).astype(int)  # 0 stays 0, so that one mistake is seen
    return [
        [(int(n), int(h), float(share)) for n, h, share in zip(*row, strict=True)]
        for row in zip(matrix, heat, shares, strict=True)
    ]


def mistakes(run: Recorded) -> dict[str, Any]:
    """The most confident mistakes beside the nearest training image, doubtful labels, and the least sure right ones."""
    measured = run.measured
    used = np.flatnonzero(measured.used)
    right, wrong = used[measured.correct[used]], used[~measured.correct[used]]
    right = right[np.argsort(measured.confidence[right], kind="stable")]
    wrong = wrong[np.argsort(-measured.confidence[wrong], kind="stable")]
    row_of = {measured.paths[row]: int(row) for row in used}
    doubtful = [one for one in run.metrics.get("doubtful_labels", []) if one["path"] in row_of]
    bad = [(path, error) for path, error in zip(measured.paths, measured.errors, strict=True) if error]
    return {
        "total": len(wrong),
        "cards": [_card(run, row) for row in wrong[:_MISTAKES].tolist()],
        "doubtful": [
            {**_card(run, row_of[one["path"]]), "suggested": one["suggested"]} for one in doubtful[:_DOUBTFUL]
        ],
        "count_doubtful": run.metrics.get("count_doubtful", 0),
        "hard": [_card(run, row) for row in right[:_HARD].tolist()],
        "errors": bad[:_MISTAKES],
    }


def _card(run: Recorded, row: int) -> dict[str, Any]:
    measured = run.measured
    nearest, path = measured.nearest[row], measured.paths[row]
    beside = thumbnail(run.place(nearest), run.value_range, _NEAREST_SIDE).uri if nearest else None
    return {
        "path": path,
        "label": measured.classes[measured.labels[row]],
        "predicted": measured.classes[measured.predicted[row]],
        "confidence": float(measured.confidence[row]),
        "thumbnail": thumbnail(run.place(path), run.value_range),
        "beside": beside,
        "beside_label": run.once("labels by path", lambda: _labels_by_path(run)).get(nearest, ""),
    }


def _labels_by_path(run: Recorded) -> dict[str, str]:
    """Return the class of each image that the run has; empty where the folder has no data of its own."""
    if run.dataset is None:
        return {}
    samples = run.samples
    return {str(path): samples.classes[label] for path, label in zip(samples.paths, samples.labels, strict=True)}
