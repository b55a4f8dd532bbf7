"""``sightline tune``: better settings than a recipe's, found on validation images alone."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli import data_options as shared

if TYPE_CHECKING:
    from sightline.runs.folder import Run

__all__ = ["tune"]

_SEARCH = "Search"
*_, _LEARNING, _TIME, _OUTPUT = shared.GROUPS


def tune(
    data: Annotated[str, typer.Argument(help="Images, as for sightline train; with --report a search.")],
    time: Annotated[
        str | None, typer.Option(help="Limit for the whole command: 60s, 20m, 2h.", rich_help_panel=_SEARCH)
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="How many trials, the plain recipe among them.", rich_help_panel=_SEARCH)
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="TOML file of what is searched: ranges or choices of settings.", rich_help_panel=_SEARCH),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="For small sets: measure a trial by cross-validation.", rich_help_panel=_SEARCH),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="In the end, train winner and plain recipe so many times.", rich_help_panel=_SEARCH),
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="How settings are drawn: tpe, random or grid.", rich_help_panel=_SEARCH)
    ] = "tpe",
    pruner: Annotated[
        str | None,
        typer.Option(help="Which trials stop early: halving, hyperband or none.", rich_help_panel=_SEARCH),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="How many trials at a time; they share the CPUs.", rich_help_panel=_SEARCH)
    ] = 1,
    storage: Annotated[
        str,
        typer.Option(help="URL of a database that several machines share; else a file.", rich_help_panel=_SEARCH),
    ] = "",
    new: Annotated[
        bool, typer.Option("--new", help="Begin another search beside that of this name.", rich_help_panel=_SEARCH)
    ] = False,
    val: shared.ValShare = None,
    test: shared.TestShare = None,
    group: shared.Group = None,
    fixes: shared.Fixes = None,
    model: shared.Model = None,
    size: shared.Side = None,
    recipe: shared.RecipeName = None,
    epochs: shared.Epochs = None,
    batch_size: shared.BatchSize = None,
    lr: shared.Rate = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the split and all trials.", rich_help_panel=_LEARNING)
    ] = None,
    assign: shared.Assign = None,
    device: shared.Device = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Draw the page of a search, also while it runs.", rich_help_panel=_OUTPUT),
    ] = False,
    out: shared.Out = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="Name of the search and of its run.", rich_help_panel=_OUTPUT)
    ] = None,
    quiet: shared.Quiet = False,
    as_json: shared.AsJson = False,
) -> None:
    """Search for better settings than a recipe's.

    Trials are measured on validation images. The best is trained again and measured once on the test images, beside
    the plain recipe. The same command goes on with a search that was stopped.

    Examples:
        sightline tune photos/ --trials 30
        sightline tune photos/ --time 20m --recipe cnn-dropout
        sightline tune photos/ --trials 50 --space space.toml
        sightline tune tune-photos --report
        sightline tune photos/ --time 1h --workers 4
    """
    from sightline.machine import process_start

    started = process_start()
    from sightline.api import tuning
    from sightline.display.terminal import Terminal, outlived
    from sightline.errors import RunError
    from sightline.installation import require_extra

    require_extra("tune", "a search")
    if report:
        print(tuning.report_search(data, out=out))
        return
    from sightline.planning.settings import parse_assignment

    settings: dict[str, Any] = {
        "time": time,
        "model": model,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "size": size,
        "seed": seed,
        "val_share": val,
        "test_share": test,
        "group": group,
        "fixes": None if fixes is None else str(fixes),
        "device": device,
    }
    settings |= dict(parse_assignment(text) for text in assign or [])
    asked: dict[str, Any] = {
        "trials": trials,
        "space": space,
        "sampler": sampler,
        "pruner": pruner,
        "folds": folds,
        "seeds": seeds,
        "workers": workers,
    }
    shown: dict[str, Any] = {"out": out, "name": name, "started": started, "display": Terminal(quiet=quiet)}
    try:
        run = tuning.tune(data, recipe, storage=storage, new=new, **asked, **shown, **settings)
    except RunError as error:
        if error.code != "tune.elsewhere":
            raise
        with outlived(sys.stdout):  # this machine did its part
            told = {"elsewhere": error.message, "cure": error.cure}
            print(json.dumps(told) if as_json else "\n".join(told.values()))
        return
    except (KeyboardInterrupt, SystemExit):
        with outlived(sys.stderr):
            print("\nThe trials that ended are kept: the same command goes on with the search.", file=sys.stderr)
        raise
    with outlived(sys.stdout):
        _print(run, out, as_json=as_json)


def _print(run: Run, out: Path, *, as_json: bool) -> None:
    """Print what came out, where it lies and what to type next."""
    from sightline.cli.train import print_result

    search = run.facts.get("search", {})
    folder = run.folder.parent / search.get("folder", "")
    beside = {"best": "-plain", "plain": "-best"}[search["ships"]]
    other = run.folder.with_name(run.folder.name + beside)
    if as_json:
        print_result(run, as_json=True, more={"search": {**search, "folder": str(folder)}})
        return
    print_result(run, as_json=False)
    print(f"\n{search['sentence']}")
    if test := search.get("test", {}).get("sentence"):
        print(f"On the measured images: {test}")
    if seeds := search.get("seeds", {}).get("sentence"):
        print(seeds)
    print(f"\nSearch      {folder} (trials.csv, best.toml)")
    if other.is_dir():
        print(f"Beside it   {other}")
        pair = (run, other) if beside == "-best" else (other, run)
        first, second = (shlex.quote(str(getattr(one, "folder", one))) for one in pair)
        print(f"\nNext: sightline compare {first} {second}")
