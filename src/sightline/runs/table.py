"""The runs of a folder as a table: one row a run, what is damaged included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.evaluation.metrics import METRICS, find_metric, intervals_in
from sightline.runs.facts_file import refuse_unfit
from sightline.runs.folder import RUNS_FOLDER, Run
from sightline.runs.metrics_file import read_metrics
from sightline.runs.safe_files import read_json
from sightline.text import csv_text, did_you_mean, guarded

__all__ = ["COLUMNS", "RunRow", "read_rows", "rows_csv", "sort_rows"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as far as its files say; None is what they don't.

    Attributes:
        name: of the folder.
        status: ``finished``, ``running``, ``interrupted``, ``failed``, or ``damaged``.
        data: what was trained on, as it was typed.
        network: its name.
        accuracy_low, accuracy_high: ends of the interval of the accuracy of the measured images.
        n: images that it rests on.
        n_effective: how many independent images those are worth; None where all are independent.
        part: which they are, ``test`` or ``val``.
        seconds: that the run took.
        started: ISO 8601, UTC.
        problem: what is damaged; empty for the others.
        metrics: name -> value, of all ``METRICS`` that the run has; each is a column too.
    """

    name: str
    status: str
    data: str | None = None
    network: str | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    n: int | None = None
    n_effective: int | None = None
    part: str | None = None
    seconds: float | None = None
    started: str | None = None
    problem: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    def value(self, column: str) -> str | float | None:
        """Return what stands in one of ``COLUMNS``; None where the run does not tell."""
        value: str | float | None = self.metrics.get(column) if column in METRICS else getattr(self, column)
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return every column as a JSON-able value."""
        return {column: self.value(column) for column in COLUMNS}


_ABOUT_ACCURACY = ("accuracy", "accuracy_low", "accuracy_high", "n", "n_effective", "part")
COLUMNS = (
    *("name", "status", "data", "network"),
    *_ABOUT_ACCURACY,
    *(name for name in METRICS if name != "accuracy"),
    *("seconds", "started", "problem"),
)


def read_rows(folder: str | Path = RUNS_FOLDER) -> list[RunRow]:
    """Return a row for each run in a folder, oldest first; damaged ones come first of all.

    Raises:
        InputError: if there is no such folder.

    Example:
        ``[row.name for row in read_rows("runs") if row.status == "finished"]``
    """
    parent = Path(folder)
    if not parent.is_dir():
        cure = "name the folder that holds your runs, or train first: sightline train DATA"
        raise InputError("runs.missing", f"there is no folder {str(parent)!r}", cure)
    rows = [_read_row(path.parent) for path in parent.glob("*/run.json")]
    return sorted(rows, key=lambda row: (row.started or "", row.name))


def _read_row(folder: Path) -> RunRow:
    """Read ``run.json`` and ``metrics.json`` alone; whatever is wrong with them makes a damaged row, no error."""
    run, facts = Run(folder), {}
    try:
        file = run.facts_file
        facts = read_json(file)
        refuse_unfit(facts)
        known = {
            "status": str(facts["status"]),
            "data": _text(facts.get("data")),
            "network": _text(facts.get("model")),
            "seconds": _number(facts.get("seconds")),
            "started": _text(facts.get("started")),
        }
        file = run.metrics_file
        return RunRow(folder.name, **known, **(_measured(file) if file.is_file() else {}))  # type: ignore[arg-type]
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        started = facts.get("started") if isinstance(facts, dict) else None
        problem = f"{file.relative_to(folder).as_posix()}: {what}"
        return RunRow(folder.name, "damaged", started=started if isinstance(started, str) else None, problem=problem)


def _measured(file: Path) -> dict[str, Any]:
    metrics = read_metrics(file)
    found = intervals_in(metrics)
    accuracy = found[METRICS["accuracy"]]
    return {
        "accuracy_low": float(accuracy.low),
        "accuracy_high": float(accuracy.high),
        "n": int(accuracy.n),
        "n_effective": accuracy.n_effective,
        "part": _text(metrics.get("part")),
        "metrics": {metric.name: float(interval.value) for metric, interval in found.items()},
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def sort_rows(rows: Sequence[RunRow], column: str, *, reverse: bool = False) -> list[RunRow]:
    """Return rows by a column; rows without a value come last.

    Metrics are sorted from the best value on, other numbers from the greatest down, text from A to Z.

    Args:
        rows: of ``read_rows``.
        column: one of ``COLUMNS``.
        reverse: the other way round; what has no value stays last.

    Raises:
        InputError: if there is no such column.

    Example:
        >>> rows = [RunRow("a", "finished", metrics={"log_loss": 0.4}), RunRow("b", "failed")]
        >>> rows.append(RunRow("c", "finished", metrics={"log_loss": 0.3}))
        >>> [row.name for row in sort_rows(rows, "log_loss")]
        ['c', 'a', 'b']
    """
    metric = find_metric(column)
    column = metric.name if metric else column
    if column not in COLUMNS:
        cure = did_you_mean(column, COLUMNS, f"sort by {', '.join(COLUMNS)}")
        raise InputError("runs.column", f"there is no column {column!r}", cure)
    valued = [row for row in rows if (value := row.value(column)) not in (None, "") and not _is_nan(value)]
    known = {id(row) for row in valued}
    is_falling = not isinstance(valued[0].value(column), str) if valued else False
    if metric:
        is_falling = metric.is_higher_better
    valued.sort(key=lambda row: row.value(column), reverse=is_falling != reverse)  # type: ignore[arg-type, return-value]
    return [*valued, *(row for row in rows if id(row) not in known)]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def rows_csv(rows: Sequence[RunRow]) -> str:
    """Return rows as CSV with a header; what is not known is an empty cell."""
    cells = [["" if value is None else guarded(value) for value in row.to_dict().values()] for row in rows]
    return csv_text([COLUMNS, *cells])
