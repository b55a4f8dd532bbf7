"""``sightline predict``: classes for files, folders, patterns, archives, tables, lists. Needs no torch."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from sightline.cli.data_options import FollowLinks
from sightline.cli.predicted_rows import listed_classes, print_document, print_one, print_rows

if TYPE_CHECKING:
    from sightline.predicting.named_images import Named
    from sightline.runtime.classifier import Classifier

__all__ = ["Format", "predict"]


class Format(StrEnum):
    """How predictions are printed or written."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


def predict(
    model: Annotated[str, typer.Argument(help="A run, a classifier folder, a model.onnx, or latest.")],
    sources: Annotated[
        list[str],
        typer.Argument(help="Images, folders, patterns, archives, tables, lists of paths; - reads a list from stdin."),
    ],
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
    form: Annotated[
        Format | None, typer.Option("--format", help="How predictions are printed; of --out: by its ending.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File for predictions: .csv, .jsonl or .parquet; it appears when it is whole."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an --out that was stopped or killed.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="Only this part of the images, such as 3/64 (from 0/64 on), into a file of its own."),
    ] = None,
    sort_into: Annotated[
        Path | None, typer.Option("--sort-into", help="New folder: copy the images into a folder for each answer.")
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="With --sort-into: make links in place of copies.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --sort-into: print what would be done.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Predict the classes of images.

    A file that can't be read is an error row, and the exit code is 3.

    Examples:
        sightline predict latest photo.jpg
        sightline predict latest photos/ --format csv --top-k 2
        sightline predict latest photos/ --out said.csv
        sightline predict latest photos/ --sort-into sorted --dry-run
    """
    from sightline.api.loading import load
    from sightline.cli.latest import resolve_latest

    if sort_into is not None:
        from sightline.predicting.sorting import refuse_sort_target

        refuse_sort_target(sort_into, sources, resume=resume or shard is not None)
        out = out or sort_into.with_name(f"{sort_into.name}.csv")
    elif link or dry_run:
        _refuse_unsorted("--link" if link else "--dry-run")
    file_form = _file_form(out, form, sets) if out is not None else None
    if out is None:
        _refuse_without_file(form, resume, shard)
    limits: dict[str, Any] = {"min_confidence": _parse_number(least), "max_novelty": _parse_number(most)}
    classifier = load(resolve_latest(model, runs), runs=runs)
    mass = _mass_of(classifier, form) if sets else None
    if out is not None and file_form is not None:
        from sightline.cli.predict_to_file import predict_to_file, show_sorting
        from sightline.data.choices import FindingChoices
        from sightline.predicting.request import Request
        from sightline.predicting.shards import WHOLE, Shard

        choices = FindingChoices(skip=tuple(skip or ()), follow_links=follow_links)
        part = Shard.parse(shard) if shard else WHOLE
        sort = "" if sort_into is None else str(sort_into)
        request = Request(
            tuple(sources), file_form, top, mass, **limits, choices=choices, shard=part, sort=sort, link=link
        )
        if dry_run:
            raise typer.Exit(show_sorting(classifier, request, _stdin()))
        is_repeated = resume or part != WHOLE  # the same line of an array of jobs goes on with its part
        raise typer.Exit(predict_to_file(classifier, request, out, resume=is_repeated, as_json=as_json, stdin=_stdin()))
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
            print(f"Set: {listed_classes(said.sets(mass)[0])}")
        raise typer.Exit(3 if said.count_bad else 0)
    parts = classifier.predict_stream(chain(first, images), **limits)
    shown = print_document(parts, top, mass) if as_json else print_rows(parts, form or Format.table, top, mass)
    total = bad = 0
    for one in shown:
        total += len(one)
        bad += one.count_bad
    if bad:
        print(f"{bad:,} of {total:,} files could not be read", file=sys.stderr)
        raise typer.Exit(3)


def _file_form(out: Path, form: Format | None, sets: bool) -> str:
    """Return the format of the file that was asked for, before the model is read.

    Raises:
        InputError: if there is none, or it has no room for sets.
        MissingExtra: for Parquet without pyarrow.
    """
    from sightline.errors import InputError
    from sightline.predicting.output_formats import format_of

    if form is Format.table:
        raise InputError("predict.format", "--format table is for reading on a screen", "leave out --format or --out")
    found = format_of(out, form.value if form else None)
    if sets and found == "csv":
        _refuse_sets_in_csv("let --out end in .jsonl or .parquet")
    return found


def _refuse_without_file(form: Format | None, resume: bool, shard: str | None) -> None:
    """Raise for options that say how a file is written, where none is named."""
    from sightline.errors import InputError

    if form is Format.parquet:
        raise InputError("predict.format", "Parquet is not printed", "name a file: --out said.parquet")
    asked = "--resume" if resume else "--shard" if shard is not None else ""
    if asked:
        raise InputError("predict.no-file", f"{asked} needs a file to write", "name one: --out said.csv")


def _refuse_unsorted(option: str) -> None:
    from sightline.errors import InputError

    raise InputError("predict.sort", f"{option} says how images are sorted, and nothing is", "name --sort-into FOLDER")


def _refuse_sets_in_csv(cure: str) -> None:
    from sightline.errors import InputError

    raise InputError("predict.sets", "--sets prints lists, which CSV can't hold", cure)


def _mass_of(classifier: Classifier, form: Format | None) -> float:
    """Return what sets are made with.

    Raises:
        InputError: for CSV, which has no lists, and for a classifier that can make no promise.
    """
    from sightline.errors import InputError

    if form is Format.csv:
        _refuse_sets_in_csv("add --format jsonl, or --json")
    if classifier.bundle.set_mass is None:
        message = "this classifier was made with too few validation images to make sets"
        raise InputError("predict.sets", message, "train with 200 validation images or more, or leave out --sets")
    return classifier.bundle.set_mass


def _parse_number(text: str) -> float | str:
    """Return the number that was typed, or the word, which the classifier interprets."""
    try:
        return float(text)
    except ValueError:
        return text


def _find(sources: list[str], skip: list[str], follow_links: bool) -> Iterator[Named]:
    """Yield the images that were named; a name that matches nothing is passed on, and becomes an error row."""
    if all(map(_is_plain_image, sources)):  # without the rooms that find images in other things
        yield from sources
        return
    from sightline.data.choices import FindingChoices
    from sightline.events import Noted
    from sightline.predicting.named_images import list_images
    from sightline.text import printable

    for found in list_images(sources, FindingChoices(skip=tuple(skip), follow_links=follow_links), _stdin()):
        if isinstance(found, Noted):
            print(printable(found.message), file=sys.stderr)
        else:
            yield found


_PLAIN = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")


def _is_plain_image(source: str) -> bool:
    return source.lower().endswith(_PLAIN) and os.path.isfile(source)  # noqa: PTH113  (it never raises)


def _stdin() -> BinaryIO:
    binary: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    return io.BufferedReader(_Typed()) if binary is None else binary


class _Typed(io.RawIOBase):
    """Stdin as bytes, where it has none: it is read when it is needed."""

    def __init__(self) -> None:
        self._text: io.BytesIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._text = self._text or io.BytesIO(sys.stdin.read().encode())
        return self._text.readinto(buffer)
