"""Findings about unusual sizes and aspect ratios."""

from __future__ import annotations

import numpy as np

from sightline.checks.finding import Finding
from sightline.checks.subject import Subject
from sightline.text import count_of

__all__ = ["find_odd_aspects", "find_odd_sizes"]

_TIMES = 8  # how many times smaller or larger than the median counts as odd
_LONGEST = 4  # more than a crop can show: see pixels.preprocess
_LEAST_IMAGES = 20


def find_odd_sizes(subject: Subject) -> list[Finding]:
    """Images far smaller or larger than the others, and those with hardly any pixels at all."""
    samples = subject.samples
    sides = np.minimum(samples.widths, samples.heights)
    known = sides > 0
    if known.sum() < _LEAST_IMAGES:
        return []
    usual = float(np.median(sides[known]))
    rows = np.flatnonzero(known & ((sides * _TIMES < usual) | (sides > usual * _TIMES)))
    if not len(rows):
        return []
    rows = rows[np.argsort(sides[rows], kind="stable")]
    notes = [f"{samples.widths[row]}x{samples.heights[row]}" for row in rows]
    message = f"{count_of(len(rows), 'image')} over {_TIMES} times smaller or larger than the median of {usual:.0f} px"
    cure = "look at them: the small ones may be thumbnails or placeholders"
    return [Finding("odd-size", "note", message, subject.cases(rows, notes), cure)]


def find_odd_aspects(subject: Subject) -> list[Finding]:
    """Images that do not fit a square: more than four times as long as wide, unlike most."""
    samples = subject.samples
    long, short = np.maximum(samples.widths, samples.heights), np.minimum(samples.widths, samples.heights)
    aspect = long / np.maximum(short, 1)
    known = short > 0
    rows = np.flatnonzero(known & (aspect > _LONGEST))
    if not len(rows) or float(np.median(aspect[known])) > _LONGEST:
        return []
    rows = rows[np.argsort(-aspect[rows], kind="stable")]
    notes = [f"{samples.widths[row]}x{samples.heights[row]}" for row in rows]
    message = f"{count_of(len(rows), 'image')} more than {_LONGEST} times as long as wide"
    cure = "look at them: the square input shows only a part of them, or shows them very small"
    return [Finding("odd-aspect", "note", message, subject.cases(rows, notes), cure)]
