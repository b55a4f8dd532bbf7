"""Findings about copies, near-duplicates and versions: repeated, under two labels, on both sides of a given split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Finding, Severity
from sightline.checks.subject import Subject
from sightline.data.duplicates import describe_uncompared
from sightline.data.fixes import Fix
from sightline.data.samples import Samples
from sightline.data.split import find_twins, find_units
from sightline.text import count_of

__all__ = [
    "find_conflicts",
    "find_copies",
    "find_doubtful_pairs",
    "find_leaks",
    "find_near_conflicts",
    "find_near_copies",
    "find_uncompared",
    "find_versions",
]

_MUCH = 0.5  # of a part: without it, little is left to measure on
_MANY = 0.1  # of all images: then metrics rest on clearly fewer originals than images
_MOST = 20  # copies of one image that a case lists
Rows = npt.NDArray[np.intp]


def _copies(samples: Samples) -> Iterator[Rows]:
    """Yield the positions of identical files, one array for each content that occurs more than once."""
    known = np.flatnonzero(samples.digests != "")
    if not len(known):
        return
    order = known[np.argsort(samples.digests[known], kind="stable")]
    digests = samples.digests[order]
    edges = np.flatnonzero(digests[1:] != digests[:-1]) + 1
    yield from (rows for rows in np.split(order, edges) if len(rows) > 1)


def _near(samples: Samples, pairs: Rows) -> Iterator[Rows]:
    """Yield the positions of each pair with the copies of both, at most ``_MOST`` of each."""
    copies: dict[str, list[int]] = {}
    for row in np.flatnonzero(samples.digests != ""):
        copies.setdefault(samples.digests[row], []).append(int(row))
    for one, other in samples.digests[pairs].tolist():
        yield np.array(copies[one][:_MOST] + copies[other][:_MOST], np.intp)


def _is_split_over_labels(samples: Samples, rows: Rows) -> bool:
    return len(set(samples.labels[rows])) > 1


def _is_within(subject: Subject, rows: Rows) -> bool:
    """Tell whether images have one label and are in one part: otherwise they are a conflict or a leak."""
    return not _is_split_over_labels(subject.samples, rows) and len(set(subject.split.parts[rows]) - {""}) < 2


def _names(subject: Subject, groups: list[Rows]) -> list[str]:
    """Return the class names of each group of rows, where there are several."""
    names = [sorted({subject.label(row) for row in rows}) for rows in groups]
    return [" and ".join(those) if len(those) > 1 else "" for those in names]


def find_conflicts(subject: Subject) -> list[Finding]:
    """One file under two labels: at least one of them is wrong."""
    samples = subject.samples
    groups = [rows for rows in _copies(samples) if _is_split_over_labels(samples, rows)]
    if not groups:
        return []
    fixes = tuple(
        Fix(str(samples.paths[row]), "exclude", reason=f"the same file is labelled {names}")
        for rows, names in zip(groups, _names(subject, groups), strict=True)
        for row in rows
    )
    message = f"{count_of(len(groups), 'image')} with two labels"
    cases = subject.cases_together(groups, _names(subject, groups))
    return [
        Finding("label-conflict", "error", message, cases, "keep each under its correct label only", fixes),
    ]


def find_near_conflicts(subject: Subject) -> list[Finding]:
    """One image in two files under two labels."""
    groups = [
        rows for rows in _near(subject.samples, subject.samples.near) if _is_split_over_labels(subject.samples, rows)
    ]
    if not groups:
        return []
    message = f"{count_of(len(groups), 'pair')} of near-duplicates with different labels"
    cases = subject.cases_together(groups, _names(subject, groups))
    cure = "look at each pair; give both the correct label, or keep one"
    return [Finding("near-conflict", "warning", message, cases, cure)]


def find_copies(subject: Subject) -> list[Finding]:
    """The same file several times under one label; copies are kept on one side of the split."""
    samples = subject.samples
    groups = [rows for rows in _copies(samples) if _is_within(subject, rows)]
    if not groups:
        return []
    surplus = [(row, rows[0]) for rows in groups for row in rows[1:]]
    fixes = tuple(
        Fix(str(samples.paths[row]), "exclude", reason=f"a copy of {samples.paths[first]}") for row, first in surplus
    )
    return [
        Finding(
            "copies",
            "note",
            f"{count_of(len(surplus), 'image')} identical to another file of the class",
            subject.cases_together(groups),
            "remove the copies; a split that Sightline draws keeps them on one side",
            fixes,
        )
    ]


def find_near_copies(subject: Subject) -> list[Finding]:
    """One image in several files under one label: resized, saved again, mirrored, slightly cropped."""
    groups = [rows for rows in _near(subject.samples, subject.samples.near) if _is_within(subject, rows)]
    if not groups:
        return []
    return [
        Finding(
            "near-copies",
            "note",
            f"{count_of(len(groups), 'pair')} of near-duplicates in one class",
            subject.cases_together(groups),
            "nothing to do: a split that Sightline draws keeps them on one side; remove them if they add nothing",
        )
    ]


def find_doubtful_pairs(subject: Subject) -> list[Finding]:
    """Pairs that may be one image: outlines are alike, and details don't show whether they are the same."""
    groups = list(_near(subject.samples, subject.samples.doubtful))
    if not groups:
        return []
    message = f"{count_of(len(groups), 'pair')} alike in outline, not in detail: one image, or two things of one shape?"
    cases = subject.cases_together(groups, _names(subject, groups))
    cure = "look at each: they count as two images; if it is one, put both into one group (train --fixes), or keep one"
    return [Finding("near-question", "note", message, cases, cure)]


def find_uncompared(subject: Subject) -> list[Finding]:
    """Pairs that may be near-duplicates, and that a time limit left no time to compare."""
    if not subject.samples.uncompared[0]:
        return []
    message, cure = describe_uncompared(subject.samples, subject.options)
    return [Finding("near-unsearched", "note", message, (), cure)]  # a training has warned of it by then


def find_versions(subject: Subject) -> list[Finding]:
    """Versions of one original: turned, shifted, zoomed, mirrored or recoloured; or shots of one scene in a row."""
    samples = subject.samples
    units = [rows for rows in _originals(samples) if len(set(samples.digests[rows])) > 1]
    if not units:
        return []
    groups = [rows[:_MOST] for rows in units]
    fixes = tuple(
        Fix(str(samples.paths[row]), "group", f"original-{number}", "versions of one original")
        for number, rows in enumerate(units, 1)
        if not any(samples.groups[rows])
        for row in rows
    )
    images = sum(map(len, units))
    severity: Severity = "warning" if images > _MANY * len(samples) else "note"
    originals = count_of(len(units), "original")
    message = f"{count_of(images, 'image')} show {originals}, turned, shifted, zoomed, mirrored or recoloured"
    drawn = "a split that Sightline draws keeps them on one side, and intervals count each original once"
    torn = bool((samples.given != "").any()) and any(len(set(subject.split.parts[rows])) > 1 for rows in units)
    what = f"the given split separates them; {drawn}: {subject.training('--resplit')}"
    cure = f"{what if torn else f'nothing to do: {drawn}'}; augment after the split, not before"
    cases = subject.cases_together(groups, _names(subject, groups))
    return [Finding("versions", severity, message, cases, cure, fixes)]


def _originals(samples: Samples) -> list[Rows]:
    """Return the positions of the images of each original that has versions, with all copies, most images first."""
    joined = find_units(replace(samples, groups=np.full(len(samples), "", object)), np.arange(len(samples)))
    has_versions = np.zeros(len(samples), bool)
    has_versions[samples.versions.ravel()] = True
    return sorted((rows for rows in joined if has_versions[rows].any()), key=len, reverse=True)


def find_leaks(subject: Subject) -> list[Finding]:
    """Images of a given part that are also in an earlier one; the headline metric leaves them out."""
    samples, split, findings = subject.samples, subject.split, []
    for part, earlier in (("test", "train or val"), ("val", "train")):
        twins = find_twins(samples, split.parts, part)
        exact = find_twins(samples, split.parts, part, samples.near[:0])
        near = find_twins(samples, split.parts, part, samples.near)
        left_out = "; the headline metric leaves them out already" if part == split.headline else ""
        for code, rows, how in (
            ("leak", sorted(exact), "with an identical file in"),
            ("near-leak", sorted(set(near) - set(exact)), "with a near-duplicate in"),
            ("version-leak", sorted(set(twins) - set(near)), "with a version of the same original in"),
        ):
            if not rows:
                continue
            groups = [np.array([row, *twins[row][:_MOST]]) for row in rows]
            fixes = tuple(
                Fix(str(samples.paths[row]), "exclude", reason=f"is also in {earlier}: {samples.paths[twin]}")
                for row, twin in ((group[0], group[1]) for group in groups)
            )
            message = f"{count_of(len(rows), f'{part} image')} {how} {earlier}"
            cases = subject.cases_together(groups, _names(subject, groups))
            cure = f"remove them from {part}{left_out}"
            if len(rows) > _MUCH * len(split.rows(part)):
                cure = f"little of {part} is left without them{left_out}; draw a split: {subject.training('--resplit')}"
            findings.append(Finding(code, "error", message, cases, cure, fixes))
    return findings
