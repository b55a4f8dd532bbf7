"""Findings about shortcuts: size, format, brightness or another property that predicts a class without the content.

A network learns whatever distinguishes the classes. Where a shallow tree does so from one property of the file, high
metrics may mean nothing (R. Geirhos et al., Shortcut Learning in Deep Neural Networks, 2020).
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
from sightline.text import share

__all__ = ["PROPERTIES", "find_shortcuts"]

_LEAST_IMAGES = 30
_MOST_IMAGES = 20_000
_FOLDS = 5
Columns = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Property:
    """Something that can be measured of an image without understanding its content.

    Attributes:
        name: in words.
        columns: facts -> ``[N, D]`` numbers.
        bar: skill from which on it is a finding, 0 (chance) to 1 (perfect). Brightness and colours depend on the
            content, so their bar is higher.
    """

    name: str
    columns: Callable[[Any], Columns]
    bar: float


def _codes(values: Any) -> Columns:
    """Return a column of 0 and 1 for each value that occurs: formats have no order."""
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
    """Properties from which a cross-validated shallow tree predicts a class far better than chance."""
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
        predicted = _cross_validated(columns, labels, folds)
        skills = _skills(labels, predicted).items()
        classes = sorted(
            ((skill, samples.classes[label]) for label, (skill, low) in skills if low > prop.bar), reverse=True
        )
        if classes:
            found.append((classes[0][0], prop.name, classes))
    return [_finding(*row) for row in sorted(found, reverse=True)]


def _finding(best: float, name: str, classes: list[tuple[float, str]]) -> Finding:
    shown = ", ".join(f"{label!r} ({share(skill, 0)})" for skill, label in classes[:5])
    shown += " ..." if classes[5:] else ""
    message = f"{name} alone predicts class {shown}: a network may learn this instead of the content"
    cure = (
        "find out why the classes differ in it, and take the images of all classes in the same way; a model trained on "
        "these images may fail on others"
    )
    return Finding("shortcut", "warning", message, (), cure)


def _some_rows(samples: Samples) -> npt.NDArray[np.intp]:
    """Return rows of readable images, of classes with enough of them; of very many, an evenly spaced part."""
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
        warnings.simplefilter(
            "ignore", UserWarning
        )  # warns of a class with fewer images than folds, which is harmless here
        return list(splitter.split(rows, samples.labels[rows], contents))


def _cross_validated(columns: Columns, labels: npt.NDArray[np.int64], folds: list[tuple[Any, Any]]) -> Any:
    """Return ``[N]`` predicted labels, each from the tree that was not trained on the image."""
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.zeros_like(labels)
    # Enough leaves for every class, and few enough that each is a simple rule.
    leaves = min(32, 2 * len(np.unique(labels)) + 2)
    for train, test in folds:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=leaves, min_samples_leaf=3, class_weight="balanced", random_state=0
        )
        predicted[test] = tree.fit(columns[train], labels[train]).predict(columns[test])
    return predicted


def _skills(labels: npt.NDArray[np.int64], predicted: Any) -> dict[int, tuple[float, float]]:
    """Return label -> (skill, lower end of its 95 % interval).

    The skill is Youden's J of one class against the others, recall less false positive rate: 0 for chance, 1 for
    perfect. Its interval is that of a difference of two shares.
    """
    skills = {}
    for label in np.unique(labels):
        own, other = predicted[labels == label] == label, predicted[labels != label] == label
        hits, misses = int(own.sum()), int(other.sum())
        low, _ = newcombe(hits, len(own), misses, len(other))
        skills[int(label)] = hits / len(own) - misses / len(other), low
    return skills
