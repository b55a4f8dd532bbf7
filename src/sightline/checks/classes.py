"""Findings about classes: tiny, uneven, missing from a part or only there, names that are nearly the same."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

import numpy as np

from sightline.checks.finding import Finding
from sightline.checks.subject import Subject
from sightline.data.split import MIN_CLASS_SIZE
from sightline.text import count_of, nearest

__all__ = [
    "find_extra_classes",
    "find_merged_names",
    "find_missing_classes",
    "find_name_clashes",
    "find_tiny_classes",
    "find_unevenness",
]

_UNEVEN = 10


def find_tiny_classes(subject: Subject) -> list[Finding]:
    """Classes with fewer images than a split needs: they are used in training and not evaluated."""
    samples = subject.samples
    tiny = {name: count for name, count in samples.counts().items() if count < MIN_CLASS_SIZE}
    if not tiny:
        return []
    shown = ", ".join(f"{name!r} has {count}" for name, count in list(tiny.items())[:5])
    rows = [row for row, label in enumerate(samples.labels) if samples.classes[label] in tiny]
    return [
        Finding(
            "tiny-class",
            "warning",
            f"too few images to evaluate: class {shown}{' ...' if len(tiny) > 5 else ''}",
            subject.cases(rows),
            f"add images (at least {MIN_CLASS_SIZE}, ideally 100) or remove the class; "
            "until then all its images are used for training",
        )
    ]


def find_unevenness(subject: Subject) -> list[Finding]:
    """The largest class is ten times the smallest, or more: accuracy alone is misleading."""
    counts = {name: count for name, count in subject.samples.counts().items() if count}
    small, large = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[large] < _UNEVEN * counts[small]:
        return []
    message = f"classes are uneven: {large!r} has {counts[large]:,} images, {small!r} {counts[small]:,}"
    return [
        Finding(
            "uneven-classes", "warning", message, (), "judge by macro F1 and the per-class table, not by accuracy alone"
        )
    ]


def find_missing_classes(subject: Subject) -> list[Finding]:
    """Classes without an image in a given val or test part."""
    samples, findings = subject.samples, []
    for part in ("val", "test"):
        rows = np.flatnonzero(samples.given == part)
        missing = sorted(set(samples.classes) - {subject.label(row) for row in rows})
        if len(rows) and missing:
            shown = ", ".join(map(repr, missing[:5]))
            message = f"{count_of(len(missing), 'class')} without an image in {part}: {shown}"
            findings.append(Finding("missing-class", "warning", message, (), f"add images of them to {part}"))
    return findings


def find_extra_classes(subject: Subject) -> list[Finding]:
    """Classes of a given val or test part that train does not have; training refuses such data."""
    extra = subject.samples.extra_classes
    if not extra:
        return []
    shown = ", ".join(f"{name!r} in {part} ({count_of(count, 'image')})" for part, name, count in extra[:5])
    message = f"{count_of(len(extra), 'class')} without an image in train: {shown}{_renamed(subject)}"
    cure = "add images of them to train, remove them, or give the class folders the same names in every split"
    return [Finding("extra-class", "error", message, (), cure)]


def _renamed(subject: Subject) -> str:
    """Name the class that an extra one may be: one with a similar name, or the only one missing from the part."""
    samples = subject.samples
    for _, name, _ in samples.extra_classes:
        near = nearest(name, samples.classes, cutoff=0.7)
        if near:
            return f"; perhaps {name!r} is {near[0]!r}"
    for part in sorted({part for part, *_ in samples.extra_classes}):
        extra = [name for where, name, _ in samples.extra_classes if where == part]
        found = {subject.label(row) for row in np.flatnonzero(samples.given == part)}
        missing = [name for name in samples.classes if name not in found]
        if len(extra) == len(missing) == 1:
            return f"; perhaps {extra[0]!r} is {missing[0]!r}, which is missing from {part}"
    return ""


def _misspelt(counts: dict[str, int]) -> list[list[str]]:
    """Return (rare class, common class) whose names differ in one letter: shoess beside shoes."""
    found = []
    for rare, few in counts.items():
        common = [name for name, many in counts.items() if many >= 5 * max(1, few) and len(name) > 3]
        found += [[rare, name] for name in common if len(rare) > 3 and _differs_in_one_letter(rare, name)]
    return found


def _differs_in_one_letter(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1 or one == other:
        return False
    start = next((place for place, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short))
    return short[start + (len(short) == len(long)) :] == long[start + 1 :]


def find_name_clashes(subject: Subject) -> list[Finding]:
    """Class names that differ in case, spaces, dashes or Unicode form only: probably one class."""
    alike = defaultdict(set)
    for name in [*subject.samples.classes, *(name for _, name, _ in subject.samples.extra_classes)]:
        plain = unicodedata.normalize("NFKC", name).casefold()
        alike["".join(letter for letter in plain if letter.isalnum()) or plain].add(name)
    clashes = [sorted(names) for names in alike.values() if len(names) > 1]
    clashes += _misspelt(subject.samples.counts())
    if not clashes:
        return []
    shown = "; ".join(" and ".join(map(repr, names)) for names in clashes[:3])
    message = f"class names that are nearly the same: {shown}"
    return [Finding("class-name-clash", "warning", message, (), "use one name for each class")]


def find_merged_names(subject: Subject) -> list[Finding]:
    """Classes written in several ways that count as one: with blanks around the name, or in two Unicode forms."""
    ways = defaultdict(list)
    for name, word, count in subject.samples.spellings:
        form = "" if unicodedata.is_normalized("NFC", word) else ", decomposed letters"
        ways[name].append(f"{word!r} ({count_of(count, 'image')}{form})")
    if not ways:
        return []
    shown = "; ".join(" and ".join(words) for words in list(ways.values())[:3])
    message = f"{count_of(len(ways), 'class')} written in several ways that count as one: {shown}"
    cure = "nothing to do if they are one class; otherwise rename one, so that more than blanks or accents differ"
    return [Finding("merged-names", "warning", message, (), cure)]
