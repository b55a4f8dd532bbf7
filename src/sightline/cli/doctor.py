"""``sightline doctor``: what is wrong with the installation."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Check the installation.

    Looks at Python, the extras, torch with torchvision, CUDA, how the process waits and keeps memory, and the cache;
    exit code 3 if something is wrong.

    Examples:
        sightline doctor
    """
    from sightline.installation import diagnose

    rows = diagnose()
    if as_json:
        print(json.dumps({"schema_version": 1, "rows": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{'ok  ' if row.ok else 'FAIL'}  {row.subject:<12} {row.detail}")
            if not row.ok:
                print(f"      cure: {row.cure}")
    if not all(row.ok for row in rows):
        raise typer.Exit(3)
