"""The public functions that make a further format of a classifier that ships: its ``model.onnx`` is enough."""

from __future__ import annotations

from pathlib import Path

from sightline.api.driving import Display, drive
from sightline.data.folders import find_images
from sightline.errors import RunError
from sightline.pipeline.convert import Exported, convert_model, is_converted
from sightline.runs.folder import RUNS_FOLDER
from sightline.runs.lookup import find_classifier, run_of_classifier
from sightline.runs.moved import open_moved

__all__ = ["Exported", "convert", "is_shipped"]

_MOST = 64  # images of a proof


def is_shipped(model: str | Path, format: str, *, runs: str | Path = RUNS_FOLDER) -> bool:
    """Tell whether a format can be made of what is there: it needs ``model.onnx`` alone, and there is one.

    Args:
        model, format, runs: as for :func:`convert`.

    Raises:
        InputError: if there is no such format.
        RunError: if there is no such run.

    Example:
        ``is_shipped("latest", "any-size")``
    """
    if not is_converted(format):
        return False
    try:
        return find_classifier(model, folder=runs).is_file()
    except RunError as error:
        if error.code == "run.no-classifier":
            return False
        raise


def convert(
    model: str | Path = "latest",
    format: str = "any-size",
    *,
    out: str | Path = "",
    data: str | Path = "",
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> Exported:
    """Make a further format of a classifier that ships; its ``model.onnx`` alone is enough.

    Args:
        model: a ``classifier`` folder, a ``model.onnx``, a run or ``latest``.
        format: one that is made from ``model.onnx``: see ``docs/export.md``.
        out: the file, or the folder, to write; empty: beside ``model.onnx``.
        data: where the images of the run are now, if they moved; for a classifier outside its run, a folder of images
            to prove the format on. Empty: the images of the run, or else images made in code.
        runs, display, quiet: as for :func:`sightline.load` and :func:`sightline.train`.

    Returns:
        Where it is, and its proof.

    Raises:
        InputError: if there is no such format, or it needs the run.
        MissingExtra: if what writes it is not installed.
        ExportMismatch: if it can't be made, or predicts differently; nothing is changed then.

    Example:
        ``convert("classifier/", "any-size", data="photos/").proof.door.equal``
    """
    is_converted(format)
    file = find_classifier(model, folder=runs)
    run = run_of_classifier(file)
    if run is not None:
        return drive(convert_model(file, format, out=out, run=open_moved(run, data)), display, quiet)
    found = find_images(Path(data))[0] if str(data) else []
    files = found[:: max(1, len(found) // _MOST)][:_MOST]
    return drive(convert_model(file, format, out=out, files=files), display, quiet)
