"""What a run's evaluation wrote down, read back as arrays: predictions, true classes, leaks, contents."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.errors import RunError
from sightline.runs.folder import Run
from sightline.runtime.predictions import Predictions

__all__ = ["Measured", "read_measured"]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The measured images of a run, in the order of ``predictions.csv``.

    Attributes:
        predictions: what was said; without features.
        labels: ``[N] int64``, positions in ``predictions.classes``.
        leaked: ``[N] bool``: images that the training saw too.
        digests: ``[N] str``: sha256 of the content; empty where it was not readable.
        groups: ``[N] str``; empty is no group.
    """

    predictions: Predictions
    labels: npt.NDArray[np.int64]
    leaked: npt.NDArray[np.bool_]
    digests: npt.NDArray[np.object_]
    groups: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.labels)


def read_measured(run: Run) -> Measured:
    """Return what a run said of its measured images.

    Raises:
        RunError: if it was not evaluated, or its files don't fit together.

    Example:
        ``read_measured(sightline.Run("runs/photos")).predictions.probabilities.shape``
    """
    _ = run.metrics  # says what to type where there is no evaluation
    try:
        rows, samples = run.predictions, {row["path"]: row for row in run.samples}
        probabilities = np.load(run.probabilities_file, allow_pickle=False)
        return _assemble(tuple(run.facts["classes"]), rows, samples, probabilities)
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = error.args[0] if isinstance(error, ValueError) and error.args else f"{type(error).__name__}: {error}"
        message = f"the evaluation of {run.folder} does not fit together: {what}"
        verify = f"sightline verify {shlex.quote(str(run.folder))}"
        cure = f"{verify} says what differs; train again, or sightline export it again"
        raise RunError("run.damaged", message, cure) from error


def _assemble(
    classes: tuple[str, ...],
    rows: Sequence[dict[str, str]],
    samples: dict[str, dict[str, str]],
    probabilities: npt.NDArray[np.float32],
) -> Measured:
    if probabilities.shape != (len(rows), len(classes)):
        raise ValueError(
            f"{len(rows):,} rows of predictions.csv, {len(classes)} classes, and probabilities.npy of the shape "
            f"{probabilities.shape}"
        )
    paths = tuple(row["path"] for row in rows)
    errors = tuple(row["error"] or None for row in rows)
    said = Predictions(classes, paths, probabilities, np.zeros((len(rows), 0), np.float32), errors)
    number = {name: place for place, name in enumerate(classes)}
    return Measured(
        said,
        np.array([number[row["label"]] for row in rows], np.int64),
        np.array([row["leaked"] == "1" for row in rows], bool),
        np.array([samples[path]["sha256"] for path in paths], object),
        np.array([samples[path]["group"] for path in paths], object),
    )
