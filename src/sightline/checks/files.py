"""Findings about files: unreadable, skipped, named for another format, odd inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from sightline.checks.finding import Finding, Severity
from sightline.checks.subject import Subject
from sightline.data.fixes import Fix
from sightline.data.inspect import MAX_BAD_SHARE, has_too_many_bad
from sightline.pixels.decode import REMARKS
from sightline.text import count_of

__all__ = ["find_oddities", "find_skipped", "find_unreadable", "find_wrong_extensions"]

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
        "if they look dark, their numbers fill a part of the range (12-bit cameras, X-rays): give --range LOW,HIGH",
        lambda facts: facts["remark"] == b"sixteen-bit",
    ),
    (
        "animation",
        "note",
        "with several pictures inside, of which the first is used",
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


def find_oddities(subject: Subject) -> list[Finding]:
    """Files that can be read and have something about them that a person should know."""
    findings = []
    for code, severity, what, cure, holds in _ODDITIES:
        rows = np.flatnonzero(holds(subject.samples.facts))
        if len(rows):
            findings.append(
                Finding(code, severity, f"{count_of(len(rows), 'image')} {what}", subject.cases(rows), cure)
            )
    return findings
