"""Sightline: from a folder of images to a classifier that can be trusted and shipped.

The public names, and nothing else. Each is looked up on first use, so that importing costs nothing. What is turned off
first is what libraries would report to their makers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sightline.telemetry import turn_off_telemetry

if TYPE_CHECKING:
    from sightline.api.data import check
    from sightline.api.loading import load
    from sightline.api.measuring import evaluate, explain
    from sightline.api.reviewing import compare
    from sightline.api.shrinking import shrink
    from sightline.api.training import cross_validate, export, preview, repeat, train
    from sightline.api.tuning import plot_search, tune
    from sightline.errors import SightlineError
    from sightline.planning.recipe import Recipe
    from sightline.reporting.plots import (
        plot_confusion,
        plot_curves,
        plot_mistakes,
        plot_predictions,
        plot_samples,
        plot_steps,
    )
    from sightline.runs.folder import Run, list_runs
    from sightline.runtime.classifier import Classifier
    from sightline.runtime.predictions import Predictions

__all__ = [
    "Classifier",
    "Predictions",
    "Recipe",
    "Run",
    "SightlineError",
    "check",
    "compare",
    "cross_validate",
    "evaluate",
    "explain",
    "export",
    "list_runs",
    "load",
    "plot_confusion",
    "plot_curves",
    "plot_mistakes",
    "plot_predictions",
    "plot_samples",
    "plot_search",
    "plot_steps",
    "preview",
    "repeat",
    "shrink",
    "train",
    "tune",
]

turn_off_telemetry()

_HOME = {
    "Classifier": "sightline.runtime.classifier",
    "Predictions": "sightline.runtime.predictions",
    "Recipe": "sightline.planning.recipe",
    "Run": "sightline.runs.folder",
    "SightlineError": "sightline.errors",
    "check": "sightline.api.data",
    "compare": "sightline.api.reviewing",
    "cross_validate": "sightline.api.training",
    "evaluate": "sightline.api.measuring",
    "explain": "sightline.api.measuring",
    "export": "sightline.api.training",
    "list_runs": "sightline.runs.folder",
    "load": "sightline.api.loading",
    "plot_confusion": "sightline.reporting.plots",
    "plot_curves": "sightline.reporting.plots",
    "plot_mistakes": "sightline.reporting.plots",
    "plot_predictions": "sightline.reporting.plots",
    "plot_samples": "sightline.reporting.plots",
    "plot_search": "sightline.api.tuning",
    "plot_steps": "sightline.reporting.plots",
    "preview": "sightline.api.training",
    "repeat": "sightline.api.training",
    "shrink": "sightline.api.shrinking",
    "train": "sightline.api.training",
    "tune": "sightline.api.tuning",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("sightline")
    if name not in _HOME:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
