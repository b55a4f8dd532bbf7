"""What a run's evaluation wrote down, read back as arrays: true classes, predictions, leaks, contents."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.units import number_units
from sightline.errors import RunError
from sightline.evaluation.intervals import Units
from sightline.runs.array_files import read_array
from sightline.runs.damage import named_damage
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.safe_files import read_rows
from sightline.runtime.predictions import Predictions

__all__ = ["Measured", "read_measured"]


@dataclass(frozen=True, eq=False)
class Measured:
    """The measured images of a run, in the order of ``predictions.csv``; the two large files are read when asked for.

    Attributes:
        run: that measured them.
        classes: names; labels and predictions are positions in them.
        paths: ``N`` names of the images.
        labels: ``[N] int64``, true classes.
        predicted: ``[N] int64``, most probable classes; -1 where the image could not be read.
        confidence: ``[N] float64``, their probabilities; NaN where the image could not be read.
        novelty: ``[N] float64``; NaN where it is not known.
        leaked: ``[N] bool``: images that were trained on too.
        errors: why an image could not be read, or None.
        nearest: path of the most similar training image; empty where it was not searched.
        digests: ``[N] str``: sha256 of the content; empty where it is not known.
        units: ``[N]``: images of one unit (a group, copies) are not independent; None: all are.
    """

    run: Run
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    novelty: npt.NDArray[np.float64]
    leaked: npt.NDArray[np.bool_]
    errors: tuple[str | None, ...]
    nearest: tuple[str, ...]
    digests: npt.NDArray[np.object_]
    units: Units | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_ok(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: True where the image could be read."""
        ok: npt.NDArray[np.bool_] = self.predicted >= 0
        return ok

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: the images that the metrics rest on: readable, and not trained on."""
        return self.is_ok & ~self.leaked

    @property
    def used_units(self) -> Units | None:
        """``[U]``: the units of the ``used`` images; None: all are independent."""
        return None if self.units is None else self.units[self.used]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: whether the prediction is the true class; False where the image could not be read."""
        correct: npt.NDArray[np.bool_] = self.predicted == self.labels
        return correct

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """``[N, K] float32``.

        Raises:
            RunError: if the file is not there, or has another shape.
        """
        return self._load(self.run.probabilities_file, len(self.classes))

    @cached_property
    def features(self) -> npt.NDArray[np.float32] | None:
        """``[N, D] float32``; None where the run keeps none."""
        if not self.run.features_file.is_file():
            return None
        return self._load(self.run.features_file, None).astype(np.float32)

    def _load(self, path: Path, columns: int | None) -> npt.NDArray[np.float32]:
        with named_damage(path, self.run.folder):
            array: npt.NDArray[np.float32] = read_array(path)
        with _fitting(self.run):
            if array.ndim != 2 or len(array) != len(self) or columns not in (None, array.shape[1]):
                classes = "" if columns is None else f", {columns} classes"
                message = f"{len(self):,} rows of predictions.csv{classes}, and {path.name} of the shape {array.shape}"
                raise ValueError(message)
        return array

    @property
    def predictions(self) -> Predictions:
        """The same as what a classifier returns, without features."""
        nothing = np.zeros((len(self), 0), np.float32)
        novelty = self.novelty.astype(np.float32)
        return Predictions(self.classes, self.paths, self.probabilities, nothing, self.errors, novelty)


def read_measured(run: Run, facts: dict[str, Any] | None = None, samples: Samples | None = None) -> Measured:
    """Return what a run recorded of its measured images.

    Args:
        run: evaluated.
        facts: its ``run.json``, where that was read already.
        samples: its images, where they were read already.

    Raises:
        RunError: if it was not evaluated, or its files don't fit together.

    Example:
        ``read_measured(sightline.Run("runs/photos")).probabilities.shape``
    """
    if not run.predictions_file.is_file():
        _ = run.metrics  # says what to type where there is no evaluation
    with _fitting(run):
        facts = run.facts if facts is None else facts
        if samples is None and run.samples_file.is_file():
            samples = read_dataset(run, facts)[0]
        with named_damage(run.predictions_file, run.folder):
            rows = read_rows(run.predictions_file)
        return _assemble(run, tuple(facts["classes"]), rows, samples)


def _assemble(run: Run, classes: tuple[str, ...], rows: list[dict[str, str]], samples: Samples | None) -> Measured:
    number = {name: place for place, name in enumerate(classes)}
    paths = tuple(row["path"] for row in rows)
    digests, units = np.full(len(rows), "", object), None
    if samples is not None:
        row_of = {str(path): row for row, path in enumerate(samples.paths)}
        places = np.array([row_of[path] for path in paths], np.intp)
        digests, units = samples.digests[places], number_units(samples, places)
    elif any(row.get("unit") for row in rows):
        units = np.array([int(row["unit"]) for row in rows], np.int64)
    return Measured(
        run=run,
        classes=classes,
        paths=paths,
        labels=np.array([number[row["label"]] for row in rows], np.int64),
        predicted=np.array([-1 if row["error"] else number[row["predicted"]] for row in rows], np.int64),
        confidence=np.array([float(row["confidence"] or "nan") for row in rows], np.float64),
        novelty=np.array([float(row.get("novelty") or "nan") for row in rows], np.float64),
        leaked=np.array([row["leaked"] == "1" for row in rows], bool),
        errors=tuple(row["error"] or None for row in rows),
        nearest=tuple(row.get("nearest", "") for row in rows),
        digests=digests,
        units=units,
    )


@contextlib.contextmanager
def _fitting(run: Run) -> Iterator[None]:
    """Turn what files that don't fit together raise into a ``RunError`` with a cure."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        what = error.args[0] if isinstance(error, ValueError) and error.args else f"{type(error).__name__}: {error}"
        message = f"the evaluation of {run.folder} does not fit together: {what}"
        verify = f"sightline verify {shlex.quote(str(run.folder))}"
        cure = f"{verify} says what differs; train again, or sightline export it again"
        raise RunError("run.damaged", message, cure) from error
