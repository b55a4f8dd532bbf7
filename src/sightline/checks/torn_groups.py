"""Findings about groups: images that belong together and that a split may separate."""

from __future__ import annotations

import shlex

import numpy as np

from sightline.checks.finding import Case, Finding
from sightline.checks.subject import Subject
from sightline.data.groups import assign_groups, suggest_groups
from sightline.data.split import find_torn
from sightline.text import count_of

__all__ = ["find_group_patterns", "find_torn_groups"]


def find_group_patterns(subject: Subject) -> list[Finding]:
    """Names that look like several images of one patient, film or place, where no groups are given."""
    samples = subject.samples
    if any(samples.groups):
        return []
    found = suggest_groups([str(path) for path in samples.paths])
    if found is None:
        return []
    parts = subject.split.parts
    torn = len(find_torn(assign_groups(samples, found.pattern).groups, parts))
    message = (
        f"file names look like groups: {count_of(found.images, 'image')} in {count_of(found.groups, 'group')} "
        f"such as {found.example!r}" + (f"; the split separates {torn:,} of these groups" if torn else "")
    )
    without = "give the images without their split, and type " if any(samples.given) else ""
    cure = (
        f"if the images of a group show the same patient, film or place, keep them on one side: {without}"
        f"sightline train {shlex.quote(samples.source)} --group {shlex.quote(found.pattern)}"
    )
    return [Finding("group-pattern", "warning" if torn else "note", message, (Case(found.members),), cure)]


def find_torn_groups(subject: Subject) -> list[Finding]:
    """Groups that a given split separates: some test images then resemble training images."""
    samples = subject.samples
    torn = find_torn(samples.groups, subject.split.parts)
    if not torn:
        return []
    cases = tuple(
        Case(tuple(str(path) for path in samples.paths[np.flatnonzero(samples.groups == group)[:5]]), group)
        for group in torn[:100]
    )
    groups = set(samples.groups) - {""}
    message = f"the given split separates {len(torn):,} of {count_of(len(groups), 'group')}"
    cure = "move each group to one part, or give the images without a split and let Sightline draw one"
    return [Finding("torn-groups", "error", message, cases, cure)]
