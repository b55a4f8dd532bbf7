"""All findings of a data set, worst first."""

from __future__ import annotations

from collections.abc import Callable

from sightline.checks.classes import (
    find_case_clashes,
    find_missing_classes,
    find_tiny_classes,
    find_unevenness,
)
from sightline.checks.copies import find_conflicts, find_copies, find_leaks
from sightline.checks.files import find_skipped, find_unreadable
from sightline.checks.finding import SEVERITIES, Finding, Findings
from sightline.data.samples import Samples
from sightline.data.split import Split

__all__ = ["CHECKS", "check_samples"]

# A new finding is one function and one row.
CHECKS: tuple[Callable[[Samples, Split], list[Finding]], ...] = (
    find_unreadable,
    find_leaks,
    find_conflicts,
    find_tiny_classes,
    find_missing_classes,
    find_case_clashes,
    find_unevenness,
    find_copies,
    find_skipped,
)


def check_samples(samples: Samples, split: Split) -> Findings:
    """Return everything that is found wrong, errors first.

    Args:
        samples: inspected, so that sizes, contents and unreadable files are known.
        split: the split that training would use.
    """
    found = [finding for check in CHECKS for finding in check(samples, split)]
    return Findings(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))
