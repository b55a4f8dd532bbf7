"""``sightline export``: make a classifier of a run's best epoch so far."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[str, typer.Argument(help="A run's folder or name.")],
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Make a classifier of the best epoch of a run.

    For a run that was interrupted: exports, evaluates and reports.

    Examples:
        sightline export first
    """
    from sightline.api import training
    from sightline.cli.train import print_result

    print_result(training.export(run, runs=runs), as_json=as_json)
