"""Findings that need features of the images: labels that are probably wrong, and outliers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Finding
from sightline.checks.subject import Subject
from sightline.data.fixes import Fix
from sightline.data.split import find_units
from sightline.evaluation.label_errors import Neighbours, cross_validate, find_label_errors, find_neighbours
from sightline.text import count_of

__all__ = ["find_label_problems"]

_LEAST_IMAGES = 50
_ALIKE = 0.95  # cosine of two images' features
_FAR = 3.5  # robust standard deviations below the class's median similarity to the nearest neighbours


def find_label_problems(subject: Subject) -> list[Finding]:
    """Probable label errors and outliers; nothing without an embedding."""
    embedding, samples = subject.embedding, subject.samples
    if embedding is None:
        return []
    rows = np.flatnonzero(samples.is_ok & np.isfinite(embedding.features).all(1))
    labels = samples.labels[rows]
    if len(rows) < _LEAST_IMAGES or len(np.unique(labels)) < 2:
        return []
    features = embedding.features[rows].astype(np.float32)
    units = _unit_of(subject, rows)
    near = find_neighbours(features, labels, units)
    findings = _label_errors(subject, rows, features, units, near.votes)
    return findings + _alike(subject, rows, near) + _outliers(subject, rows, near.likeness)


def _unit_of(subject: Subject, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return for each of the rows the number of the unit that it belongs to."""
    unit = np.zeros(len(subject.samples), np.intp)
    for number, members in enumerate(find_units(subject.samples, rows)):
        unit[members] = number
    return unit[rows]


def _label_errors(
    subject: Subject,
    rows: npt.NDArray[np.intp],
    features: npt.NDArray[np.float32],
    units: npt.NDArray[np.intp],
    votes: npt.NDArray[np.float32],
) -> list[Finding]:
    samples = subject.samples
    labels = samples.labels[rows]
    errors = find_label_errors(cross_validate(features, labels, units), votes, labels)
    if not len(errors.rows):
        return []
    wrong = rows[errors.rows]
    names = [samples.classes[label] for label in errors.suggested]
    notes = [f"labelled {subject.label(row)}, looks like {name}" for row, name in zip(wrong, names, strict=True)]
    fixes = tuple(
        Fix(str(samples.paths[row]), "relabel", name, note) for row, name, note in zip(wrong, names, notes, strict=True)
    )
    message = f"{count_of(len(wrong), 'label')} probably wrong, judged by the features of {subject.embedding.name}"  # type: ignore[union-attr]
    cure = "look at each: some are wrong, others are hard cases; --fix-list proposes new labels, and you decide"
    return [Finding("label-error", "warning", message, subject.cases(wrong, notes), cure, fixes)]


def _alike(subject: Subject, rows: npt.NDArray[np.intp], near: Neighbours) -> list[Finding]:
    """Pairs with nearly the same features that are not near-duplicates by their pixels."""
    ones = np.flatnonzero((near.nearest[near.nearest] == np.arange(len(rows))) & (near.cosine >= _ALIKE))
    pairs = [(one, other) for one in ones if one < (other := near.nearest[one])]
    if not pairs:
        return []
    pairs.sort(key=lambda pair: -near.cosine[pair[0]])
    samples, parts = subject.samples, subject.split.parts
    groups = [(int(rows[one]), int(rows[other])) for one, other in pairs]
    notes = [f"cosine {near.cosine[one]:.3f}" for one, _ in pairs]
    # Where neither is in a group yet, they become one, so that a split keeps them together.
    fixes = tuple(
        Fix(str(samples.paths[row]), "group", f"alike-{number}", "nearly the same features")
        for number, group in enumerate(groups, 1)
        if not any(samples.groups[list(group)])
        for row in group
    )
    is_torn = any(any(samples.given) and parts[one] != parts[other] for one, other in groups)
    message = f"{count_of(len(pairs), 'pair')} of images with nearly the same features"
    cure = "look at each: images of one object in a row belong in one group; --fix-list proposes it"
    return [
        Finding("alike", "warning" if is_torn else "note", message, subject.cases_together(groups, notes), cure, fixes)
    ]


def _outliers(subject: Subject, rows: npt.NDArray[np.intp], near: npt.NDArray[np.float32]) -> list[Finding]:
    labels, odd = subject.samples.labels[rows], np.zeros(len(rows))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        centre = np.median(near[own])
        spread = max(1e-3, 1.4826 * float(np.median(np.abs(near[own] - centre))))
        odd[own] = (centre - near[own]) / spread
    found = np.flatnonzero(odd > _FAR)
    if not len(found):
        return []
    found = found[np.argsort(-odd[found], kind="stable")]
    notes = [f"similarity to its nearest neighbours {near[row]:.2f}" for row in found]
    message = f"{count_of(len(found), 'image')} unlike any other"
    cure = "look at them: some may show nothing of any class"
    return [Finding("outlier", "note", message, subject.cases(rows[found], notes), cure)]
