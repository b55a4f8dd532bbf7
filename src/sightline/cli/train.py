"""``sightline train``: from images to a finished run."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.machine import process_start

if TYPE_CHECKING:
    from sightline.runs.folder import Run

__all__ = ["train"]


def train(
    data: Annotated[str, typer.Argument(help="Class folders, split folders, a table, an archive, or a named set.")],
    recipe: Annotated[str | None, typer.Option(help="A packaged recipe (sightline recipes), or a TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="Network: any timm name, or one of ours.")] = None,
    weights: Annotated[str | None, typer.Option(help="Safetensors file, or an earlier run, to start from.")] = None,
    no_pretrained: Annotated[bool, typer.Option("--no-pretrained", help="Start from random weights.")] = False,
    time: Annotated[str | None, typer.Option(help="Limit for the whole command: 60s, 10m, 2h.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Look for the learning rate in a short range test.")
    ] = False,
    size: Annotated[int | None, typer.Option(help="Side of the network's input, in pixels.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement before stopping; 0: never.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of split, weights, order and augmentation.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    devices: Annotated[
        str | None, typer.Option(help="Processes that train together, one a device: a number, or all.")
    ] = None,
    val: Annotated[float | None, typer.Option(help="Share drawn for validation.")] = None,
    test: Annotated[float | None, typer.Option(help="Share drawn for the test; 0: none.")] = None,
    select_on_val: Annotated[
        bool, typer.Option("--select-on-val", help="Select on a given val folder; no test.")
    ] = False,
    group: Annotated[str | None, typer.Option(help="Column or expression: what must stay on one side.")] = None,
    fixes: Annotated[Path | None, typer.Option(help="CSV of images to exclude, relabel or group.")] = None,
    on_bad: Annotated[str | None, typer.Option(help="Images that can't be read: skip (up to 1 %) or fail.")] = None,
    value_range: Annotated[
        str | None, typer.Option("--range", help="LOW,HIGH: black and white of 16-bit, 32-bit, float images.")
    ] = None,
    assign: Annotated[list[str] | None, typer.Option("--set", help="Any setting, as name=value; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds runs.")] = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="Print the plan and the expected time, and stop.")] = False,
    require: Annotated[
        list[str] | None, typer.Option(help='Exit with 5 unless met, e.g. "accuracy>=0.9" (lower bound).')
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Cross-validate: test every image once, in this many trainings.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Train this often, with other seeds, to see how far chance goes.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of --name, or the newest unfinished one of DATA.")
    ] = False,
    keep_checkpoints: Annotated[bool, typer.Option("--keep-checkpoints", help="Keep the checkpoints.")] = False,
    track: Annotated[
        list[str] | None, typer.Option(help="Who listens too: tensorboard, mlflow, wandb, csv; repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Train a classifier on a folder of images, export it, measure it and write a report."""
    started = process_start()
    from sightline.api import training
    from sightline.cli.check import parse_range
    from sightline.cli.gates import check_requirements, parse_requirements, requirement_fields
    from sightline.display.lines import plan_lines
    from sightline.display.terminal import Terminal, outlived
    from sightline.installation import require_extra
    from sightline.launch import is_follower
    from sightline.tracking.trackers import Trackers

    require_extra("train", "training")
    from sightline.planning.settings import parse_assignment

    parse_requirements(require)
    Trackers(track or ())  # a wrong name is said before anything is read, with --plan too
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
        "group": group,
        "fixes": None if fixes is None else str(fixes),
        "on_bad": on_bad,
        "value_range": parse_range(value_range),
    }
    settings |= dict(parse_assignment(text) for text in assign or [])
    terminal = Terminal(quiet=quiet, show_plan=not only_plan)
    if only_plan:
        if resume:
            from sightline.errors import InputError

            message = "--plan plans a new training, and --resume goes on with the plan of a run"
            raise InputError("plan.conflict", message, "leave out one of them; the plan of a run is its plan.toml")
        plan = training.plan(data, recipe, folds=folds, seeds=seeds, display=terminal, **settings)
        if as_json:
            print(json.dumps({"schema_version": 1, "settings": plan.settings.model_dump()}))
        else:
            print("\n".join(plan_lines(plan.rows(), None)))
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
    from sightline.pipeline.look import refuse_counts

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
        return f"Stopped; {facts['done']} of {facts['times']} {facts['kind']} are done, and {folder} has their figures."
    facts, run = Run(folder).facts, Path(folder)
    out = "" if str(run.parent) == RUNS_FOLDER else f" --out {shlex.quote(str(run.parent))}"
    devices = "" if facts.get("processes", 1) == 1 or is_launched() else f" --devices {facts['processes']}"
    again = f"sightline train {shlex.quote(facts['data'])}{out} --name {shlex.quote(run.name)}{devices} --resume"
    words = f"Stopped; {folder} says interrupted. Go on with: {again}"
    if Run(folder).best_checkpoint.is_dir():
        words += f"\nIts best epoch as a classifier: sightline export {shlex.quote(folder)}"
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
    from sightline.evaluation.intervals import Interval

    baselines = "; ".join(
        f"{name.replace('_', ' ')} {Interval(**fields)}" for name, fields in metrics["baselines"].items()
    )
    bad = f"; {metrics['count_bad']} could not be read" if metrics["count_bad"] else ""
    print(f"\n{run.facts['headline']}{bad}")
    if "accuracy_with_leaks" in metrics:
        with_leaks = Interval(**metrics["accuracy_with_leaks"])
        print(f"  without {metrics['count_leaked']} leaked image(s); with them {with_leaks}")
    if "accuracy_with_views" in metrics:
        averaged = Interval(**metrics["accuracy_with_views"])
        print(f"  averaged over {metrics['count_views']} views of each image {averaged}; predictions look once")
    print(f"  macro F1 {Interval(**metrics['macro_f1'])}")
    print(f"  without learning much: {baselines}")
    if "frozen_head" in metrics:
        head = metrics["frozen_head"]
        changed = f"fine-tuning mended {head['fixed']:,} answers and broke {head['broken']:,} (p = {head['p']:.3f})"
        print(f"  the head on frozen features alone: {Interval(**head['accuracy'])}; {changed}")
    print(f"\nRun         {run.folder}")
    print(f"Report      {run.report_file}")
    print(f"Classifier  {run.model_file}")
    folder, file = (shlex.quote(str(word)) for word in (run.folder, image))
    print(f"\nNext: sightline predict {folder} {file}")


def _print_repeated(run: Run) -> None:
    """Print the figures of several trainings, how far they spread, and what to type for a classifier."""
    from sightline.evaluation.intervals import Interval

    metrics, facts = run.metrics, run.facts
    print(f"\n{facts['headline']}\n")
    print(f"{'figure':<16}  {'together':<28}    mean  deviation     min     max")
    for name, spread in metrics["spread"].items():
        if name == "log_loss":
            continue
        cells = (spread[key] for key in ("mean", "standard_deviation", "min", "max"))
        mean, deviation, low, high = ("-" if cell is None else f"{100 * cell:.1f} %" for cell in cells)
        whole = str(Interval(**metrics[name]))
        print(f"{name.replace('_', ' '):<16}  {whole:<28}  {mean:>6}  {deviation:>9}  {low:>6}  {high:>6}")
    if "accuracy_with_views" in metrics:
        averaged = Interval(**metrics["accuracy_with_views"])
        print(f"\naveraged over {metrics['count_views']} views of each image {averaged}; predictions look once")
    print(f"\nRun         {run.folder}")
    print(f"Report      {run.report_file}")
    print("Classifier  none: this measures the recipe")
    plan_file = shlex.quote(str(run.plan_file))
    print(f"\nNext: sightline train {shlex.quote(facts['data'])} --recipe {plan_file}")
