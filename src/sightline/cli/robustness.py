"""``sightline robustness``: what blur, noise, compression, light, a turn and few pixels cost. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.data_options import FollowLinks, Layout, Skip

if TYPE_CHECKING:
    from sightline.evaluation.corruption_drops import Robustness

__all__ = ["robustness"]

_CHANCE = 0.05


def robustness(
    model: Annotated[str, typer.Argument(help="A run, a classifier folder, a model.onnx, or latest.")] = "latest",
    data: Annotated[
        str | None, typer.Argument(help="Labelled images; by default those that the run was evaluated on.")
    ] = None,
    images: Annotated[
        int, typer.Option(help="Use at most this many images, drawn evenly; each is predicted 25 times.")
    ] = 500,
    moved_to: Annotated[
        str, typer.Option("--data", help="Folder where the run's own images are now, if they moved.")
    ] = "",
    layout: Layout = None,
    skip: Skip = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Images that belong together: a column, or a regular expression on paths; by default as in training."
        ),
    ] = None,
    follow_links: FollowLinks = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Evaluate a classifier on corrupted images.

    Applies 8 corruptions in 3 severities to the same images.

    Examples:
        sightline robustness latest --images 12
    """
    from sightline.api import loading, measuring
    from sightline.cli.latest import resolve_latest
    from sightline.runs.lookup import run_of_classifier

    classifier = loading.load(resolve_latest(model, runs), runs=runs)
    reading: dict[str, Any] = {"layout": layout or "", "skip": skip or (), "follow_links": follow_links}
    measured = measuring.measure_robustness(classifier, data, images=images, moved_to=moved_to, group=group, **reading)
    if as_json:
        print(json.dumps(measured.to_dict()))
    else:
        _print_table(measured)
        run = run_of_classifier(classifier.path)
        if data is None and run is not None:
            print(f"\nFigures  {run.robustness_file}\nReport   {run.report_file}")
    if measured.count_bad:
        raise typer.Exit(3)


def _print_table(measured: Robustness) -> None:
    from sightline.text import printable, signed

    width = max(len(row.words) for row in measured.rows)
    print(f"{'as they are':<{width + 12}}  {measured.accuracy}")
    for row in measured.rows:
        drop = row.drop
        change = f"{signed(-100 * drop.points)} points, {drop.lost} lost, {drop.gained} gained"
        sure = "" if drop.p < _CHANCE else ", can be chance"
        print(f"{row.corruption:<10}  {row.words:<{width}}  {drop.accuracy}  {change}{sure}")
    for path in measured.bad:
        print(f"{printable(path)}  error: can't be read, or changed since")
