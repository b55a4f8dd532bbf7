"""All findings of a data set, worst first."""

from __future__ import annotations

from collections.abc import Callable

from sightline.checks.appearance import find_odd_appearance
from sightline.checks.bad_files import (
    find_narrow_range,
    find_oddities,
    find_other_formats,
    find_skipped,
    find_unreadable,
    find_wrong_extensions,
)
from sightline.checks.classes import (
    find_extra_classes,
    find_merged_names,
    find_missing_classes,
    find_name_clashes,
    find_tiny_classes,
    find_unevenness,
)
from sightline.checks.copies import (
    find_conflicts,
    find_copies,
    find_doubtful_pairs,
    find_leaks,
    find_near_conflicts,
    find_near_copies,
    find_uncompared,
    find_versions,
)
from sightline.checks.finding import SEVERITIES, Finding, Findings
from sightline.checks.labels import find_label_problems
from sightline.checks.shapes import find_odd_aspects, find_odd_sizes
from sightline.checks.shortcuts import find_shortcuts
from sightline.checks.subject import Subject
from sightline.checks.torn_groups import find_coarse_groups, find_group_patterns, find_torn_groups

__all__ = ["CHECKS", "check_subject", "list_not_run"]

# A new finding is one function and one row; within a severity they are listed in this order.
CHECKS: tuple[Callable[[Subject], list[Finding]], ...] = (
    find_unreadable,
    find_extra_classes,
    find_leaks,
    find_torn_groups,
    find_coarse_groups,
    find_other_formats,
    find_conflicts,
    find_near_conflicts,
    find_label_problems,
    find_shortcuts,
    find_group_patterns,
    find_narrow_range,
    find_name_clashes,
    find_merged_names,
    find_tiny_classes,
    find_missing_classes,
    find_unevenness,
    find_odd_appearance,
    find_versions,
    find_copies,
    find_near_copies,
    find_doubtful_pairs,
    find_uncompared,
    find_odd_sizes,
    find_odd_aspects,
    find_wrong_extensions,
    find_oddities,
    find_skipped,
)


def check_subject(subject: Subject) -> Findings:
    """Return all findings, errors first."""
    found = [finding for check in CHECKS for finding in check(subject)]
    return Findings(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def list_not_run(subject: Subject) -> list[tuple[str, str]]:
    """Return (what was not checked, what to type to check it)."""
    if subject.embedding is not None:
        return []
    return [("probable label errors and outliers", "--embeddings MODEL (a run, or a pretrained network)")]
