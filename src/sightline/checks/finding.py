"""``Finding``: one thing that is wrong with the data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sightline.data.fixes import Fix
from sightline.text import as_html

__all__ = ["CODES", "SEVERITIES", "Case", "Finding", "Findings", "Severity"]

Severity = Literal["error", "warning", "note"]
# Every code that a finding can have, for --fail-on and the docs; a test compares them with the checks.
CODES = (
    "unreadable",
    "no-split",
    "extra-class",
    "leak",
    "near-leak",
    "version-leak",
    "torn-groups",
    "coarse-groups",
    "other-format",
    "label-conflict",
    "near-conflict",
    "label-error",
    "shortcut",
    "group-pattern",
    "narrow-range",
    "tiny-class",
    "missing-class",
    "class-name-clash",
    "merged-names",
    "uneven-classes",
    "flat",
    "empty-channel",
    "dark",
    "bright",
    "blurred",
    "grey",
    "alike",
    "outlier",
    "versions",
    "copies",
    "near-copies",
    "near-question",
    "near-unsearched",
    "odd-size",
    "odd-aspect",
    "wrong-extension",
    "checksum",
    "cut-short",
    "cmyk-no-adobe",
    "sixteen-bit",
    "animation",
    "sideways",
    "skipped",
)
_NAMED = 4  # paths of one case that a line shows
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Case:
    """One place where a finding shows: an image, or images that belong together.

    Attributes:
        paths: the images, as the samples name them; empty where the finding is not about images.
        note: details (a reason, a value, two labels), or an empty string.
    """

    paths: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        more = f" = {len(self.paths) - _NAMED:,} more" if len(self.paths) > _NAMED else ""
        return ": ".join(filter(None, (" = ".join(self.paths[:_NAMED]) + more, self.note)))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the data.

    Attributes:
        code: stable name.
        severity: ``error`` (metrics would be wrong), ``warning`` (they may be), ``note`` (good to know).
        message: what is wrong, with the count.
        cases: where it shows; all of them, worst first.
        cure: what to do about it.
        fixes: proposed changes to single images.
    """

    code: str
    severity: Severity
    message: str
    cases: tuple[Case, ...]
    cure: str
    fixes: tuple[Fix, ...] = ()

    @classmethod
    def of_paths(cls, code: str, severity: Severity, message: str, paths: Iterable[str], cure: str) -> Finding:
        """Return a finding with one case a path."""
        return cls(code, severity, message, tuple(Case((path,)) for path in paths), cure)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "cases": [{"paths": list(case.paths), "note": case.note} for case in self.cases],
            "cure": self.cure,
            "fixes": [asdict(fix) for fix in self.fixes],
        }


class Findings(tuple[Finding, ...]):
    """Findings, worst first; a tuple that shows itself as a table in a notebook.

    Example:
        >>> Findings()
        No problems found.
    """

    __slots__ = ()

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """All proposals, of each image the one of the worst finding."""
        first: dict[tuple[str, bool], Fix] = {}  # an image may be relabelled and be in a group
        for finding in self:
            for fix in finding.fixes:
                first.setdefault((fix.path, fix.action == "group"), fix)
        return tuple(first.values())

    def __repr__(self) -> str:
        return "\n".join(f"{f.severity}[{f.code}]: {f.message}" for f in self) or "No problems found."

    def _repr_html_(self) -> str:
        if not self:
            return "<p>No problems found.</p>"
        head = "<tr><th>severity</th><th>finding</th><th>cure</th></tr>"
        cells = (f"<td>{f.severity}</td><td>{as_html(f.message)}</td><td>{as_html(f.cure)}</td>" for f in self)
        return f"<table>{head}{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
