"""``sightline export``: make a classifier of a run's best epoch so far, in one format or in two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[str, typer.Argument(help="A run's folder or name.")],
    format: Annotated[str, typer.Option("--format", help="onnx; pt2 too is written beside model.onnx.")] = "onnx",
    data: Annotated[str, typer.Option(help="Folder where the run's images are now, if they moved.")] = "",
    without_images: Annotated[
        bool, typer.Option("--without-images", help="Measure again without images which are gone.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Make a classifier of the best epoch of a run.

    For a run that was interrupted, or to get a further format: exports, evaluates and reports.

    Examples:
        sightline export first
    """
    from sightline.api import training
    from sightline.cli.latest import resolve_latest
    from sightline.cli.train import print_result

    found = resolve_latest(run, runs)
    exported = training.export(found, format, moved_to=data, without_images=without_images, runs=runs)
    print_result(exported, as_json=as_json)
    if not as_json and format != "onnx":
        proof = exported.facts["export"]["formats"][format]
        proved = f"same decisions as the network on {proof['images']} images"
        print(f"Also        {exported.classifier_folder / proof['file']}: {proved}")
