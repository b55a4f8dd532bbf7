"""``sightline shrink``: smaller and faster versions of a classifier, and what each costs. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sightline.runs.versions_record import OnTest, VersionsRecord

__all__ = ["shrink"]


def shrink(
    run: Annotated[str, typer.Argument(help="A run's folder or name, or latest.")] = "latest",
    only: Annotated[
        list[str] | None, typer.Option(help="Try this version alone: folded, float16, int8 or mixed; repeatable.")
    ] = None,
    max_loss: Annotated[
        float, typer.Option(help="Points of accuracy that a version may lose, at the upper end of the interval.")
    ] = 1.0,
    data: Annotated[str, typer.Option(help="Folder where the run's images are now, if they moved.")] = "",
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Make smaller and faster versions of a classifier.

    Compares int8, float16 and others with it on validation, and writes the best that loses little enough.

    Examples:
        sightline shrink latest --max-loss 25
    """
    from sightline.api import shrinking
    from sightline.cli.latest import resolve_latest

    found = resolve_latest(run, runs)
    shrunk = shrinking.shrink(found, versions=only or (), max_loss=max_loss, moved_to=data, runs=runs)
    if as_json:
        print(json.dumps({**shrunk.record.to_dict(), "run": None if shrunk.run is None else str(shrunk.run.folder)}))
        return
    _print_versions(shrunk.record)
    if shrunk.record.test is not None:
        _print_test(shrunk.record, shrunk.record.test)
    if shrunk.run is None:
        print("\nNothing was written: the classifier stays as it is.")
    else:
        print(f"\nVersion  {shrunk.run.folder}\nNext     sightline predict {shrunk.run.folder} IMAGES")


def _print_versions(record: VersionsRecord) -> None:
    from sightline.text import count_of, printable, readable_bytes, share, signed

    where = f"{printable(record.processor)}, {count_of(record.threads, 'thread')}"
    print(f"On {count_of(record.images, 'validation image')}; milliseconds an image on {where}, medians\n")
    rows = [("version", "size", "alone", "of 32", "speed", "accuracy", "points (95 %)", "decisions changed")]
    for row in record.rows:
        values = (row.difference, row.low, row.high)
        points = (
            "{} ({} to {})".format(*(signed(100 * value) for value in values)) if not row.answers_the_same else "none"
        )
        rows.append(
            (
                row.name,
                readable_bytes(row.bytes),
                f"{row.alone:.2f}",
                f"{row.together:.2f}",
                f"{row.speed(record.original):.2f} x",
                share(row.accuracy),
                "" if row is record.original else points,
                "" if row is record.original else f"{row.changed:,}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for cells in rows:
        line = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
        print(f"{cells[0]:<{widths[0]}}  {line}".rstrip())
    print()
    for row in record.rows[1:]:
        slow = "" if row.speed(record.original) > 1 else "; not faster than float32 on this machine"
        print(f"{row.name}: {row.verdict}{slow}")
    print(f"Chosen: {record.chosen}, {record.reason}" if record.chosen else f"Chosen: none, {record.reason}")


def _print_test(record: VersionsRecord, test: OnTest) -> None:
    from sightline.text import count_of, printable, share, signed

    part = "test images, once" if test.part == "test" else "validation images, for want of a test"
    print(f"\nOn {count_of(test.n, 'image')} ({part}): {printable(test.verdict)}\n")
    values = (test.difference, test.low, test.high)
    rows = [
        ("", "float32", record.chosen),
        ("accuracy", *map(share, test.accuracy)),
        ("log-loss", *(f"{value:.4f}" for value in test.log_loss)),
        ("temperature", *(f"{value:.3f}" for value in test.temperature)),
        ("called new", *(("no limit", "no limit") if test.new is None else map(share, test.new))),
    ]
    width = max(len(row[1]) for row in rows)
    for name, first, second in rows:
        print(f"{name:<12}  {first:>{width}}  {second:>{width}}")
    points = "{} points ({} to {})".format(*(signed(100 * value) for value in values))
    print(f"accuracy differs by {points}; {count_of(test.changed, 'decision')} changed")
