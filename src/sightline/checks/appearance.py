"""Findings about images that look unlike others of their class: dark, bright, flat, blurred, without colour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.checks.bad_files import is_narrow
from sightline.checks.finding import Finding, Severity
from sightline.checks.subject import Subject
from sightline.text import count_of

__all__ = ["find_odd_appearance"]

_FAR = 4.0  # robust standard deviations from the class's median from which on an image is odd
_LEAST_IMAGES = 20  # a smaller class has no typical appearance

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def _scores(values: Values, labels: npt.NDArray[np.int64], usable: Mask, floor: float) -> Values:
    """Return the distance of each value from its class's median, in robust deviations; 0 where a class is small.

    Args:
        values, labels, usable: one for each image.
        floor: the least deviation, so that no image of a nearly uniform class is called odd.
    """
    scores = np.zeros(len(values))
    for label in np.unique(labels):
        rows = np.flatnonzero(usable & (labels == label))
        if len(rows) >= _LEAST_IMAGES:
            centre = np.median(values[rows])
            spread = max(floor, 1.4826 * float(np.median(np.abs(values[rows] - centre))))
            scores[rows] = (values[rows] - centre) / spread
    return scores


def _is_dark(facts: Any, labels: Any, usable: Mask) -> Mask:
    far = _scores(facts["brightness"].astype(float), labels, usable, 0.02) < -_FAR
    return np.asarray((facts["brightness"] < 0.03) | ((facts["brightness"] < 0.15) & far))


def _is_bright(facts: Any, labels: Any, usable: Mask) -> Mask:
    far = _scores(facts["brightness"].astype(float), labels, usable, 0.02) > _FAR
    return np.asarray((facts["brightness"] > 0.85) & far)


def _is_flat(facts: Any, labels: Any, usable: Mask) -> Mask:
    return np.asarray(facts["contrast"] < 0.01)


def _is_blurred(facts: Any, labels: Any, usable: Mask) -> Mask:
    sharpness = np.log(np.maximum(facts["sharpness"].astype(float), 1e-4))
    far = _scores(sharpness, labels, usable & (facts["contrast"] >= 0.01), 0.2) < -_FAR
    return np.asarray(far & (facts["sharpness"] < 0.02))


def _is_grey(facts: Any, labels: Any, usable: Mask) -> Mask:
    grey = facts["saturation"] < 0.004
    odd = np.zeros(len(grey), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(usable & (labels == label))
        if len(rows) >= _LEAST_IMAGES and 0 < grey[rows].mean() <= 0.1:
            odd[rows] = grey[rows]
    return odd


def _has_empty_channel(facts: Any, labels: Any, usable: Mask) -> Mask:
    spread = facts["spread"]
    return np.asarray((spread.min(1) < 0.002) & (spread.max(1) > 0.05))


_REMOVE_EMPTY = "look at them; remove those that show nothing"
# Code, severity, message, cure, and which images have it.
_APPEARANCES: tuple[tuple[str, Severity, str, str, Callable[[Any, Any, Mask], Mask]], ...] = (
    (
        "flat",
        "warning",
        "with almost nothing in it: all pixels are nearly the same",
        "look at them; remove them",
        _is_flat,
    ),
    (
        "empty-channel",
        "warning",
        "with a colour channel that is constant",
        "look at them",
        _has_empty_channel,
    ),
    ("dark", "note", "far darker than others of the class", _REMOVE_EMPTY, _is_dark),
    (
        "bright",
        "note",
        "far brighter than others of the class",
        _REMOVE_EMPTY,
        _is_bright,
    ),
    (
        "blurred",
        "note",
        "far less sharp than others of the class",
        _REMOVE_EMPTY,
        _is_blurred,
    ),
    ("grey", "note", "without colour, unlike 90 % of the class", "nothing to do if that is intended", _is_grey),
)
_SHOWN = {"dark": "brightness", "bright": "brightness", "flat": "contrast", "blurred": "sharpness"}


def find_odd_appearance(subject: Subject) -> list[Finding]:
    """Images that look unlike others of their class, most odd first."""
    samples, findings = subject.samples, []
    # Images that are dark because their range was not given are reported by find_narrow_range.
    facts, usable = samples.facts, samples.is_ok & (samples.widths > 0) & ~is_narrow(samples.facts)
    if not usable.any():
        return []
    taken = np.zeros(len(samples), bool)  # an image is reported once: a flat one may be dark as well
    for code, severity, what, cure, holds in _APPEARANCES:
        found = holds(facts, samples.labels, usable) & usable & ~taken
        taken |= found
        rows = np.flatnonzero(found)
        if not len(rows):
            continue
        notes = None
        if code in _SHOWN:
            values = facts[_SHOWN[code]]
            rows = rows[np.argsort(-values[rows] if code == "bright" else values[rows], kind="stable")]
            notes = [f"{_SHOWN[code]} {values[row]:.3f}" for row in rows]
        findings.append(
            Finding(code, severity, f"{count_of(len(rows), 'image')} {what}", subject.cases(rows, notes), cure)
        )
    return findings
