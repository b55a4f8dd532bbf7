"""Findings about copies of one file: repeated, under two labels, on both sides of a given split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Case, Finding
from sightline.data.samples import Samples
from sightline.data.split import Split, find_leaked

__all__ = ["find_conflicts", "find_copies", "find_leaks"]


def _copies(samples: Samples) -> Iterator[npt.NDArray[np.intp]]:
    """Yield arrays of the positions of one content that occurs more than once."""
    known = np.flatnonzero(samples.digests != "")
    if not len(known):
        return
    order = known[np.argsort(samples.digests[known], kind="stable")]
    digests = samples.digests[order]
    edges = np.flatnonzero(digests[1:] != digests[:-1]) + 1
    yield from (rows for rows in np.split(order, edges) if len(rows) > 1)


def _cases(samples: Samples, groups: list[npt.NDArray[np.intp]]) -> tuple[Case, ...]:
    return tuple(Case(tuple(str(samples.paths[row]) for row in rows)) for rows in groups)


def find_conflicts(samples: Samples, split: Split) -> list[Finding]:
    """One file under two labels: at least one of them is wrong."""
    groups = [rows for rows in _copies(samples) if len(set(samples.labels[rows])) > 1]
    if not groups:
        return []
    return [
        Finding(
            "label-conflict",
            "error",
            f"{len(groups):,} image(s) stand under two labels",
            _cases(samples, groups),
            "keep each under its right label only",
        )
    ]


def find_copies(samples: Samples, split: Split) -> list[Finding]:
    """The same file several times under one label; copies are kept on one side of the split."""
    groups = [rows for rows in _copies(samples) if len(set(samples.labels[rows])) == 1]
    if not groups:
        return []
    extra = sum(len(rows) - 1 for rows in groups)
    return [
        Finding(
            "copies",
            "note",
            f"{extra:,} image(s) are exact copies of others of their class",
            _cases(samples, groups),
            "remove the copies; until then they are kept on one side of a drawn split",
        )
    ]


def find_leaks(samples: Samples, split: Split) -> list[Finding]:
    """Images of a given part that stand in an earlier one too; the headline figure leaves them out."""
    findings = []
    for part, earlier in (("test", "train or val"), ("val", "train")):
        rows = np.flatnonzero(find_leaked(samples, split.parts, part))
        if len(rows):
            message = f"{len(rows):,} {part} image(s) stand in {earlier} too"
            cases = tuple(Case((str(samples.paths[row]),)) for row in rows)
            left_out = "; the headline figure leaves them out already" if part == split.headline else ""
            findings.append(Finding("leak", "error", message, cases, f"remove them from {part}{left_out}"))
    return findings
