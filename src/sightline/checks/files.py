"""Findings about files: unreadable, skipped."""

from __future__ import annotations

from sightline.checks.finding import Case, Finding
from sightline.data.samples import Samples
from sightline.data.split import Split

__all__ = ["find_skipped", "find_unreadable"]


def find_unreadable(samples: Samples, split: Split) -> list[Finding]:
    """Images that can't be read; they are left out of training and counted everywhere."""
    if not samples.errors:
        return []
    rows = sorted(samples.errors)
    first = f"{samples.paths[rows[0]]}: {samples.errors[rows[0]]}"
    return [
        Finding(
            "unreadable",
            "error",
            f"{len(rows):,} image(s) can't be read, for example {first}",
            tuple(Case((str(samples.paths[row]),), samples.errors[row]) for row in rows),
            "replace or remove them; they are never used and never replaced by another image",
        )
    ]


def find_skipped(samples: Samples, split: Split) -> list[Finding]:
    """Files and folders that are no samples, by reason."""
    findings = []
    for reason, count in samples.skipped_counts().items():
        cases = tuple(Case((path,)) for path, why in samples.skipped if why == reason)
        severity = "note" if reason == "hidden" or reason.startswith("not an image") else "warning"
        cure = "nothing to do if that is right; otherwise move or convert them"
        findings.append(Finding("skipped", severity, f"{count:,} skipped: {reason}", cases, cure))  # type: ignore[arg-type]
    return findings
