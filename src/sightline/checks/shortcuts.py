"""Findings about properties that give a class away: size, format, brightness ... instead of what is shown.

A network learns whatever tells classes apart. Where a shallow tree on one property of the file does so, high
figures may mean nothing (R. Geirhos et al., Shortcut Learning in Deep Neural Networks, 2020).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Finding
from sightline.checks.subject import Subject
from sightline.data.samples import Samples
from sightline.evaluation.intervals import newcombe

__all__ = ["PROPERTIES", "find_shortcuts"]

_LEAST_IMAGES = 30
_MOST_IMAGES = 20_000
_FOLDS = 5
Columns = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Property:
    """Something that can be known of an image without looking at what it shows.

    Attributes:
        name: in words.
        columns: facts -> ``[N, D]`` numbers.
        bar: how much of a class a tree must tell by it, 0 (chance) to 1 (all), to be a finding. What an image
            shows has its own brightness and colours, so those must tell nearly everything.
    """

    name: str
    columns: Callable[[Any], Columns]
    bar: float


def _codes(values: Any) -> Columns:
    """Return one column a value that occurs, 0 or 1: a tree needs no order among formats."""
    return np.stack([values == value for value in np.unique(values)], 1).astype(float)


def _numbers(*values: Any) -> Columns:
    return np.stack(values, 1).astype(float)


_FILE, _CONTENT = 0.4, 0.8
# A new property is one row.
PROPERTIES = (
    Property("width and height", lambda f: _numbers(f["width"], f["height"], f["width"] / f["height"]), _FILE),
    Property("format", lambda f: _codes(f["format"]), _FILE),
    Property("colour mode", lambda f: _codes(f["mode"]), _FILE),
    Property("EXIF orientation", lambda f: _codes(f["orientation"]), _FILE),
    Property("colour profile", lambda f: _numbers(f["has_profile"]), _FILE),
    Property("file size", lambda f: _numbers(f["bytes"], f["bytes"] / (f["width"] * f["height"])), 0.6),
    Property("brightness", lambda f: _numbers(f["brightness"]), _CONTENT),
    Property("sharpness", lambda f: _numbers(f["sharpness"]), _CONTENT),
    Property("border colour", lambda f: _numbers(*f["border"].T, f["border_spread"]), _CONTENT),
)


def find_shortcuts(subject: Subject) -> list[Finding]:
    """Properties by which a shallow tree, cross-validated, tells a class far better than chance."""
    samples = subject.samples
    rows = _some_rows(samples)
    labels = samples.labels[rows]
    if len(rows) < _LEAST_IMAGES or len(np.unique(labels)) < 2 or len(np.unique(samples.digests[rows])) < 2 * _FOLDS:
        return []
    folds = _folds(samples, rows)
    found = []
    for prop in PROPERTIES:
        columns = prop.columns(samples.facts[rows])
        if np.ptp(columns, axis=0).max() == 0:
            continue
        told = _cross_validated(columns, labels, folds)
        given_away = [
            (skill, samples.classes[label]) for label, (skill, safe) in _skills(labels, told).items() if safe > prop.bar
        ]
        if given_away:
            found.append((max(given_away)[0], prop.name, sorted(given_away, reverse=True)))
    return [_finding(*row) for row in sorted(found, reverse=True)]


def _finding(best: float, name: str, classes: list[tuple[float, str]]) -> Finding:
    shown = ", ".join(f"{label!r} ({skill:.0%})" for skill, label in classes[:5]) + (" ..." if classes[5:] else "")
    message = f"{name} alone gives away class {shown}: a network may learn that instead of what is shown"
    cure = (
        "find out why the classes differ in it, and take images of every class the same way; a model trained on "
        "these may fail on others"
    )
    return Finding("shortcut", "warning", message, (), cure)


def _some_rows(samples: Samples) -> npt.NDArray[np.intp]:
    """Return readable images of classes with enough of them; of very many, evenly spaced ones."""
    enough = np.bincount(samples.labels[samples.is_ok], minlength=len(samples.classes)) >= 2 * _FOLDS
    rows = np.flatnonzero(samples.is_ok & (samples.widths > 0) & enough[samples.labels])
    rows = rows[:: max(1, len(rows) // _MOST_IMAGES)]
    enough = np.bincount(samples.labels[rows], minlength=len(samples.classes)) >= 2 * _FOLDS
    return rows[enough[samples.labels[rows]]]


def _folds(samples: Samples, rows: npt.NDArray[np.intp]) -> list[tuple[Any, Any]]:
    """Return (train, test) positions, stratified; copies of one file are on one side."""
    from sklearn.model_selection import StratifiedGroupKFold

    _, contents = np.unique(samples.digests[rows].astype(str), return_inverse=True)
    splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds: it stays in few of them
        return list(splitter.split(rows, samples.labels[rows], contents))


def _cross_validated(columns: Columns, labels: npt.NDArray[np.int64], folds: list[tuple[Any, Any]]) -> Any:
    """Return ``[N]`` labels as trees say them that did not see the image."""
    from sklearn.tree import DecisionTreeClassifier

    told = np.zeros_like(labels)
    # Leaves enough for every class, few enough that each is a rule a person could state.
    leaves = min(32, 2 * len(np.unique(labels)) + 2)
    for train, test in folds:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=leaves, min_samples_leaf=3, class_weight="balanced", random_state=0
        )
        told[test] = tree.fit(columns[train], labels[train]).predict(columns[test])
    return told


def _skills(labels: npt.NDArray[np.int64], told: Any) -> dict[int, tuple[float, float]]:
    """Return label -> (skill, the safe end of its 95 % interval): the share told right less the share told wrongly.

    That is Youden's J of one class against the others, 0 for chance and 1 for all; its interval is that of a
    difference of two shares.
    """
    skills = {}
    for label in np.unique(labels):
        own, other = told[labels == label] == label, told[labels != label] == label
        hits, misses = int(own.sum()), int(other.sum())
        safe, _ = newcombe(hits, len(own), misses, len(other))
        skills[int(label)] = hits / len(own) - misses / len(other), safe
    return skills
