"""Findings about classes: tiny, uneven, missing from a part, names that differ in case only."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from sightline.checks.finding import Case, Finding
from sightline.data.samples import Samples
from sightline.data.split import MIN_CLASS_SIZE, Split

__all__ = ["find_case_clashes", "find_missing_classes", "find_tiny_classes", "find_unevenness"]

_UNEVEN = 10


def find_tiny_classes(samples: Samples, split: Split) -> list[Finding]:
    """Classes with fewer images than a split needs: they are trained on and not measured."""
    tiny = {name: count for name, count in samples.counts().items() if count < MIN_CLASS_SIZE}
    if not tiny:
        return []
    shown = ", ".join(f"{name!r} has {count}" for name, count in list(tiny.items())[:5])
    cases = tuple(
        Case((str(path),))
        for path, label in zip(samples.paths, samples.labels, strict=True)
        if samples.classes[label] in tiny
    )
    return [
        Finding(
            "tiny-class",
            "warning",
            f"too few images to measure: class {shown}{' ...' if len(tiny) > 5 else ''}",
            cases,
            f"add images (at least {MIN_CLASS_SIZE}, better 100) or remove the class; "
            "until then all its images are used for training",
        )
    ]


def find_unevenness(samples: Samples, split: Split) -> list[Finding]:
    """The largest class is ten times the smallest, or more: accuracy alone says little."""
    counts = {name: count for name, count in samples.counts().items() if count}
    small, large = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[large] < _UNEVEN * counts[small]:
        return []
    message = f"classes are uneven: {large!r} has {counts[large]:,} images, {small!r} {counts[small]:,}"
    return [
        Finding(
            "uneven-classes",
            "warning",
            message,
            (),
            "look at macro F1 and the per-class table, not at accuracy alone",
        )
    ]


def find_missing_classes(samples: Samples, split: Split) -> list[Finding]:
    """Classes without an image in a given val or test part."""
    findings = []
    for part in ("val", "test"):
        rows = np.flatnonzero(samples.given == part)
        missing = sorted(set(samples.classes) - {samples.classes[label] for label in samples.labels[rows]})
        if len(rows) and missing:
            shown = ", ".join(map(repr, missing[:5]))
            message = f"{len(missing)} class(es) have no image in {part}: {shown}"
            findings.append(Finding("missing-class", "warning", message, (), f"add images of them to {part}"))
    return findings


def find_case_clashes(samples: Samples, split: Split) -> list[Finding]:
    """Class names that differ in upper and lower case or spaces only: probably one class."""
    alike = defaultdict(list)
    for name in samples.classes:
        alike["".join(name.casefold().split())].append(name)
    clashes = [names for names in alike.values() if len(names) > 1]
    if not clashes:
        return []
    shown = "; ".join(" and ".join(map(repr, names)) for names in clashes[:3])
    return [
        Finding(
            "class-name-clash",
            "warning",
            f"class names that look alike: {shown}",
            (),
            "give one class one name",
        )
    ]
