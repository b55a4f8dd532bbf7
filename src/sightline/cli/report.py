"""``sightline report``: write a run's page again. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[str, typer.Argument(help="A run's folder or name, or latest.")] = "latest",
    data: Annotated[str, typer.Option(help="Folder where the run's images are now, if they moved.")] = "",
    without_images: Annotated[
        bool, typer.Option("--without-images", help="Replace the page by one that lacks images which are gone.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the report and the figures of a run again.

    Uses only what is in its folder.

    Examples:
        sightline report latest
    """
    from sightline.api import reviewing

    path = reviewing.report(run, moved_to=data, without_images=without_images, runs=runs)
    print(path)
    if open_it:
        typer.launch(str(path.resolve()))
