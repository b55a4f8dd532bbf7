"""The page of ``sightline check``: each finding with its images. A pure function of the visit's result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.checks.finding import Case, Finding
from sightline.data.samples import Samples
from sightline.pixels.modes import Range
from sightline.reporting.page import render_page
from sightline.reporting.thumbnails import Thumbnail, thumbnail

__all__ = ["render_check"]

_CASES = 12  # shown with images, a finding
_TOGETHER = 4  # images of one case
_LISTED = 200


def render_check(
    samples: Samples,
    findings: Sequence[Finding],
    not_run: Sequence[tuple[str, str]],
    value_range: Range | None = None,
    typed: Sequence[str] = (),
) -> str:
    """Return the page as HTML text.

    Args:
        samples: inspected; images are read again from where they lie.
        findings: worst first.
        not_run: (what was not looked for, what to type for it).
        value_range: (low, high) of 16-bit, 32-bit and float images.
        typed: the commands that come next.
    """
    row_of = {str(path): row for row, path in enumerate(samples.paths)}

    def cards(case: Case) -> dict[str, Any]:
        rows = [(path, row_of.get(path)) for path in case.paths[:_TOGETHER]]
        images = [
            {
                "path": path,
                "label": "" if row is None else samples.classes[samples.labels[row]],
                "thumbnail": Thumbnail() if row is None else thumbnail(samples.file(row), value_range),
            }
            for path, row in rows
        ]
        return {"note": case.note, "images": images, "more": len(case.paths) - len(images)}

    shown = [
        {
            "finding": finding,
            "cards": [cards(case) for case in finding.cases[:_CASES] if any(path in row_of for path in case.paths)],
            "listed": [str(case) for case in finding.cases[:_LISTED]],
            "more": max(0, len(finding.cases) - _LISTED),
        }
        for finding in findings
    ]
    return render_page(
        "check.html.jinja",
        source=samples.source,
        total=len(samples),
        bad=len(samples.errors),
        skipped=len(samples.skipped),
        counts=samples.counts(),
        findings=shown,
        not_run=not_run,
        typed=typed,
    )
