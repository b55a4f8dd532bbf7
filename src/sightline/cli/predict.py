"""``sightline predict``: classes for files, folders, patterns, or a list on stdin. Needs no torch."""

from __future__ import annotations

import glob
import io
import json
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.data_options import FollowLinks
from sightline.cli.plain_output import print_table_text

if TYPE_CHECKING:
    from sightline.runtime.classifier import Classifier
    from sightline.runtime.predictions import Prediction, Predictions

__all__ = ["Format", "predict", "print_one"]

_REASONS = {"new": "unlike the training images", "unsure": "less confident than required"}


class Format(StrEnum):
    """How predictions are printed."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


def predict(
    model: Annotated[str, typer.Argument(help="A run, a classifier folder, a model.onnx, or latest.")],
    sources: Annotated[list[str], typer.Argument(help="Image files, folders or patterns; - reads a list from stdin.")],
    top: Annotated[int | None, typer.Option("--top-k", min=1, help="Print only the K most probable classes.")] = None,
    least: Annotated[
        str, typer.Option("--min-confidence", help="Answer unknown below this: 0 to 1, or auto (chosen on validation).")
    ] = "0",
    most: Annotated[
        str,
        typer.Option(
            "--max-novelty",
            help="Answer unknown above this: a number, or auto (at most 5 % of images similar to the validation set).",
        ),
    ] = "auto",
    sets: Annotated[
        bool,
        typer.Option(
            "--sets", help="Also print a set of classes that contains the true class for 90 % of similar images."
        ),
    ] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            help="In folders, leave out files and folders of this name or pattern, such as '*_mask.png'; repeatable.",
        ),
    ] = None,
    follow_links: FollowLinks = False,
    form: Annotated[Format | None, typer.Option("--format", help="How predictions are printed.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Predict the classes of images.

    A file that can't be read is an error row, and the exit code is 3.

    Examples:
        sightline predict latest photo.jpg
        sightline predict latest photos/ --format csv --top-k 2
    """
    from sightline.api.loading import load
    from sightline.cli.latest import resolve_latest

    limits: dict[str, Any] = {"min_confidence": _parse_number(least), "max_novelty": _parse_number(most)}
    classifier = load(resolve_latest(model, runs), runs=runs)
    mass = _mass_of(classifier, form) if sets else None
    images = _find(sources, skip or [], follow_links)
    first = list(islice(images, 2))
    if not first:
        from sightline.errors import InputError

        raise InputError(
            "predict.nothing", f"no images in {' '.join(sources)}", "name image files or folders with images"
        )
    if len(first) == 1 and form is None and not as_json:
        said = classifier.predict(first, **limits)
        print_one(said[0], most=top)
        if mass is not None:
            print(f"Set: {_listed(said.sets(mass)[0])}")
        raise typer.Exit(3 if said.count_bad else 0)
    parts = classifier.predict_stream(chain(first, images), **limits)
    counts = _print_stream(parts, form or Format.table, top, mass, as_json)
    if counts[1]:
        print(f"{counts[1]:,} of {counts[0]:,} files could not be read", file=sys.stderr)
        raise typer.Exit(3)


def _mass_of(classifier: Classifier, form: Format | None) -> float:
    """Return what sets are made with.

    Raises:
        InputError: for CSV, which has no lists, and for a classifier that can make no promise.
    """
    from sightline.errors import InputError

    if form is Format.csv:
        raise InputError("predict.sets", "--sets prints lists, which CSV can't hold", "add --format jsonl, or --json")
    if classifier.bundle.set_mass is None:
        message = "this classifier was made with too few validation images to make sets"
        raise InputError("predict.sets", message, "train with 200 validation images or more, or leave out --sets")
    return classifier.bundle.set_mass


def _listed(names: tuple[str, ...]) -> str:
    from sightline.text import printable

    return ", ".join(map(printable, names))


def _parse_number(text: str) -> float | str:
    """Return the number that was typed, or the word, which the classifier interprets."""
    try:
        return float(text)
    except ValueError:
        return text


def print_one(row: Prediction, *, most: int | None = None) -> None:
    """Print one image's prediction for a person: the class, then every class in falling order."""
    from sightline.text import printable, share

    if row.error:
        print(f"error  {printable(row.path)}: {printable(row.error)}")
        return
    said = f"{printable(row.label or '')} ({share(row.confidence, 2)})"
    print(f"Predicted: unknown, {_REASONS[row.unknown]}; most like {said}" if row.unknown else f"Predicted: {said}")
    width = max(len(printable(name)) for name, _ in row.top[:most])
    for name, value in row.top[:most]:
        print(f"  {printable(name):<{width}}  {share(value, 2):>8}")


def _find(sources: list[str], skip: list[str], follow_links: bool) -> Iterator[str]:
    """Yield the images that were named; a name that matches nothing is passed on, and becomes an error row."""
    for source in sources:
        if source == "-":
            yield from _listed_on_stdin()
        elif os.path.isdir(source):  # noqa: PTH112  (unlike Path.is_dir it never raises)
            from sightline.cli.named_folders import images_of

            yield from images_of(source, skip, follow_links)
        elif not os.path.exists(source) and glob.has_magic(source):  # noqa: PTH110
            yield from _expand(source)
        else:
            yield source


def _listed_on_stdin() -> Iterator[str]:
    from sightline.data.path_lists import read_paths

    binary = getattr(sys.stdin, "buffer", None)
    yield from read_paths(io.BytesIO(sys.stdin.read().encode()) if binary is None else binary)


def _expand(pattern: str) -> list[str]:
    """Return what a pattern matches, ``**`` included; a shell does that too, but not on Windows or in quotes."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (Path.glob refuses absolute ones)
    if not found:
        print(f"no file matches {pattern!r}", file=sys.stderr)
    return found or [pattern]


def _print_stream(
    parts: Iterator[Predictions], form: Format, top: int | None, mass: float | None, as_json: bool
) -> tuple[int, int]:
    """Print predictions as they come; returns (all, unreadable)."""
    total = bad = 0
    documents: list[dict[str, object]] = []
    for part in parts:
        if as_json:
            documents += part.to_dicts(top=top, mass=mass)
        elif form is Format.csv:
            print_table_text(part.to_csv(top=top, header=total == 0))
        elif form is Format.jsonl:
            print_table_text(part.to_jsonl(top=top, mass=mass))
        else:
            _print_table(part, top, mass)
        total += len(part)
        bad += part.count_bad
    if as_json:
        print(json.dumps({"schema_version": 1, "predictions": documents}))
    return total, bad


def _print_table(part: Predictions, top: int | None, mass: float | None) -> None:
    from sightline.text import printable, share

    sets = part.sets(mass) if mass is not None else [()] * len(part)
    for row, held in zip(part, sets, strict=True):
        if row.error:
            print(f"{printable(row.path)}  error: {printable(row.error)}")
        else:
            shown = "  ".join(f"{printable(name)} {share(value, 2)}" for name, value in row.top[: top or 1])
            shown = f"unknown ({row.unknown}): {shown}" if row.unknown else shown
            print(f"{printable(row.path)}  {shown}{f'  set: {_listed(held)}' if held else ''}")
