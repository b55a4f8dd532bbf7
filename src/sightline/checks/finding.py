"""``Finding``: one thing that is wrong with the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["SEVERITIES", "Finding"]

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
