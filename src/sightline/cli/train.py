"""``sightline train``: from images to a finished run."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli import data_options as shared

if TYPE_CHECKING:
    from sightline.runs.folder import Run

__all__ = ["train"]

_DATA, _NETWORK, _LEARNING, _TIME, _OUTPUT = shared.GROUPS


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with one folder of images per class; also split folders, a table, an archive or a named set."
        ),
    ],
    val: shared.ValShare = None,
    test: shared.TestShare = None,
    select_on_val: Annotated[
        bool,
        typer.Option(
            "--select-on-val",
            help="Choose the epoch on a given val folder, without a test set.",
            rich_help_panel=_DATA,
        ),
    ] = False,
    resplit: Annotated[
        bool,
        typer.Option("--resplit", help="Put a given split aside, and draw one.", rich_help_panel=_DATA),
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(help="Cross-validate in this many trainings: each image is tested once.", rich_help_panel=_DATA),
    ] = None,
    group: shared.Group = None,
    fixes: shared.Fixes = None,
    versions: Annotated[
        str | None,
        typer.Option(
            help="Search for versions of one original (turned, zoomed ...): auto, all images, or off.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="How folders are read, where names allow two ways: classes, splits, inner-splits or tables.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out files and folders of this name or pattern, such as '*_mask.png'; repeatable.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    follow_links: Annotated[
        bool,
        typer.Option("--follow-links", help="Follow links that lead out of the folder.", rich_help_panel=_DATA),
    ] = False,
    on_bad: Annotated[
        str | None,
        typer.Option(help="Images that can't be read: skip (up to 1 %) or fail.", rich_help_panel=_DATA),
    ] = None,
    value_range: Annotated[
        str | None,
        typer.Option(
            "--range",
            help="LOW,HIGH: which numbers are black and white in 16-bit, 32-bit and float images.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    model: shared.Model = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Start from this safetensors file or earlier run.", rich_help_panel=_NETWORK),
    ] = None,
    no_pretrained: Annotated[
        bool, typer.Option("--no-pretrained", help="Start from random weights.", rich_help_panel=_NETWORK)
    ] = False,
    size: shared.Side = None,
    recipe: shared.RecipeName = None,
    epochs: shared.Epochs = None,
    batch_size: shared.BatchSize = None,
    lr: shared.Rate = None,
    find_lr: Annotated[
        bool,
        typer.Option("--find-lr", help="Find the learning rate by a short range test.", rich_help_panel=_LEARNING),
    ] = False,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without improvement; 0: never.", rich_help_panel=_LEARNING),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the split, the weights, the order and augmentation.", rich_help_panel=_LEARNING),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Train this many times with different seeds, to see how much results vary by chance.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    assign: shared.Assign = None,
    time: Annotated[
        str | None,
        typer.Option(help="Limit for the whole command: 60s, 10m, 2h.", rich_help_panel=_TIME),
    ] = None,
    device: shared.Device = None,
    devices: Annotated[
        str | None,
        typer.Option(help="Number of processes that train together, one per device; or all.", rich_help_panel=_TIME),
    ] = None,
    only_plan: Annotated[
        bool,
        typer.Option("--plan", help="Print every setting and the expected time, and stop.", rich_help_panel=_OUTPUT),
    ] = False,
    out: shared.Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run.", rich_help_panel=_OUTPUT)] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run of --name, or the newest unfinished run of DATA.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    keep_checkpoints: Annotated[
        bool,
        typer.Option("--keep-checkpoints", help="Keep the checkpoints of a finished run.", rich_help_panel=_OUTPUT),
    ] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="Also log the run with tensorboard, mlflow, wandb or csv; repeatable.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help='Exit with 5 unless the safe end of the interval meets it, e.g. "accuracy>=0.9", "log_loss<=0.3".',
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    quiet: shared.Quiet = False,
    as_json: shared.AsJson = False,
) -> None:
    """Train a classifier on a folder of images.

    Exports it, evaluates it and writes a report.

    Examples:
        sightline train photos/ --plan
        sightline train photos/ --epochs 3 --name first
        sightline train photos/ --model small-cnn --seed 1 --set flip=0
    """
    from sightline.installation import require_extra
    from sightline.machine import process_start

    started = process_start()
    from sightline.api import training
    from sightline.cli.check import parse_range
    from sightline.cli.gates import check_requirements, parse_requirements, requirement_fields
    from sightline.display.lines import plan_lines
    from sightline.display.terminal import Terminal, outlived
    from sightline.launch import is_follower
    from sightline.tracking.trackers import Trackers

    require_extra("light", "training")
    from sightline.planning.settings import parse_assignment

    parse_requirements(require)
    Trackers(track or ())  # a wrong name is reported before anything is read, with --plan too
    settings: dict[str, Any] = {
        "model": model,
        "weights": weights,
        "pretrained": False if no_pretrained else None,
        "time": time,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "find_rate": find_lr or None,
        "size": size,
        "patience": patience,
        "seed": seed,
        "device": device,
        "val_share": val,
        "test_share": test,
        "select_on_val": select_on_val or None,
        "resplit": resplit or None,
        "group": group,
        "fixes": None if fixes is None else str(fixes),
        "versions": versions,
        "layout": layout,
        "skip": skip or None,
        "follow_links": follow_links or None,
        "on_bad": on_bad,
        "value_range": parse_range(value_range),
    }
    settings |= dict(parse_assignment(text) for text in assign or [])
    terminal = Terminal(quiet=quiet, show_plan=not only_plan)
    if only_plan:
        if resume:
            from sightline.errors import InputError

            message = "--plan plans a new training, and --resume continues with the plan of a run"
            raise InputError("plan.conflict", message, "leave out one of them; the plan of a run is in its plan.toml")
        plan = training.plan(data, recipe, folds=folds, seeds=seeds, out=out, name=name, display=terminal, **settings)
        if as_json:
            print(json.dumps({"schema_version": 1, "settings": plan.settings.model_dump()}))
        else:
            print("\n".join(plan_lines(plan.rows())))
        return
    if hasattr(signal, "SIGHUP"):  # a terminal that is closed does not end a training; Windows has no such signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    shown: dict[str, Any] = {"out": out, "name": name, "track": track or (), "display": terminal}
    try:
        if folds is not None or seeds is not None:
            flags = {"--keep-checkpoints": keep_checkpoints, "--resume": resume, "--devices": devices is not None}
            run = _train_several(data, recipe, folds, seeds, flags, {**shown, **settings})
        else:
            more: dict[str, Any] = {"resume": resume, "keep_checkpoints": keep_checkpoints, "started": started}
            run = training.train(data, recipe, devices=devices or "", **more, **shown, **settings)
            if is_follower():
                return
    except (KeyboardInterrupt, SystemExit):
        with outlived(sys.stderr):
            print(f"\n{interrupted_words(terminal.folder)}", file=sys.stderr)
        raise
    with outlived(sys.stdout):
        print_result(run, as_json=as_json, more=requirement_fields(run.metrics, require))
    with outlived(sys.stderr):
        check_requirements(run.metrics, require, as_json=as_json)


def _train_several(
    data: str,
    recipe: str | None,
    folds: int | None,
    seeds: int | None,
    flags: dict[str, bool],
    chosen: dict[str, Any],
) -> Run:
    from sightline.api import training
    from sightline.errors import InputError
    from sightline.pipeline.job import refuse_counts

    refuse_counts(folds, seeds)  # the two functions below know of one each
    for option, is_given in flags.items():
        if is_given:
            raise InputError("plan.conflict", f"{option} is for a single training", "leave it out")
    if folds is not None:
        return training.cross_validate(data, folds, recipe, **chosen)
    return training.repeat(data, seeds or 0, recipe, **chosen)


def interrupted_words(folder: str) -> str:
    """Return what a stopped training left, and what to type."""
    from sightline.launch import is_launched
    from sightline.runs.folder import RUNS_FOLDER, Run

    if not folder:
        return "Stopped; nothing was written."
    above = Path(folder).parent
    if (above / "run.json").is_file() and Run(above).is_repeated:
        folder = str(above)
    if Run(folder).is_repeated:
        facts = Run(folder).facts
        return f"Stopped; {facts['done']} of {facts['times']} {facts['kind']} are done, and {folder} has their metrics."
    facts, run = Run(folder).facts, Path(folder)
    out = "" if str(run.parent) == RUNS_FOLDER else f" --out {shlex.quote(str(run.parent))}"
    devices = "" if facts.get("processes", 1) == 1 or is_launched() else f" --devices {facts['processes']}"
    again = f"sightline train {shlex.quote(facts['data'])}{out} --name {shlex.quote(run.name)}{devices} --resume"
    words = f"Stopped; {folder} is marked as interrupted. Continue with: {again}"
    if Run(folder).best_checkpoint.is_dir():
        words += f"\nTo make a classifier of its best epoch: sightline export {shlex.quote(folder)}"
    return words


def print_result(run: Run, *, as_json: bool, image: Path | str = "IMAGE", more: dict[str, Any] | None = None) -> None:
    """Print what came out, where it lies and what to type next."""
    if as_json:
        fields = {
            "schema_version": 1,
            "run": str(run.folder),
            "status": run.status,
            "metrics": run.metrics,
            **(more or {}),
        }
        print(json.dumps(fields))
        return
    if run.is_repeated:
        _print_repeated(run)
        return
    metrics = run.metrics
    from sightline.evaluation.frozen_head import FrozenHead
    from sightline.evaluation.gap import Gap
    from sightline.evaluation.intervals import Interval
    from sightline.evaluation.macro import macro_words
    from sightline.text import printable

    baselines = "; ".join(
        f"{name.replace('_', ' ')} {Interval(**fields)}" for name, fields in metrics["baselines"].items()
    )
    bad = f"; {metrics['count_bad']} could not be read" if metrics["count_bad"] else ""
    print(f"\n{run.facts['headline']}{bad}")
    if gap := Gap.of(metrics):
        print(f"  NOT as on validation: {gap.sentence()}; the report's verdict has likely causes")
    if torn := metrics.get("torn_groups"):
        fresh = Interval(**torn["accuracy"]) if torn["accuracy"] else "none is left"
        print(f"  without {torn['images']:,} images whose group is in training or validation too: {fresh} (--resplit)")
    if "accuracy_with_leaks" in metrics:
        with_leaks = Interval(**metrics["accuracy_with_leaks"])
        print(f"  without leaked images ({metrics['count_leaked']:,}); with them {with_leaks}")
    if "accuracy_with_views" in metrics:
        averaged = Interval(**metrics["accuracy_with_views"])
        print(f"  averaged over {metrics['count_views']} views of each image: {averaged} (predictions use one view)")
    print(f"  macro F1 {Interval(**metrics['macro_f1'])}")
    if macro := macro_words(metrics):
        print(f"  {printable(macro)}")
    print(f"  baselines: {baselines}")
    if head := FrozenHead.of(metrics):
        print(f"  {head.words()}")
    print(f"\nRun         {run.folder}")
    print(f"Report      {run.report_file}")
    print(f"Classifier  {run.model_file}")
    folder, file = (shlex.quote(str(word)) for word in (run.folder, image))
    print(f"\nNext: sightline predict {folder} {file}")


def _print_repeated(run: Run) -> None:
    """Print the metrics of several trainings, their spread, and what to type for a classifier."""
    from sightline.evaluation.intervals import Interval
    from sightline.evaluation.metrics import intervals_in
    from sightline.evaluation.repeats import Spread

    metrics, facts = run.metrics, run.facts
    print(f"\n{facts['headline']}\n")
    rows = [("metric", "together", "mean", "deviation", "min", "max")]
    for metric, together in intervals_in(metrics).items():
        if metric.name not in metrics["spread"]:
            continue
        spread = Spread(**metrics["spread"][metric.name])
        values = (spread.mean, spread.standard_deviation, spread.min, spread.max)
        mean, deviation, low, high = ("-" if value is None else metric.number(value) for value in values)
        rows.append((metric.words, metric.shown(together), mean, deviation, low, high))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first = f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}"
        print(first, *(f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True)), sep="  ")
    if "accuracy_with_views" in metrics:
        averaged = Interval(**metrics["accuracy_with_views"])
        print(f"\naveraged over {metrics['count_views']} views of each image: {averaged} (predictions use one view)")
    print(f"\nRun         {run.folder}")
    print(f"Report      {run.report_file}")
    print("No classifier: this run evaluates the recipe.")
    plan_file = shlex.quote(str(run.plan_file))
    print(f"\nNext: sightline train {shlex.quote(facts['data'])} --recipe {plan_file}")
