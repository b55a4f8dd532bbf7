"""The public functions that train: once, over folds or seeds, and what comes before and after it.

Arguments that choose something are keyword-only and have the names of the plan's settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.api.driving import Display, drive
from sightline.data.sources import Source
from sightline.errors import StopRequested
from sightline.installation import require_extra
from sightline.runs.folder import RUNS_FOLDER, Run
from sightline.runs.lookup import find_run
from sightline.runs.moved import open_moved
from sightline.tracking.trackers import Trackers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.networks.listing import ListedNetwork
    from sightline.pipeline.job import Job
    from sightline.planning.plan import Plan
    from sightline.planning.recipe import Recipe

__all__ = ["cross_validate", "export", "list_models", "plan", "preview", "repeat", "train"]


def train(
    data: Source,
    recipe: Recipe | str | Path | None = None,
    *,
    out: str | Path = RUNS_FOLDER,
    name: str | None = None,
    resume: bool = False,
    keep_checkpoints: bool = False,
    devices: int | str = "",
    started: float | None = None,
    track: Sequence[str] = (),
    display: Display | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a classifier on a folder or table of images; export, evaluate and report it.

    Args:
        data: class folders, split folders, or a CSV with the columns ``path,label[,split,group]``.
        recipe: a :class:`sightline.Recipe`, the name of a packaged one, or the path of a TOML file with settings.
        out: folder that holds runs.
        name: of the run; by default made of the date, the data's name and a number.
        resume: continue the run of that name, or the newest unfinished one of these data, from what it saved
            last. Settings that are not given are the run's; others than the run's are refused. A name that is not
            there yet starts a run; a finished run is returned as it is.
        keep_checkpoints: keep the checkpoints after the run is finished.
        devices: processes that train together, started here: a number, or ``all`` for one a GPU; empty: this one, or
            those that torchrun started. Those beside the first train along, and return its run when it is done.
        started: by ``time.monotonic()``, from when on ``time`` counts; None: from now.
        track: trackers that log the run: ``tensorboard``, ``mlflow``, ``wandb``, ``csv``.
        display: where events go; by default the notebook's cell or the terminal.
        quiet: show warnings only.
        **settings: any setting of the plan, for example ``epochs=5, model="resnet18", seed=1, time="10m"``.

    Returns:
        The finished run: ``run.metrics``, ``run.history``, ``run.classifier()``.

    Raises:
        SightlineError: for whatever the caller can correct; message and cure say how.

    Example:
        ``run = sightline.train("photos/", epochs=5); run.metrics["accuracy"]["value"]``
    """
    from sightline.launch import is_follower
    from sightline.pipeline.train import train_job

    if is_follower():
        return _follow()
    begun = {} if started is None else {"started": started}
    more: dict[str, Any] = {"keep_checkpoints": keep_checkpoints, "resume": resume, "devices": str(devices), **begun}
    job = _job(data, recipe, settings, out=out, name=name, **more)
    return drive(train_job(job), display, quiet, Trackers(track))


def _follow() -> Run:
    """Train along with the process that decides, and end as it does."""
    require_extra("train", "training")
    from sightline.pipeline.worker import follow_run

    try:
        run = follow_run()
    except StopRequested as stop:
        raise SystemExit(128 + stop.signal) from stop
    if run is None:
        raise SystemExit(0)  # the first process had nothing to train, and reports why
    return run


def cross_validate(
    data: Source,
    folds: int = 5,
    recipe: Recipe | str | Path | None = None,
    *,
    out: str | Path = RUNS_FOLDER,
    name: str | None = None,
    track: Sequence[str] = (),
    display: Display | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Measure a recipe on a small set: train once a fold, so that every image is tested exactly once.

    Args:
        data: images without a given split.
        folds: how many trainings; groups, copies and near-duplicates stay in one fold.
        recipe, out, name, track, display, quiet, **settings: as for :func:`train`.

    Returns:
        A run with the pooled ``metrics`` and ``predictions``, and the trainings as ``run.parts``. It has no
        classifier: train one on all images with :func:`train` and the same settings.

    Raises:
        SightlineError: if a split is given, a class has fewer images than folds; or as :func:`train`.

    Example:
        ``sightline.cross_validate("photos/", 5).metrics["spread"]["accuracy"]["mean"]``
    """
    from sightline.pipeline.repeat import repeat_job

    job = _job(data, recipe, settings, out=out, name=name, folds=folds)
    return drive(repeat_job(job), display, quiet, Trackers(track))


def repeat(
    data: Source,
    seeds: int = 5,
    recipe: Recipe | str | Path | None = None,
    *,
    out: str | Path = RUNS_FOLDER,
    name: str | None = None,
    track: Sequence[str] = (),
    display: Display | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train several times on one split with several seeds, and report how much results vary by chance.

    The seeds are ``seed``, ``seed + 1`` ...; they vary initial weights, order and augmentation, not the split.

    Args:
        data, recipe, out, name, track, display, quiet, **settings: as for :func:`train`.
        seeds: how many trainings.

    Returns:
        A run with the averaged ``metrics`` and their ``spread``, and the trainings as ``run.parts``.

    Example:
        ``sightline.repeat("photos/", 3).metrics["spread"]["accuracy"]["standard_deviation"]``
    """
    from sightline.pipeline.repeat import repeat_job

    job = _job(data, recipe, settings, out=out, name=name, seeds=seeds)
    return drive(repeat_job(job), display, quiet, Trackers(track))


def plan(
    data: Source,
    recipe: Recipe | str | Path | None = None,
    *,
    folds: int | None = None,
    seeds: int | None = None,
    out: str | Path = RUNS_FOLDER,
    name: str | None = None,
    display: Display | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Plan:
    """Return the :class:`~sightline.planning.plan.Plan` that ``train`` would follow; nothing is written.

    What would stop the training stops this too.

    Args:
        data, recipe, out, name, display, quiet, **settings: as for :func:`train`.
        folds, seeds: as for :func:`cross_validate` and :func:`repeat`; None: one training.

    Example:
        ``sightline.api.training.plan("photos/").settings.epochs``
    """
    from sightline.pipeline.decide import plan_job

    return drive(plan_job(_job(data, recipe, settings, out=out, name=name, folds=folds, seeds=seeds)), display, quiet)


def list_models(pattern: str = "") -> tuple[ListedNetwork, ...]:
    """Return the networks that ``model`` takes: ours and the carried one, or for a pattern timm's with weights too.

    Args:
        pattern: shell wildcards (``resnet*``), or a part of the name; empty for ours and the carried one.

    Returns:
        A tuple of :class:`~sightline.networks.listing.ListedNetwork`: name, parameters, size, licence, is_cached ...

    Raises:
        InputError: if nothing matches, with the nearest names.
        MissingExtra: for a pattern, without the ``[train]`` extra.

    Example:
        ``[model.name for model in sightline.api.training.list_models("convnext_tiny*") if model.is_cached]``
    """
    require_extra("light", "listing networks")
    if pattern:
        require_extra("train", "the list of timm's networks")
    from sightline.networks.listing import list_networks

    return list_networks(pattern)


def preview(
    data: Source,
    recipe: Recipe | str | Path | None = None,
    *,
    count: int = 16,
    display: Display | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Figure:
    """Return a matplotlib figure of training images beside what the network would get of them; nothing is trained.

    Args:
        data, recipe, display, quiet, **settings: as for :func:`train`.
        count: training images to show, 1 to 64; each with five random versions.

    Raises:
        SightlineError: for whatever the caller can correct, as :func:`train`.

    Example:
        ``sightline.preview("photos/", rotate=20, hue=0.1).savefig("preview.png")``
    """
    require_extra("train", "a preview of augmentation")
    from sightline.pipeline.preview import preview_job

    return drive(preview_job(_job(data, recipe, settings), count), display, quiet)


def export(
    run: str | Path | Run,
    format: str = "onnx",
    *,
    moved_to: str | Path = "",
    without_images: bool = False,
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> Run:
    """Make a classifier of a run's best epoch so far, prove it, evaluate it and write the report.

    For a run that was interrupted, or whose export failed; or to have the classifier in another format too. A format
    that is made from ``model.onnx`` alone is made in seconds where that is there, and nothing is evaluated again.

    Args:
        run: a run, its folder or its name.
        format: ``onnx``, or another one that is written beside ``model.onnx`` and proved in the same way.
        moved_to: folder where the run's images are now, if they moved.
        without_images: replace an evaluation by one of fewer images, where test or validation images are gone.
        runs, display, quiet: as for :func:`sightline.load` and :func:`train`.

    Raises:
        InputError: if there is no such format.
        RunError: if the run has no epoch to export, or images that it measured are gone.
        ExportMismatch: if the exported file decides otherwise than the network.

    Example:
        ``sightline.export("runs/2026-11-22-photos-01")``
    """
    from sightline.pipeline.convert import convert_model, is_converted

    opened = open_moved(run if isinstance(run, Run) else find_run(run, folder=runs), moved_to)
    if is_converted(format) and opened.model_file.is_file():
        drive(convert_model(opened.model_file, format, run=opened), display, quiet)
        return opened
    from sightline.pipeline.finish import export_run

    return drive(export_run(opened, format, without_images=without_images), display, quiet)


def _job(data: Source, recipe: Recipe | str | Path | None, settings: dict[str, Any], **more: Any) -> Job:
    require_extra("light", "training")
    from sightline.pipeline.job import Job
    from sightline.planning.recipe import Recipe

    if isinstance(recipe, str | Path):
        recipe = Recipe.find(recipe)
    return Job(data, recipe or Recipe(), Recipe(**settings), **more)
