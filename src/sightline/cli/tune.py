"""``sightline tune``: better settings than a recipe's, found on validation images alone."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sightline.runs.folder import Run

__all__ = ["tune"]

_SEARCH, _RECIPE, _OUTPUT = "Search", "Plain recipe", "Output"


def tune(
    data: Annotated[str, typer.Argument(help="Images, as for sightline train.")],
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
    sampler: Annotated[
        str, typer.Option(help="How settings are drawn: tpe, random or grid.", rich_help_panel=_SEARCH)
    ] = "tpe",
    pruner: Annotated[
        str | None,
        typer.Option(help="Which trials stop early: halving, hyperband or none.", rich_help_panel=_SEARCH),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(help="URL of a database that several machines share; else a file.", rich_help_panel=_SEARCH),
    ] = "",
    new: Annotated[
        bool, typer.Option("--new", help="Begin another search beside that of this name.", rich_help_panel=_SEARCH)
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="A packaged recipe, or a TOML file of settings.", rich_help_panel=_RECIPE)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Any timm network, or one of ours.", rich_help_panel=_RECIPE)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training images.", rich_help_panel=_RECIPE)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.", rich_help_panel=_RECIPE)] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.", rich_help_panel=_RECIPE)] = None,
    size: Annotated[int | None, typer.Option(help="Side of the network's input.", rich_help_panel=_RECIPE)] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and all trials.", rich_help_panel=_RECIPE)] = None,
    val: Annotated[float | None, typer.Option(help="Share drawn for validation.", rich_help_panel=_RECIPE)] = None,
    test: Annotated[float | None, typer.Option(help="Share drawn for testing.", rich_help_panel=_RECIPE)] = None,
    group: Annotated[
        str | None, typer.Option(help="Images that belong together: a column, or a pattern.", rich_help_panel=_RECIPE)
    ] = None,
    fixes: Annotated[
        Path | None, typer.Option(help="CSV of images to exclude, relabel or group.", rich_help_panel=_RECIPE)
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.", rich_help_panel=_RECIPE)] = None,
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting as name=value; repeatable.", rich_help_panel=_RECIPE),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.", rich_help_panel=_OUTPUT)] = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="Name of the search and of its run.", rich_help_panel=_OUTPUT)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.", rich_help_panel=_OUTPUT)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Search for better settings than a recipe's.

    Trials are measured on validation images. The best is trained again and measured once on the test images, beside
    the plain recipe. The same command goes on with a search that was stopped.

    Examples:
        sightline tune photos/ --trials 30
        sightline tune photos/ --time 20m --recipe cnn-dropout
        sightline tune photos/ --trials 50 --space space.toml
    """
    from sightline.machine import process_start

    started = process_start()
    from sightline.api import tuning
    from sightline.display.terminal import Terminal, outlived
    from sightline.installation import require_extra

    require_extra("tune", "a search")
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
    asked: dict[str, Any] = {"trials": trials, "space": space, "sampler": sampler, "pruner": pruner}
    shown: dict[str, Any] = {"out": out, "name": name, "started": started, "display": Terminal(quiet=quiet)}
    try:
        run = tuning.tune(data, recipe, storage=storage, new=new, **asked, **shown, **settings)
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
    folder = out / search.get("folder", "")
    beside = {"best": "-plain", "plain": "-best"}[search["ships"]]
    other = run.folder.with_name(run.folder.name + beside)
    if as_json:
        print_result(run, as_json=True, more={"search": {**search, "folder": str(folder)}})
        return
    print_result(run, as_json=False)
    print(f"\n{search['sentence']}")
    if test := search.get("test", {}).get("sentence"):
        print(f"On the measured images: {test}")
    print(f"\nSearch      {folder} (trials.csv, best.toml)")
    if other.is_dir():
        print(f"Beside it   {other}")
        pair = (run, other) if beside == "-best" else (other, run)
        first, second = (shlex.quote(str(getattr(one, "folder", one))) for one in pair)
        print(f"\nNext: sightline compare {first} {second}")
