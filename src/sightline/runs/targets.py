"""Whether what a command will write can be written: asked before its work, and nothing is written for it."""

from __future__ import annotations

import os
from pathlib import Path

from sightline.errors import RunError

__all__ = ["refuse_file_target", "refuse_folder_target"]


def refuse_folder_target(folder: str | Path, cure: str = "choose another folder") -> None:
    """Raise ``RunError`` where a folder can't be made, or nothing can be written into it.

    Args:
        folder: there or not yet.
        cure: what to type where it can't be had.

    Example:
        >>> refuse_folder_target("runs")
    """
    whole = Path(folder).absolute()
    nearest = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise RunError("run.write", f"{folder} can't be written: {nearest} is not a folder", cure)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError("run.write", f"{folder} can't be written: {nearest} is read-only, or belongs to another", cure)


def refuse_file_target(file: str | Path, cure: str = "choose another folder") -> None:
    """Raise ``RunError`` where a file can't be written: its folder can't be, or the file itself is read-only.

    Example:
        >>> refuse_file_target("report.html")
    """
    path = Path(file)
    if path.is_dir():
        raise RunError("run.write", f"{file} can't be written: it is a folder", cure)
    refuse_folder_target(path.absolute().parent, cure)
    if path.exists() and not os.access(path, os.W_OK):
        raise RunError("run.write", f"{file} can't be written: it is read-only, or belongs to another", cure)
