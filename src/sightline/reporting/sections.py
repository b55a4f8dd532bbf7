"""The sections of the report: each collects what its template shows.

A section is one function of the run, one template ``templates/ID.html.jinja`` and one row of ``SECTIONS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sightline.reporting.behind import embedding_map
from sightline.reporting.confidence import confidence, unknown
from sightline.reporting.corruptions import robustness
from sightline.reporting.explanations import explanations
from sightline.reporting.images_seen import data, seen
from sightline.reporting.more_data import more_data
from sightline.reporting.performance import all_metrics, classes, confusion, mistakes, slices
from sightline.reporting.search import search
from sightline.reporting.training_course import training
from sightline.reporting.validation import validation_and_test
from sightline.reporting.verdicts import measured, repeated, verdict
from sightline.reporting.versions import versions
from sightline.runs.recorded import Recorded
from sightline.runtime.classifier import Classifier

__all__ = ["OF_EVALUATION", "OF_FOLDS", "OF_SEEDS", "SECTIONS", "Section"]


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its anchor, its title, and what collects its values; None where a run has nothing to show."""

    id: str
    title: str
    collect: Callable[[Recorded], dict[str, Any] | None]


def plan(run: Recorded) -> dict[str, Any]:
    """Every setting with its origin and reason, as the run wrote it."""
    return {"rows": run.plan.decisions}


def use(run: Recorded) -> dict[str, Any]:
    """What lies where, and what to type."""
    bundle = Classifier.open(run.run.model_file).bundle
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(run.run.classifier_folder.iterdir())}
    # JSON's text in quotes is Python's too, and rarely has the quote that the shell's quoting makes long.
    named = json.dumps(str(run.folder), ensure_ascii=False)
    python = f'import sightline; print(sightline.load({named}).predict("photo.jpg")[0])'
    return {"facts": run.facts, "bundle": bundle, "sizes": sizes, "folder": str(run.folder), "python": python}


# A new section is one function, one template and one row; they stand in the order of a reader's questions.
SECTIONS = (
    Section("verdict", "Verdict", verdict),
    Section("mistakes", "Most confident mistakes", mistakes),
    Section("confusion", "What is taken for what", confusion),
    Section("classes", "Each class", classes),
    Section("slices", "Where it is worse", slices),
    Section("validation", "Validation and test", validation_and_test),
    Section("explanations", "What moved the score", explanations),
    Section("robustness", "What corruptions cost", robustness),
    Section("versions", "Smaller versions", versions),
    Section("confidence", "Confidence", confidence),
    Section("unknown", "Unlike the training", unknown),
    Section("map", "Map of the images", embedding_map),
    Section("metrics", "All metrics", all_metrics),
    Section("more_data", "More images", more_data),
    Section("search", "Search for settings", search),
    Section("training", "Training", training),
    Section("seen", "What the network sees", seen),
    Section("data", "Data", data),
    Section("plan", "Every choice and its reason", plan),
    Section("use", "Using the classifier", use),
)

# Of further images that a finished classifier was measured on.
OF_EVALUATION = (
    Section("measured", "Verdict", measured),
    Section("mistakes", "Most confident mistakes", mistakes),
    Section("confusion", "What is taken for what", confusion),
    Section("classes", "Each class", classes),
    Section("slices", "Where it is worse", slices),
    Section("confidence", "Confidence", confidence),
    Section("unknown", "Unlike the training", unknown),
    Section("metrics", "All metrics", all_metrics),
)

# Of a run that holds several trainings: pooled predictions are there for folds alone.
OF_FOLDS = (
    Section("repeated", "Verdict", repeated),
    Section("mistakes", "Most confident mistakes", mistakes),
    Section("confusion", "What is taken for what", confusion),
    Section("classes", "Each class", classes),
    Section("metrics", "All metrics", all_metrics),
    Section("plan", "Every choice and its reason", plan),
)
OF_SEEDS = (OF_FOLDS[0], OF_FOLDS[-1])
