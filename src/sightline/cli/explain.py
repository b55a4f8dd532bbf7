"""``sightline explain``: images of what moved the score of a class."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.data_options import FollowLinks

if TYPE_CHECKING:
    from sightline.reporting.explained import Explained

__all__ = ["Method", "explain"]


class Method(StrEnum):
    """How the regions that moved the score are found."""

    auto = "auto"
    gradcam = "gradcam"
    occlusion = "occlusion"


def explain(
    model: Annotated[str, typer.Argument(help="A run, a classifier folder, a model.onnx, or latest.")],
    images: Annotated[list[str], typer.Argument(help="Image files, or folders of them.")],
    class_name: Annotated[str, typer.Option("--class", help="Explain this class instead of the predicted one.")] = "",
    method: Annotated[Method, typer.Option(help="auto: both methods if the run's network is at hand.")] = Method.auto,
    cells: Annotated[int, typer.Option(help="Occlusion: patches per side, 3 to 32; more are finer and slower.")] = 7,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            help="In folders, leave out files and folders of this name or pattern, such as '*_mask.png'; repeatable.",
        ),
    ] = None,
    follow_links: FollowLinks = False,
    out: Annotated[Path, typer.Option(help="Folder for the drawings; no file in it is replaced.")] = Path(
        "explanations"
    ),
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Draw which regions of images moved the score of a class.

    A file that can't be read is an error row: exit code 3.

    Examples:
        sightline explain latest photo.jpg
        sightline explain latest photo.jpg --method occlusion --cells 14 --out why
    """
    from sightline.api import loading, measuring
    from sightline.cli.latest import resolve_latest
    from sightline.errors import InputError
    from sightline.installation import require_extra
    from sightline.reporting.explained import CAVEAT
    from sightline.runs.targets import refuse_folder_target

    require_extra("light", "drawing explanations")
    _refuse_output(out)
    refuse_folder_target(out, "choose another --out")
    classifier = loading.load(resolve_latest(model, runs), runs=runs)
    files = _find(images, skip or [], follow_links)
    if not files:
        raise InputError("predict.nothing", f"no images in {' '.join(images)}", "name image files or folders of them")
    explained = measuring.explain(classifier, files, method=method.value, class_name=class_name, cells=cells)
    written = [None if one.error else _write(one, out) for one in explained]
    if as_json:
        print(json.dumps(_document(explained, written)))
    else:
        for one, path in zip(explained, written, strict=True):
            _print_row(one, path)
        print(f"\n{CAVEAT}")
    if None in written:
        raise typer.Exit(3)


def _refuse_output(out: Path) -> None:
    """Raise before anything is drawn: drawings are marked as such, so they don't lie among a person's own files."""
    from sightline.data.own_output import is_own_output
    from sightline.errors import InputError

    cure = "give --out the name of a new folder"
    if out.exists() and not out.is_dir():
        raise InputError("explain.output", f"{out} is a file", cure)
    names = [path.name for path in out.iterdir()] if out.is_dir() else []
    if names and not is_own_output(names):
        raise InputError("explain.output", f"{out} holds other files: drawings among them would become data", cure)


def _find(images: list[str], skip: list[str], follow_links: bool) -> list[str]:
    """Return the images that were named, and those in folders that were."""
    from sightline.cli.named_folders import images_of

    found: list[str] = []
    for name in images:
        found += images_of(name, skip, follow_links) if Path(name).is_dir() else [name]
    return found


def _write(one: Explained, folder: Path) -> Path:
    """Save the figure under a name that is free; "x" makes sure that nothing is replaced."""
    from sightline.data.own_output import mark_as_own
    from sightline.reporting.canvas import any_letters

    folder.mkdir(parents=True, exist_ok=True)
    mark_as_own(folder)
    figure = one.figure()
    stem = re.sub(r"[^\w-]+", "-", Path(one.path).stem).strip("-")[:60] or "image"
    number = 1
    while True:
        path = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        try:
            with path.open("xb") as file, any_letters():
                figure.savefig(file, format="png", dpi=110, facecolor="white")
            return path
        except FileExistsError:
            number += 1


def _document(explained: tuple[Explained, ...], written: list[Path | None]) -> dict[str, Any]:
    rows = [
        {**one.to_dict(), "image": None if path is None else str(path)}
        for one, path in zip(explained, written, strict=True)
    ]
    return {"schema_version": 2, "explanations": rows}


def _print_row(one: Explained, path: Path | None) -> None:
    from sightline.text import printable, share

    if one.error:
        print(f"{printable(one.path)}  error: {printable(one.error)}")
        return
    agree = "" if one.agreement is None else f"; the two maps agree with rank correlation {one.agreement:.2f}"
    print(f"{printable(one.path)}  {printable(one.label or '')} {share(one.confidence, 2)}{agree}\n  {path}")
