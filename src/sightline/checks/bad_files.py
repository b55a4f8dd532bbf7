"""Findings about files: unreadable, skipped, with the wrong extension, or unusual inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Case, Finding, Severity
from sightline.checks.subject import Subject
from sightline.data.fixes import EXCLUDED, Fix
from sightline.data.folders import FOREIGN
from sightline.data.found import REPEATED, REPEATED_OTHERWISE
from sightline.data.inspect import MAX_BAD_SHARE, has_too_many_bad
from sightline.data.links import FOLLOW, LEADS_OUT
from sightline.data.missing_paths import explain_missing
from sightline.pixels.decode import REMARKS
from sightline.text import count_of

__all__ = [
    "find_narrow_range",
    "find_oddities",
    "find_other_formats",
    "find_skipped",
    "find_unreadable",
    "find_wrong_extensions",
    "is_narrow",
]

_SHOWN = 4  # classes that a message names

# The format that an extension stands for; other extensions are not checked.
_ENDINGS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".avif": "AVIF",
}


def find_unreadable(subject: Subject) -> list[Finding]:
    """Images that can't be read; they are left out of training, and counted in every report."""
    errors = subject.samples.errors
    if not errors:
        return []
    rows = sorted(errors)
    first = f"{subject.samples.paths[rows[0]]}: {errors[rows[0]]}"
    stops = (
        f"; training stops because more than {MAX_BAD_SHARE:.0%} are unreadable"
        if has_too_many_bad(subject.samples)
        else ""
    )
    why, how = explain_missing(subject.samples)
    if how:
        return [_missing(subject, why, how)]
    return [
        Finding(
            "unreadable",
            "error",
            f"{count_of(len(rows), 'image')} can't be read, for example {first}",
            subject.cases(rows, (errors[row] for row in rows)),
            f"replace or remove them; until then they are left out{stops}",
            tuple(Fix(str(subject.samples.paths[row]), "exclude", reason=errors[row]) for row in rows),
        )
    ]


def _missing(subject: Subject, why: str, how: str) -> Finding:
    """Return the finding for paths that lead nowhere for one reason; no fix leaves such images out."""
    samples = subject.samples
    rows = sorted(samples.errors)
    of = f"of the {count_of(len(samples), 'path')}"
    count = f"none {of} exists" if len(rows) == len(samples) else f"{len(rows):,} {of} can't be read"
    message = f"{count}, for example {samples.paths[rows[0]]}{f': {why}' if why else ''}"
    return Finding("unreadable", "error", message, subject.cases(rows, (samples.errors[row] for row in rows)), how)


# Cures of what is skipped, by how the reason begins; the others are moved or converted.
_SKIP_CURES = (
    (EXCLUDED, "nothing to do; to use them again, delete their lines"),
    (LEADS_OUT, FOLLOW),
    ("left out by", "nothing to do if that is intended; otherwise give another --skip"),
    ("written by", "nothing to do: what Sightline writes is never data"),
    ("a conflict copy", "compare each with the image that it is a copy of; rename what you want to use"),
    (REPEATED, "nothing to do if that is intended; to weigh rare classes: --set imbalance=balanced_sampling"),
    (REPEATED_OTHERWISE, "keep one line for each image"),
    ("not in ", "add a line for each, or nothing to do if that is intended"),
    ("unlabelled", "sort them into class folders, or give a table with the columns path and label"),
)


def find_skipped(subject: Subject) -> list[Finding]:
    """Files and folders that are not used as samples, by reason."""
    findings = []
    reported = {f"class {name!r} is not in train" for _, name, _ in subject.samples.extra_classes}  # by another finding
    for reason, count in subject.samples.skipped_counts().items():
        if reason in reported or reason.startswith(FOREIGN):
            continue
        paths = [path for path, why in subject.samples.skipped if why == reason]
        shown = f"{', '.join(paths[:2])}{' ...' if paths[2:] else ''}"
        is_usual = reason == "hidden" or reason.startswith(("not an image", "excluded", "left out", "written by"))
        severity: Severity = "note" if is_usual else "warning"
        usual = "nothing to do if that is intended; otherwise move or convert them"
        cure = next((cure for start, cure in _SKIP_CURES if reason.startswith(start)), usual)
        what = f"{count_of(count, 'image')} {reason}" if reason == EXCLUDED else f"{count:,} skipped: {reason}"
        findings.append(Finding.of_paths("skipped", severity, f"{what} ({shown})", paths, cure))
    return findings


def find_other_formats(subject: Subject) -> list[Finding]:
    """Images in formats that are not read, with their share of each class: a class may lack most of its images."""
    samples = subject.samples
    foreign = [(path, why.rpartition(": ")[2]) for path, why in samples.skipped if why.startswith(FOREIGN)]
    if not foreign:
        return []
    owners = _class_folders(subject)
    lost = Counter(_owner(path, owners) for path, _ in foreign)
    counts = samples.counts()
    rows = [(missing, missing + counts.get(name, 0), name) for name, missing in lost.items()]
    shares = [f"{missing:,} of {whole:,} of {name!r}" for missing, whole, name in sorted(rows, key=_by_share)]
    formats = ", ".join(sorted({name for _, name in foreign}))
    more = f" and of {count_of(len(shares) - _SHOWN, 'more folder')}" if len(shares) > _SHOWN else ""
    message = f"{count_of(len(foreign), 'image')} in formats that are not read ({formats}): "
    cases = tuple(Case((path,), name) for path, name in foreign)
    cure = "save them as PNG or JPEG beside the others, or they are no part of training and evaluation"
    return [Finding("other-format", "warning", message + ", ".join(shares[:_SHOWN]) + more, cases, cure)]


def _by_share(row: tuple[int, int, str]) -> tuple[float, str]:
    return -row[0] / row[1], row[2]


def _class_folders(subject: Subject) -> dict[str, str]:
    """Return folder -> class, of folders whose images are all of one class."""
    owners: dict[str, set[int]] = {}
    for path, label in zip(subject.samples.paths, subject.samples.labels.tolist(), strict=True):
        for folder in PurePosixPath(str(path)).parents:
            owners.setdefault(str(folder), set()).add(label)
    return {folder: subject.samples.classes[next(iter(own))] for folder, own in owners.items() if len(own) == 1}


def _owner(path: str, owners: dict[str, str]) -> str:
    """Return the class in whose folder a file lies, or else the name of its folder."""
    folders = PurePosixPath(path).parents
    return next((owners[str(folder)] for folder in folders if str(folder) in owners), folders[0].name)


def find_wrong_extensions(subject: Subject) -> list[Finding]:
    """Files whose extension stands for another format than their content; Sightline goes by the content."""
    samples = subject.samples
    odd = []
    for row, (path, form) in enumerate(zip(samples.paths, samples.facts["format"], strict=True)):
        promised = _ENDINGS.get(PurePosixPath(str(path)).suffix.lower())
        if form and promised and promised != form.decode():
            odd.append((row, f"{form.decode()}, named as {promised}"))
    if not odd:
        return []
    message = f"{count_of(len(odd), 'file')} with the extension of another format"
    cure = "nothing to do for Sightline, which goes by the content; rename them for tools that go by the extension"
    rows, notes = zip(*odd, strict=True)
    return [Finding("wrong-extension", "note", message, subject.cases(rows, notes), cure)]


# Unusual contents of readable files: code, severity, message, cure, and which rows of FACTS have it.
_ODDITIES: tuple[tuple[str, Severity, str, str, Callable[[Any], Any]], ...] = (
    (
        "checksum",
        "warning",
        "with a wrong checksum: the pixels may be damaged",
        "look at them; copy them again from the original source",
        lambda facts: facts["remark"] == b"checksum",
    ),
    (
        "cut-short",
        "warning",
        "in progressive JPEG without the last scans: cut short, or saved so; details are missing",
        "copy or download them again from the original source",
        lambda facts: facts["remark"] == b"cut-short",
    ),
    (
        "cmyk-no-adobe",
        "warning",
        "in CMYK JPEG without Adobe's marker: the colours may be inverted",
        "look at them; save them as RGB",
        lambda facts: facts["remark"] == b"cmyk-no-adobe",
    ),
    (
        "sixteen-bit",
        "note",
        "with more than 8 bits per channel, of which the high 8 are used",
        "nothing to do if they look right; otherwise give the values of black and white with --range LOW,HIGH",
        lambda facts: facts["remark"] == b"sixteen-bit",
    ),
    (
        "animation",
        "note",
        "in a file with several frames, of which the first is used",
        "nothing to do if the first is the right one; otherwise save the others as files",
        lambda facts: facts["frames"] > 1,
    ),
    (
        "sideways",
        "note",
        "stored rotated, with an EXIF orientation; Sightline turns them upright",
        "nothing to do for Sightline; many other tools ignore the orientation",
        lambda facts: facts["orientation"] > 1,
    ),
)
assert {code for code, *_ in _ODDITIES} >= set(REMARKS)


# The high 8 of 16 bits are at most 15 where only 12 bits are used; mean and two deviations stay below that.
_TWELVE_BITS = 16 / 255


def find_narrow_range(subject: Subject) -> list[Finding]:
    """16-bit images whose values use a small part of the range: nearly black when read, though the files are fine."""
    facts = subject.samples.facts
    rows = np.flatnonzero(is_narrow(facts))
    if not len(rows) or subject.value_range:
        return []
    highest = float((facts["brightness"][rows] + 2 * facts["contrast"][rows]).max()) * 65_535
    bits = next((bits for bits in (8, 10, 12) if highest < 2**bits), 12)
    message = f"{count_of(len(rows), '16-bit image')} with small values only: nearly black when read"
    cure = f"if the camera has {bits} bits, add --range 0,{2**bits - 1} to check and train; do not remove the images"
    return [Finding("narrow-range", "warning", message, subject.cases(rows), cure)]


def is_narrow(facts: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return ``[N] bool``: images of more than 8 bits that use a sixteenth of their range at most."""
    peak = facts["brightness"] + 2 * facts["contrast"]
    narrow: npt.NDArray[np.bool_] = (facts["remark"] == b"sixteen-bit") & (peak < _TWELVE_BITS) & (facts["width"] > 0)
    return narrow


def find_oddities(subject: Subject) -> list[Finding]:
    """Readable files with something unusual that a person should know."""
    findings = []
    for code, severity, what, cure, holds in _ODDITIES:
        if code == "sixteen-bit" and subject.value_range:
            continue  # the user gave the range
        rows = np.flatnonzero(holds(subject.samples.facts))
        if len(rows):
            findings.append(
                Finding(code, severity, f"{count_of(len(rows), 'image')} {what}", subject.cases(rows), cure)
            )
    return findings
