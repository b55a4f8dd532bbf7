"""``--require``: read before anything runs, checked at the end."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["check_requirements", "parse_requirements"]


def parse_requirements(texts: list[str] | None) -> None:
    """Raise ``InputError`` for a requirement that can't be read, before an hour is spent."""
    if texts:
        from sightline.evaluation.gate import parse_requirement

        for text in texts:
            parse_requirement(text)


def check_requirements(metrics: dict[str, Any], texts: list[str] | None) -> None:
    """Say of each requirement that it is met, or raise ``GateNotMet``."""
    if texts:
        from sightline.evaluation.gate import check_requirement

        for text in texts:
            print(check_requirement(text, metrics), file=sys.stderr)
