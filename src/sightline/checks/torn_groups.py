"""Findings about groups: images that belong together and that a split may separate, and groups that are too coarse."""

from __future__ import annotations

from collections import Counter
from shlex import quote

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Case, Finding
from sightline.checks.subject import Subject
from sightline.data.groups import assign_groups, suggest_groups
from sightline.data.split import MIN_CLASS_SIZE, find_torn
from sightline.evaluation.likeness import compare_groups
from sightline.text import count_of

__all__ = ["find_coarse_groups", "find_group_patterns", "find_torn_groups"]

_LARGE = 0.2  # of a part in one group
_LEAST_PART = 10  # images of a part, below which every group is a large share


def find_group_patterns(subject: Subject) -> list[Finding]:
    """Names that look like several images of one patient, film or place, where no groups are given.

    Numbers in names may count anything. Where images of such a group are more alike than others of their class, that is
    a finding; else it is a question.
    """
    samples = subject.samples
    if any(samples.groups):
        return []
    found = suggest_groups([str(path) for path in samples.paths])
    if found is None:
        return []
    groups = assign_groups(samples, found.pattern).groups
    torn = len(find_torn(groups, subject.split.parts))
    counts = f"{count_of(found.images, 'image')} in {count_of(found.groups, 'group')} such as {found.example!r}"
    resplit = ["--resplit"] if any(samples.given) else []
    typed = subject.training("--group", quote(found.pattern), *resplit)
    cases = (Case(found.members),)
    if not _is_alike(subject, groups):
        message = (
            f"do file names tell what belongs together? They could: {counts}; but images of one are not clearly more "
            "alike than others of their class"
        )
        cure = f"only if such images show the same patient, film or place: {typed}"
        return [Finding("group-pattern", "note", message, cases, cure)]
    message = f"file names look like groups, and images of one are more alike than others: {counts}"
    message += f"; the split separates {torn:,} of these groups" if torn else ""
    cure = f"if the images of a group show the same patient, film or place, keep them on one side: {typed}"
    return [Finding("group-pattern", "warning" if torn else "note", message, cases, cure)]


def _is_alike(subject: Subject, groups: npt.NDArray[np.object_]) -> bool:
    """Whether images of one group are more alike than chance, by features or else by their signatures."""
    samples, embedding = subject.samples, subject.embedding
    features = samples.facts["signature"].astype(np.float32) if embedding is None else embedding.features
    rows = np.flatnonzero((groups != "") & np.isfinite(features).all(1))
    numbers = np.unique(groups[rows].astype(str), return_inverse=True)[1].astype(np.int64)
    likeness = compare_groups(features[rows], numbers, samples.labels[rows])
    return likeness is not None and likeness.is_clear


def find_coarse_groups(subject: Subject) -> list[Finding]:
    """Groups so large that a part holds little else, or that a class is in one part alone."""
    samples, split = subject.samples, subject.split
    if not any(samples.groups):
        return []
    findings = []
    cure = (
        "images of more groups say more, and --folds 5 tests each group once; where the rule joins what does not "
        "belong together, choose one that makes smaller groups"
    )
    drawn = [part for part in ("val", "test") if (split.parts == part).any() and not (samples.given == part).any()]
    for part in drawn:
        absent = [words for label in range(len(samples.classes)) if (words := _why_absent(subject, label, part))]
        if absent:
            message = (
                f"groups leave {count_of(len(absent), 'class')} without an image in {part}: {'; '.join(absent[:5])}"
            )
            findings.append(Finding("coarse-groups", "error", message, (), cure))
    for part in ("val", "test"):
        rows = split.rows(part)
        named = Counter(group for group in samples.groups[rows].tolist() if group)
        if len(rows) < _LEAST_PART or not named:
            continue
        large = [(group, count) for group, count in named.most_common() if count > _LARGE * len(rows)]
        if large:
            told = ", ".join(f"{group!r} is {count:,} of its {len(rows):,} images" for group, count in large[:3])
            message = f"few groups make up {part}, which says little about others: {told}"
            findings.append(Finding("coarse-groups", "warning", message, (), cure))
    return findings


def _why_absent(subject: Subject, label: int, part: str) -> str:
    """Return the sizes of a class that is large enough for a part and has no image there; empty where it has."""
    samples, split = subject.samples, subject.split
    own = (samples.labels == label) & samples.is_ok & (samples.given != "test") & (samples.given != "val")
    if own.sum() < MIN_CLASS_SIZE or (split.parts[samples.labels == label] == part).any():
        return ""
    count = len(set(samples.groups[own].tolist()) - {""})
    return f"{samples.classes[label]!r} has {count_of(int(own.sum()), 'image')} in {count_of(count, 'group')}"


def find_torn_groups(subject: Subject) -> list[Finding]:
    """Groups that a given split separates: some test images then resemble training images."""
    samples = subject.samples
    torn = find_torn(samples.groups, subject.split.parts)
    if not torn:
        return []
    cases = tuple(
        Case(tuple(str(path) for path in samples.paths[np.flatnonzero(samples.groups == group)]), group)
        for group in torn[:100]
    )
    groups = set(samples.groups) - {""}
    message = f"the given split separates {len(torn):,} of {count_of(len(groups), 'group')}"
    cure = f"draw a split that keeps groups together: {subject.training('--resplit')}; or move each group to one part"
    return [Finding("torn-groups", "error", message, cases, cure)]
