"""``sightline runs``: the runs of a folder as a table."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.cli.plain_output import print_table_text

if TYPE_CHECKING:
    from sightline.evaluation.metrics import Metric
    from sightline.runs.table import RunRow

__all__ = ["runs"]

_LOOKED_AT = 20  # runs, for two that can be compared


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    sort: Annotated[
        str,
        typer.Option(help="Column: metrics from the best on, other numbers from the largest down, text from A to Z."),
    ] = "",
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """List the runs of a folder, oldest first.

    Shows status, data, network, accuracy with its interval, and time.

    Examples:
        sightline runs
        sightline runs --sort accuracy --csv
    """
    from sightline.runs.table import read_rows, rows_csv, sort_rows

    rows = read_rows(folder)
    if sort:
        rows = sort_rows(rows, sort, reverse=reverse)
    elif reverse:
        rows = rows[::-1]
    if as_json:
        print(json.dumps({"schema_version": 1, "folder": str(folder), "runs": [row.to_dict() for row in rows]}))
    elif as_csv:
        print_table_text(rows_csv(rows))
    else:
        _print_table(folder, rows, sort)


def _print_table(folder: Path, rows: list[RunRow], sort: str) -> None:
    from sightline.installation import missing_modules
    from sightline.text import printable

    if not rows:
        print(f"{printable(str(folder))} has no runs yet.\n\nNext: sightline train DATA")
        return
    shown = _shown_metric(sort)
    right = {"accuracy", shown.words, "took"}
    table = [_cells(row, shown) for row in rows]
    heads = list(table[0])
    cells = [heads, *([printable(cell) for cell in row.values()] for row in table)]
    width = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    for line in cells:
        aligned = [
            f"{cell:>{width[column]}}" if heads[column] in right else f"{cell:<{width[column]}}"
            for column, cell in enumerate(line)
        ]
        print("  ".join(aligned).rstrip())
    damaged = [row for row in rows if row.problem]
    for row in damaged:
        print(f"\ndamaged: {printable(row.name)}: {printable(row.problem)}")
    pair = [] if missing_modules("light") else _comparable(folder, rows)  # compare needs it
    if pair:
        print(f"\nNext: sightline compare {' '.join(map(shlex.quote, pair))} --runs {shlex.quote(str(folder))}")


def _comparable(folder: Path, rows: list[RunRow]) -> list[str]:
    """Return the first two runs shown that ``compare`` takes: the same classes and measured images; else nothing."""
    from sightline.errors import SightlineError
    from sightline.runs.folder import Run
    from sightline.runs.measured import read_measured

    names: dict[tuple[str, ...], list[str]] = {}
    for row in rows[:_LOOKED_AT]:
        run = Run(folder / row.name)
        if not row.metrics or row.problem or run.is_repeated:
            continue
        try:
            measured = read_measured(run)
        except SightlineError:  # sightline verify says what is wrong with it
            continue
        same = names.setdefault((*sorted(measured.classes), "", *sorted(measured.digests)), [])
        same.append(row.name)
        if len(same) == 2:
            return same
    return []


def _shown_metric(sort: str) -> Metric:
    """Return the metric beside accuracy: that which is sorted by, else macro F1."""
    from sightline.evaluation.metrics import METRICS, find_metric

    metric = find_metric(sort)
    return metric if metric and metric.name != "accuracy" else METRICS["macro_f1"]


def _cells(row: RunRow, beside: Metric) -> dict[str, str]:
    from sightline.evaluation.intervals import Interval
    from sightline.text import duration

    accuracy, value = "-", row.metrics.get("accuracy")
    if value is not None and row.accuracy_low is not None and row.accuracy_high is not None:
        accuracy = str(Interval(value, row.accuracy_low, row.accuracy_high, row.n or 0, "", row.n_effective))
        accuracy += "" if row.part == "test" else f" {row.part}"
    return {
        "run": row.name,
        "status": row.status,
        "data": _end_of(row.data or "-"),
        "network": row.network or "-",
        "accuracy": accuracy,
        beside.words: "-" if beside.name not in row.metrics else f"{row.metrics[beside.name]:.3f}",
        "took": "-" if row.seconds is None else duration(row.seconds),
        "started": "-" if row.started is None else row.started[:16].replace("T", " "),
    }


def _end_of(path: str, most: int = 32) -> str:
    return path if len(path) <= most else f"...{path[3 - most :]}"
