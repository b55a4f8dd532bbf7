"""Runs and classifiers by what a user calls them: a name, a folder, a file, ``latest``."""

from __future__ import annotations

import shlex
from pathlib import Path

from sightline.errors import ModelError, RunError
from sightline.runs.folder import RUNS_FOLDER, Run, list_runs
from sightline.runs.safe_files import recover_folder, refuse_pickle
from sightline.runs.unchanged import refuse_changed
from sightline.runtime.classifier import MODEL_FILE
from sightline.text import did_you_mean

__all__ = ["find_classifier", "find_run", "refuse_repeated", "refuse_version", "run_of_classifier"]

_NEARLY = 0.7  # likeness of a name that is proposed
_CLASSIFIERS = "give a run folder, a classifier folder, a model.onnx, or latest; train one: sightline train DATA"


def find_run(name: str | Path, *, folder: str | Path = RUNS_FOLDER) -> Run:
    """Return the run that a user named: ``latest``, a run's folder, or its name inside ``folder``.

    ``latest`` is the newest finished run that has a classifier.

    Raises:
        RunError: if there is none.
    """
    if str(name) == "latest":
        finished = [run for run in list_runs(folder) if run.status == "finished" and run.model_file.is_file()]
        if not finished:
            cure = "train one first: sightline train DATA; or name the folder that holds your runs (--runs FOLDER)"
            raise RunError("run.no-latest", f"there is no finished run in {str(Path(folder))!r} yet", cure)
        return finished[-1]
    path = Path(name)
    if (path / "run.json").is_file():
        return Run(path)
    inside = Path(folder) / path
    if (inside / "run.json").is_file():
        return Run(inside)
    cure = _meant(name, folder, f"name a folder in {str(Path(folder))!r}, or latest")
    raise RunError("run.missing", f"there is no run {str(name)!r}", cure)


def _meant(name: str | Path, folder: str | Path, rest: str) -> str:
    """Return the question for the run whose name is nearly the one that was typed, and then ``rest``."""
    names = ["latest", *(run.folder.name for run in list_runs(folder))]
    return did_you_mean(Path(name).name, names, rest, cutoff=_NEARLY)


def run_of_classifier(model: Path | None) -> Run | None:
    """Return the run that a ``model.onnx`` lies in, or None where it lies elsewhere."""
    if model is None or not (model.parent.parent / "run.json").is_file():
        return None
    return Run(model.parent.parent)


def find_classifier(name: str | Path, *, folder: str | Path = RUNS_FOLDER) -> Path:
    """Return the ``model.onnx`` of what a user named: ``latest``, a run, a ``classifier`` folder or the file.

    Raises:
        RunError: if a run was named that has no classifier, or the file in it is not the one that it recorded.
        ModelError: if nothing of that name is there.
    """
    found = _find_file(name, folder)
    run = run_of_classifier(found) if found.name == MODEL_FILE else None
    if run is not None and run.model_file == found:
        refuse_changed(run, found)
    return found


def _find_file(name: str | Path, folder: str | Path) -> Path:
    path = Path(name)
    if str(name) != "latest" and not (path / "run.json").is_file():
        if path.is_file():
            refuse_pickle(path)
            return path
        if (path / MODEL_FILE).is_file():
            return path / MODEL_FILE
        if not (Path(folder) / path / "run.json").is_file():
            raise ModelError(
                "model.missing",
                f"there is no classifier {str(name)!r}",
                _meant(name, folder, _CLASSIFIERS),
            )
    run = find_run(name, folder=folder)
    refuse_repeated(run)
    recover_folder(run.classifier_folder)
    if not run.model_file.is_file():
        raise RunError(
            "run.no-classifier",
            f"{run.folder} ({run.status}) has no classifier",
            f"make one of its best epoch: sightline export {shlex.quote(str(run.folder))}",
        )
    return run.model_file


def refuse_repeated(run: Run) -> None:
    """Raise ``RunError`` for a run that measures a recipe by several trainings: it has no classifier of its own."""
    if run.is_repeated:
        facts = run.facts
        message = f"{run.folder} measures a recipe over {facts['times']} {facts['kind']}; no classifier ships with it"
        cure = f"train one: sightline train {shlex.quote(facts['data'])} --recipe {shlex.quote(str(run.plan_file))}"
        raise RunError("run.repeated", message, cure)


def refuse_version(run: Run) -> None:
    """Raise ``RunError`` for a smaller version of a run's classifier: the network that was trained is in its run."""
    version = run.facts.get("version")
    if version:
        message = f"{run.folder} is a smaller version ({version['name']}), without the network that was trained"
        raise RunError("run.version", message, f"name the run that it was made of: {shlex.quote(version['of'])}")
