"""Predictions on stdout: for a person, as CSV, as JSON lines, as one JSON document; printed as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sightline.cli.plain_output import print_table_text

if TYPE_CHECKING:
    from sightline.runtime.predictions import Prediction, Predictions

__all__ = ["listed_classes", "print_document", "print_one", "print_rows"]

_REASONS = {"new": "unlike the training images", "unsure": "less confident than required"}


def listed_classes(names: tuple[str, ...]) -> str:
    """Return the names of a set of classes."""
    from sightline.text import printable

    return ", ".join(map(printable, names))


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


def print_rows(parts: Iterator[Predictions], form: str, top: int | None, mass: float | None) -> Iterator[Predictions]:
    """Print parts of predictions as ``table``, ``csv`` or ``jsonl``, and yield each when it is printed."""
    is_first = True
    for part in parts:
        if form == "csv":
            print_table_text(part.to_csv(top=top, header=is_first))
        elif form == "jsonl":
            print_table_text(part.to_jsonl(top=top, mass=mass))
        else:
            _print_table(part, top, mass)
        is_first = False
        yield part


def print_document(parts: Iterator[Predictions], top: int | None, mass: float | None) -> Iterator[Predictions]:
    """Print one JSON document part by part, so that none of it is held, and yield each part when it is printed.

    If it ends in an error the document stays open, which no reader of JSON takes for whole.
    """
    before = '{"schema_version": 1, "predictions": ['
    for part in parts:
        print(before + ", ".join(map(json.dumps, part.to_dicts(top=top, mass=mass))), end="")
        before = ", "
        yield part
    print(f"{before if before != ', ' else ''}]}}")


def _print_table(part: Predictions, top: int | None, mass: float | None) -> None:
    from sightline.text import printable, share

    sets = part.sets(mass) if mass is not None else [()] * len(part)
    for row, held in zip(part, sets, strict=True):
        if row.error:
            print(f"{printable(row.path)}  error: {printable(row.error)}")
        else:
            shown = "  ".join(f"{printable(name)} {share(value, 2)}" for name, value in row.top[: top or 1])
            shown = f"unknown ({row.unknown}): {shown}" if row.unknown else shown
            print(f"{printable(row.path)}  {shown}{f'  set: {listed_classes(held)}' if held else ''}")
