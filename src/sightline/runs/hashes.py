"""The sha256 of what a run consists of: written into ``run.json`` at its end, compared by ``sightline verify``."""

from __future__ import annotations

from sightline.runs.folder import Run
from sightline.runs.unchanged import hash_file

__all__ = ["hash_files"]

# The model card, figures/ and report.html are made of these again, by sightline report.
_WHOLE = ("classifier", "data", "evaluation")


def hash_files(run: Run) -> dict[str, str]:
    """Return path inside the run -> sha256, of what the run's results rest on.

    That is the plan, the tables of the data, the history, the classifier and the evaluation; the page, the figures
    and the model card follow from them.

    Example:
        ``hash_files(run)["classifier/model.onnx"]``
    """
    files = [run.plan_file, run.history_file, run.steps_file, run.rates_file, run.learning_curve_file]
    for name in _WHOLE:
        files += sorted(path for path in (run.folder / name).rglob("*") if path != run.classifier_folder / "README.md")
    return {
        path.relative_to(run.folder).as_posix(): hash_file(path)
        for path in files
        if path.is_file() and ".tmp" not in path.suffix  # what a process that was killed left half-written
    }
