"""What ``latest`` is: said by every command that takes it, with the data and the classes, before anything else."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["resolve_latest"]

_SHOWN = 6  # classes


def resolve_latest(name: str, runs: Path) -> str:
    """Return the folder of the latest run where that was asked for, and say on stderr which it is; else the name.

    Whatever was trained last may know other classes than the images at hand show.

    Raises:
        RunError: if there is no finished run.
    """
    if name != "latest":
        return name
    from sightline.display.terminal import outlived
    from sightline.runs.lookup import find_run
    from sightline.text import listed, printable

    run = find_run(name, folder=runs)
    facts = run.facts
    classes = [str(one) for one in facts.get("classes", ())]
    about = f", trained on {facts['data']}" if facts.get("data") else ""
    with outlived(sys.stderr):
        print(printable(f"latest is {run.folder}{about}; classes: {listed(classes, _SHOWN)}"), file=sys.stderr)
    return str(run.folder)
