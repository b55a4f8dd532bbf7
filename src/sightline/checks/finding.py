"""``Finding``: one thing that is wrong with the data."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["SEVERITIES", "Finding", "Findings"]

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the data.

    Attributes:
        code: stable name.
        severity: ``error`` (figures would be wrong), ``warning`` (they may be), ``note`` (good to know).
        message: what is wrong, with the count.
        paths: the images concerned, relative to the data's root; all of them.
        cure: what to do about it.
    """

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    paths: tuple[str, ...]
    cure: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {**asdict(self), "paths": list(self.paths)}


class Findings(tuple[Finding, ...]):
    """Findings, worst first; a tuple that shows itself as a table in a notebook.

    Example:
        >>> Findings()
        Nothing wrong was found.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(f"{f.severity}[{f.code}]: {f.message}" for f in self) or "Nothing wrong was found."

    def _repr_html_(self) -> str:
        if not self:
            return "<p>Nothing wrong was found.</p>"
        head = "<tr><th>severity</th><th>finding</th><th>cure</th></tr>"
        cells = (f"<td>{f.severity}</td><td>{html.escape(f.message)}</td><td>{html.escape(f.cure)}</td>" for f in self)
        return f"<table>{head}{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
