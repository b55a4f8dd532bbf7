"""Findings about files: unreadable, skipped, named for another format, odd inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from sightline.checks.finding import Finding, Severity
from sightline.checks.subject import Subject
from sightline.data.fixes import EXCLUDED, Fix
from sightline.data.inspect import MAX_BAD_SHARE, has_too_many_bad
from sightline.pixels.decode import REMARKS
from sightline.text import count_of

__all__ = [
    "find_narrow_range",
    "find_oddities",
    "find_skipped",
    "find_unreadable",
    "find_wrong_extensions",
    "is_narrow",
]

# What a file's ending promises; other endings promise nothing.
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
    """Images that can't be read; they are left out of training and counted everywhere."""
    errors = subject.samples.errors
    if not errors:
        return []
    rows = sorted(errors)
    first = f"{subject.samples.paths[rows[0]]}: {errors[rows[0]]}"
    stops = f"; above {MAX_BAD_SHARE:.0%}, as here, training stops" if has_too_many_bad(subject.samples) else ""
    if len(errors) == len(subject.samples) and set(errors.values()) == {"no such file"}:
        return [_none_exists(subject, first)]
    return [
        Finding(
            "unreadable",
            "error",
            f"{count_of(len(rows), 'image')} that can't be read, for example {first}",
            subject.cases(rows, (errors[row] for row in rows)),
            f"replace or remove them; they are never used and never replaced by another image{stops}",
            tuple(Fix(str(subject.samples.paths[row]), "exclude", reason=errors[row]) for row in rows),
        )
    ]


def _none_exists(subject: Subject, first: str) -> Finding:
    message = f"none of the {count_of(len(subject.samples), 'path')} exists, for example {first}"
    cure = f"paths of a table are relative to the table, in {subject.samples.root}: move it beside the images"
    return Finding("unreadable", "error", message, subject.cases(sorted(subject.samples.errors)), cure)


def find_skipped(subject: Subject) -> list[Finding]:
    """Files and folders that are no samples, by reason."""
    findings = []
    told = {f"class {name!r} is not in train" for _, name, _ in subject.samples.extra_classes}  # by another finding
    for reason, count in subject.samples.skipped_counts().items():
        if reason in told:
            continue
        paths = [path for path, why in subject.samples.skipped if why == reason]
        shown = f"{', '.join(paths[:2])}{' ...' if paths[2:] else ''}"
        is_usual = reason == "hidden" or reason.startswith(("not an image", "excluded"))
        severity: Severity = "note" if is_usual else "warning"
        cure = "nothing to do if that is right; otherwise move or convert them"
        if reason == EXCLUDED:
            cure = "nothing to do; to use them again, delete their lines"
        findings.append(Finding.of_paths("skipped", severity, f"{count:,} skipped: {reason} ({shown})", paths, cure))
    return findings


def find_wrong_extensions(subject: Subject) -> list[Finding]:
    """Files whose ending names another format than their content; the content is what counts here."""
    samples = subject.samples
    odd = []
    for row, (path, form) in enumerate(zip(samples.paths, samples.facts["format"], strict=True)):
        promised = _ENDINGS.get(PurePosixPath(str(path)).suffix.lower())
        if form and promised and promised != form.decode():
            odd.append((row, f"is {form.decode()}, named {promised}"))
    if not odd:
        return []
    message = f"{count_of(len(odd), 'file')} with the ending of another format"
    cure = "nothing to do for Sightline, which reads by content; rename them for tools that go by the name"
    rows, notes = zip(*odd, strict=True)
    return [Finding("wrong-extension", "note", message, subject.cases(rows, notes), cure)]


# What is odd inside files that can be read: code, severity, what is said, the cure, which rows of FACTS it holds for.
_ODDITIES: tuple[tuple[str, Severity, str, str, Callable[[Any], Any]], ...] = (
    (
        "checksum",
        "warning",
        "with a wrong checksum: the pixels may be damaged",
        "look at them; copy them again from where they came from",
        lambda facts: facts["remark"] == b"checksum",
    ),
    (
        "cmyk-no-adobe",
        "warning",
        "as CMYK JPEG without Adobe's marker: the colours may be meant the other way round",
        "look at them; save them as RGB",
        lambda facts: facts["remark"] == b"cmyk-no-adobe",
    ),
    (
        "sixteen-bit",
        "note",
        "of more than 8 bits a channel, of which the high 8 are used",
        "nothing to do if they look right; --range LOW,HIGH says which numbers are black and white",
        lambda facts: facts["remark"] == b"sixteen-bit",
    ),
    (
        "animation",
        "note",
        "with several images inside, of which the first is used",
        "nothing to do if the first is right; otherwise save the others as files",
        lambda facts: facts["frames"] > 1,
    ),
    (
        "sideways",
        "note",
        "stored turned, with a mark that says so (EXIF), and turned upright here",
        "nothing to do for Sightline; many other tools read them sideways",
        lambda facts: facts["orientation"] > 1,
    ),
)
assert {code for code, *_ in _ODDITIES} >= set(REMARKS)


# The high 8 of 16 bits are at most 15 where only 12 bits are used; mean and two deviations stay below that.
_TWELVE_BITS = 16 / 255


def find_narrow_range(subject: Subject) -> list[Finding]:
    """Images of 16 bits whose numbers fill a small part of the range: nearly black, though nothing is wrong."""
    facts = subject.samples.facts
    rows = np.flatnonzero(is_narrow(facts))
    if not len(rows) or subject.value_range:
        return []
    highest = float((facts["brightness"][rows] + 2 * facts["contrast"][rows]).max()) * 65_535
    bits = next((bits for bits in (8, 10, 12) if highest < 2**bits), 12)
    message = f"{count_of(len(rows), 'image')} of 16 bits with small numbers only: all but black as they are read"
    cure = f"if the camera has {bits} bits, type --range 0,{2**bits - 1} for check and train; do not remove them"
    return [Finding("narrow-range", "warning", message, subject.cases(rows), cure)]


def is_narrow(facts: Any) -> Any:
    """Return ``[N] bool``: images of more than 8 bits that use a sixteenth of their range at most."""
    peak = facts["brightness"] + 2 * facts["contrast"]
    return (facts["remark"] == b"sixteen-bit") & (peak < _TWELVE_BITS) & (facts["width"] > 0)


def find_oddities(subject: Subject) -> list[Finding]:
    """Files that can be read and have something about them that a person should know."""
    findings = []
    for code, severity, what, cure, holds in _ODDITIES:
        if code == "sixteen-bit" and subject.value_range:
            continue  # what their numbers mean was said
        rows = np.flatnonzero(holds(subject.samples.facts))
        if len(rows):
            findings.append(
                Finding(code, severity, f"{count_of(len(rows), 'image')} {what}", subject.cases(rows), cure)
            )
    return findings
