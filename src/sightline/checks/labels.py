"""Findings that need features of the images: labels that are probably wrong, and outliers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Finding
from sightline.checks.subject import Subject
from sightline.data.fixes import Fix
from sightline.data.split import find_units
from sightline.evaluation.label_errors import cross_validate, find_label_errors, vote_of_neighbours

__all__ = ["find_label_problems"]

_LEAST_IMAGES = 50
_FAR = 3.5  # robust standard deviations below the class's median likeness to its neighbours


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
    votes, near = vote_of_neighbours(features, labels, units)
    findings = _label_errors(subject, rows, features, units, votes)
    return findings + _outliers(subject, rows, near)


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
    message = f"{len(wrong):,} label(s) are probably wrong, as the features of {subject.embedding.name} see it"  # type: ignore[union-attr]
    cure = "look at each: some are wrong, others are hard cases; --fix-list proposes new labels, and you decide"
    return [Finding("label-error", "warning", message, subject.cases(wrong, notes), cure, fixes)]


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
    notes = [f"likeness to its nearest neighbours {near[row]:.2f}" for row in found]
    message = f"{len(found):,} image(s) are like no other"
    cure = "look at them: some may show nothing of any class"
    return [Finding("outlier", "note", message, subject.cases(rows[found], notes), cure)]
