"""``--require``: read before anything runs, checked at the end."""

from __future__ import annotations

import sys
from typing import Any

import typer

__all__ = ["check_requirements", "parse_requirements", "requirement_fields"]


def parse_requirements(texts: list[str] | None) -> None:
    """Raise ``InputError`` for a requirement that can't be read, before an hour is spent."""
    if texts:
        from sightline.evaluation.gate import parse_requirement

        for text in texts:
            parse_requirement(text)


def requirement_fields(metrics: dict[str, Any], texts: list[str] | None) -> dict[str, Any]:
    """Return what ``--json`` reports of the requirements: an empty dict where there are none."""
    from sightline.evaluation.gate import check_requirement

    rows = []
    for text in texts or []:
        error = check_requirement(text, metrics)
        rows.append({"requirement": text, "met": error is None, **({} if error is None else error.to_dict())})
    return {"requirements": rows} if rows else {}


def check_requirements(metrics: dict[str, Any], texts: list[str] | None, *, as_json: bool) -> None:
    """Print of each requirement whether it is met; raise ``GateNotMet`` for the first that is not.

    With ``--json`` the one document reports it already: only the exit code is left.
    """
    from sightline.evaluation.gate import check_requirement

    for text in texts or []:
        error = check_requirement(text, metrics)
        if error is None:
            print(f"required {text}: met", file=sys.stderr)
        elif as_json:
            raise typer.Exit(error.exit_code)
        else:
            raise error
