"""An earlier run as the start of a new one: which file, which network, which classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.caches import expand_home
from sightline.errors import RunError, WeightsError
from sightline.planning.facts import EarlierRun
from sightline.runs.folder import Run
from sightline.runs.lookup import find_run, refuse_version
from sightline.runs.safe_files import recover_folder
from sightline.runs.unchanged import refuse_changed
from sightline.runtime.bundle import Bundle

__all__ = ["find_earlier"]

# What a network's weights are made for; the rest of a plan may differ from run to run.
_INHERITED = ("size", "interpolation", "mean", "std", "width", "depth", "kernel_size", "dense_units", "features")


def find_earlier(name: str, *, folder: str | Path) -> EarlierRun | None:
    """Return the run of ours that a user named as weights, or None where it is none of ours.

    Args:
        name: a run's folder, its name inside ``folder``, ``latest``, a ``classifier`` folder, or the
            ``model.safetensors`` or ``model.onnx`` in one.
        folder: that holds runs.

    Raises:
        RunError: if it is a run, and has no network yet.
        WeightsError: if a classifier folder lacks the weights.
        ModelError: if its ``classifier.json`` is damaged.

    Example:
        ``find_earlier("latest", folder="runs").classes``
    """
    if not name:
        return None
    path = expand_home(name)
    if name == "latest" or (path / "run.json").is_file() or (Path(folder) / path / "run.json").is_file():
        return _of_run(find_run(path, folder=folder))
    inside = path.parent if path.is_file() else path
    if path.is_file() and not path.name.startswith("model."):
        return None  # a file that lies among ours
    if (inside.parent / "run.json").is_file() and Run(inside.parent).classifier_folder.name == inside.name:
        return _of_run(Run(inside.parent))
    return _of_folder(inside) if (inside / "classifier.json").is_file() else None


def _of_run(run: Run) -> EarlierRun:
    facts, settings = run.facts, run.plan.settings.model_dump()
    refuse_version(run)
    recover_folder(run.classifier_folder)
    if not run.weights_file.is_file():
        message = f"{run.folder} ({run.status}) has no network to start from"
        raise RunError("run.no-classifier", message, f"make one of its best epoch: sightline export {run.folder}")
    refuse_changed(run, run.weights_file, run.model_file, run.samples_file, run.split_file)
    name = f"run {run.folder.name}"
    is_known = run.samples_file.is_file() and run.split_file.is_file()
    return EarlierRun(
        name=name,
        folder=run.folder.resolve(),
        file=run.weights_file,
        model=settings["model"],
        classes=tuple(facts["classes"]),
        source=f"{name} (started from: {facts['weights']})",
        licence=facts["licence"],
        settings={setting: settings[setting] for setting in _INHERITED},
        seen={part: run.trained_digests((part,)) for part in ("train", "val")} if is_known else {},
        is_traced=is_known and facts.get("start_is_traced", True),
        split_seed=settings["split_seed"],
    )


def _of_folder(folder: Path) -> EarlierRun:
    """Return what a classifier's folder says that was taken out of its run."""
    bundle = Bundle.read(folder / "classifier.json")
    file = folder / "model.safetensors"
    if not file.is_file():
        message = f"{folder} holds a classifier without its model.safetensors"
        raise WeightsError("weights.missing", message, "copy that file beside classifier.json, or give the run")
    settings: dict[str, Any] = {"size": bundle.preprocess.size, "interpolation": bundle.preprocess.interpolation}
    return EarlierRun(
        name=f"classifier {folder}",
        folder=folder.resolve(),
        file=file,
        model=bundle.model,
        classes=bundle.classes,
        source=f"classifier {folder} (started from: {bundle.weights})",
        licence=bundle.licence,
        settings=settings,
    )
