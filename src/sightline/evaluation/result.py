"""``Evaluation``: predictions, true classes, and every metric that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import DataError
from sightline.evaluation.baselines import majority_class, nearest_class_mean
from sightline.evaluation.intervals import Interval, Units, proportion
from sightline.evaluation.metrics import evaluate_predictions, intervals_in
from sightline.runtime.predictions import Predictions
from sightline.text import as_html

__all__ = ["Evaluation", "evaluate_rows"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """The metrics of a classifier on images whose classes are known.

    Attributes:
        predictions: one row an image.
        labels: ``[N] int64``, what is true.
        metrics: every metric with interval and count; JSON-able.
        leaked: ``[N] bool``: images that were trained on too; the metrics leave them out.
        units: ``[N]``: images of one unit (a group) are not independent; None: all are.
        nearest: path of the most similar training image of each, by features; empty where that was not looked up.
    """

    predictions: Predictions
    labels: npt.NDArray[np.int64]
    metrics: dict[str, Any]
    leaked: npt.NDArray[np.bool_]
    units: Units | None = None
    nearest: tuple[str, ...] = ()

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: the images that the metrics rest on: readable, and not trained on."""
        return self.predictions.is_ok & ~self.leaked

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """``[U] bool``: of the ``used`` images, whether the most probable class is right."""
        hits: npt.NDArray[np.bool_] = (self.predictions.probabilities.argmax(1) == self.labels)[self.used]
        return hits

    @property
    def used_units(self) -> Units | None:
        """``[U]``: the units of the ``used`` images; None: all are independent."""
        return None if self.units is None else self.units[self.used]

    @property
    def accuracy(self) -> Interval:
        """Share of readable images that are right, with Wilson's interval."""
        return Interval(**self.metrics["accuracy"])

    def with_part(self, part: str) -> Evaluation:
        """Return the same metrics with the name of the part they were measured on."""
        return replace(self, metrics={"part": part, **self.metrics})

    def with_baselines(
        self, train_labels: npt.NDArray[np.int64], train: dict[int, Any], measured: dict[int, Any]
    ) -> Evaluation:
        """Return the same metrics with those of baselines beside them.

        Args:
            train_labels: ``[M]``, classes of the training images.
            train, measured: position -> small image as a vector, of training images and of these.
        """
        used = self.used
        rows = [row for row in measured if used[row]]
        baselines = {"majority_class": majority_class(train_labels, self.labels[used], self.used_units).to_dict()}
        if rows and train:
            images, classes = np.stack(list(train.values())), train_labels[list(train)]
            units = None if self.units is None else self.units[rows]
            shown = np.stack([measured[row] for row in rows])
            accuracy = nearest_class_mean(images, classes, shown, self.labels[rows], units)
            baselines["nearest_class_mean"] = accuracy.to_dict()
        return replace(self, metrics={**self.metrics, "baselines": baselines})

    def with_values(self, **values: Any) -> Evaluation:
        """Return the same metrics with further values, JSON-able, under their names."""
        return replace(self, metrics={**self.metrics, **values})

    def with_nearest(self, nearest: tuple[str, ...]) -> Evaluation:
        """Return the same metrics with the most similar training image of each image."""
        return replace(self, nearest=nearest)

    def with_views(self, accuracy: Interval, views: int) -> Evaluation:
        """Return the same metrics with the accuracy of probabilities averaged over several views beside them."""
        return replace(self, metrics={**self.metrics, "accuracy_with_views": accuracy.to_dict(), "count_views": views})

    def headline(self) -> str:
        """Return the accuracy in words."""
        part = {"test": "Test", "val": "Validation"}.get(self.metrics.get("part", ""), "Measured")
        return f"{part} accuracy {self.accuracy}"

    def columns(self) -> dict[str, list[Any]]:
        """Return one row an image, as columns of ``predictions.csv``."""
        said = self.predictions
        rows = list(said)
        names = [said.classes[label] for label in self.labels]
        of_label = said.probabilities[np.arange(len(said)), self.labels]
        return {
            "path": list(said.paths),
            "label": names,
            "predicted": [row.label or "" for row in rows],
            "confidence": ["" if row.error else f"{row.confidence:.6f}" for row in rows],
            "probability_of_label": ["" if row.error else f"{p:.6f}" for row, p in zip(rows, of_label, strict=True)],
            "correct": [
                "" if row.error else str(int(row.label == name)) for row, name in zip(rows, names, strict=True)
            ],
            "leaked": [str(int(leak)) for leak in self.leaked],
            "novelty": ["" if row.novelty is None else f"{row.novelty:.4f}" for row in rows],
            "nearest": list(self.nearest) or [""] * len(rows),
            "unit": [""] * len(rows) if self.units is None else [str(unit) for unit in self.units],
            "error": [row.error or "" for row in rows],
        }

    def __repr__(self) -> str:
        return f"Evaluation({self.headline()!r}, macro_f1={Interval(**self.metrics['macro_f1'])})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{as_html(metric.words)}</td><td>{as_html(metric.shown(interval))}</td></tr>"
            for metric, interval in intervals_in(self.metrics).items()
        )
        return f"<table>{rows}</table>"


def evaluate_rows(
    predictions: Predictions,
    labels: npt.NDArray[np.int64],
    leaked: npt.NDArray[np.bool_] | None = None,
    units: Units | None = None,
) -> Evaluation:
    """Return every metric of predictions and true classes.

    Args:
        predictions: of the images.
        labels: ``[N] int64``, what is true.
        leaked: ``[N] bool``: images that were trained on too. The metrics leave them out; where there are any,
            the accuracy with them stands beside.
        units: ``[N]``: images of one unit (a group) are not independent; None: all are.

    Raises:
        DataError: if no image is left to measure.
    """
    nothing = np.zeros(len(labels), bool)
    leaked = nothing if leaked is None else leaked
    metrics = _metrics(predictions, labels, leaked, units)
    if (leaked & predictions.is_ok).any():
        hits = (predictions.probabilities.argmax(1) == labels)[predictions.is_ok]
        of_read = None if units is None else units[predictions.is_ok]
        metrics["accuracy_with_leaks"] = proportion(hits, of_read).to_dict()
    return Evaluation(predictions, labels, metrics, leaked, units)


def _metrics(
    said: Predictions, labels: npt.NDArray[np.int64], leaked: npt.NDArray[np.bool_], units: Units | None
) -> dict[str, Any]:
    used = said.is_ok & ~leaked
    if not used.any():
        known = int((leaked & said.is_ok).sum())
        raise DataError(
            "evaluation.no-images",
            f"of {len(labels)} images, {said.count_bad} can't be read and {known} were trained on",
            "give images that can be read and were not trained on",
        )
    counts = {
        "count": len(labels),
        "count_bad": said.count_bad,
        "count_leaked": int((leaked & said.is_ok).sum()),
    }
    return {
        "schema_version": 4,
        **counts,
        **evaluate_predictions(
            labels[used], said.probabilities[used], said.classes, None if units is None else units[used]
        ),
    }
