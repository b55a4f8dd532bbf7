"""The public function that opens a classifier: no more is imported than a prediction needs."""

from __future__ import annotations

from pathlib import Path

from sightline.runs.folder import RUNS_FOLDER
from sightline.runs.lookup import find_classifier
from sightline.runtime.classifier import Classifier

__all__ = ["load"]


def load(model: str | Path = "latest", *, runs: str | Path = RUNS_FOLDER) -> Classifier:
    """Open a classifier. Needs no torch.

    Args:
        model: a run's folder or name, a ``classifier`` folder, a ``model.onnx``, or ``latest``.
        runs: folder that holds runs.

    Raises:
        RunError: if there is no such run, or it has no classifier.
        ModelError: if the file is missing, damaged, or not made by Sightline.

    Example:
        ``sightline.load("latest").predict(["photo.jpg"])[0].label``
    """
    return Classifier.open(find_classifier(model, folder=runs))
