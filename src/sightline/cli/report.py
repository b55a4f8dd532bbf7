"""``sightline report``: write a run's page again. Needs no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
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
    from sightline.cli.latest import resolve_latest

    path = reviewing.report(resolve_latest(run, runs), moved_to=data, without_images=without_images, runs=runs)
    print(path)
    if open_it and not _open(path.resolve()):
        print("no browser can be started here: open that file where there is one", file=sys.stderr)


def _open(page: Path) -> bool:
    """Show a page in the browser and go on at once; tells whether there is a screen and a program for it.

    Without a screen the program of Linux tries a dozen browsers, and prints that each is missing.
    """
    if not sys.platform.startswith("linux"):
        return typer.launch(str(page)) == 0
    program = shutil.which("xdg-open")
    if program is None or not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return False
    quiet = subprocess.DEVNULL
    options = {"stdin": quiet, "stdout": quiet, "stderr": quiet, "start_new_session": True, "check": False}
    starter = threading.Thread(target=subprocess.run, args=([program, str(page)],), kwargs=options, daemon=True)
    starter.start()
    starter.join(1)  # it has started by then; how it goes on is the browser's business
    return True
