"""``sightline export``: make a classifier of a run's best epoch so far, or a further format of one that ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sightline.api.exporting import Exported

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(help="A run; for formats made from model.onnx also a classifier folder.")],
    format: Annotated[
        str,
        typer.Option("--format", help="onnx, any-size, web, openvino, hf, pt2, tflite or coreml; see docs/export.md."),
    ] = "onnx",
    out: Annotated[str, typer.Option(help="File or folder to write, in place of the one beside model.onnx.")] = "",
    data: Annotated[
        str, typer.Option(help="Where the run's images are now; for a classifier folder, images to compare on.")
    ] = "",
    without_images: Annotated[
        bool, typer.Option("--without-images", help="Measure again without images which are gone.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Make a run's classifier, or a further format of one.

    Of a run, its best epoch is taken. Every file is compared with the network on real images, and
    withdrawn if it decides differently.

    Examples:
        sightline export first
        sightline export first --format any-size
    """
    from sightline.api import exporting, training
    from sightline.cli.latest import resolve_latest
    from sightline.cli.train import print_result

    found = resolve_latest(model, runs)
    if exporting.is_shipped(found, format, runs=runs):
        made = exporting.convert(found, format, out=out, data=data, runs=runs)
        _print_made(made, as_json)
        return
    if out:
        from sightline.errors import InputError

        cure = "leave --out out: these files lie in the run's folder; copy them from there"
        raise InputError(
            "export.output", f"--out is for formats made from model.onnx, which {format} is not here", cure
        )
    exported = training.export(found, format, moved_to=data, without_images=without_images, runs=runs)
    print_result(exported, as_json=as_json)
    if not as_json and format != "onnx":
        from sightline.exporting.proof import ParityProof

        facts = exported.facts["export"]["formats"][format]
        print(f"Also        {exported.classifier_folder / facts['file']}: {ParityProof.from_dict(facts).words()}")


def _print_made(made: Exported, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"schema_version": 1, **made.to_dict()}))
        return
    print(f"\n{made.path}\n  {made.proof.words()}")
