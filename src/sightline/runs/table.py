"""The runs of a folder as a table: one row a run, what is damaged included."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.runs.folder import RUNS_FOLDER, Run
from sightline.text import csv_text

__all__ = ["COLUMNS", "RunRow", "read_rows", "rows_csv", "sort_rows"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as far as its files say; None is what they don't.

    Attributes:
        name: of the folder.
        status: ``finished``, ``running``, ``interrupted``, ``failed``, or ``damaged``.
        data: what was trained on, as it was typed.
        network: its name.
        accuracy, accuracy_low, accuracy_high: of the measured images, with the ends of the interval.
        n: images that it rests on.
        part: which they are, ``test`` or ``val``.
        macro_f1: of them.
        seconds: that the run took.
        started: ISO 8601, UTC.
        problem: what is damaged; empty for the others.
    """

    name: str
    status: str
    data: str | None = None
    network: str | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    n: int | None = None
    part: str | None = None
    macro_f1: float | None = None
    seconds: float | None = None
    started: str | None = None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


COLUMNS = tuple(RunRow.__dataclass_fields__)


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
        facts = _object(json.loads(file.read_bytes()))
        known = {
            "status": str(facts["status"]),
            "data": _text(facts.get("data")),
            "network": _text(facts.get("model")),
            "seconds": _number(facts.get("seconds")),
            "started": _text(facts.get("started")),
        }
        file = run.metrics_file
        return RunRow(folder.name, **known, **(_figures(file) if file.is_file() else {}))  # type: ignore[arg-type]
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        started = facts.get("started") if isinstance(facts, dict) else None
        problem = f"{file.relative_to(folder).as_posix()}: {what}"
        return RunRow(folder.name, "damaged", started=started if isinstance(started, str) else None, problem=problem)


def _figures(file: Path) -> dict[str, Any]:
    metrics = _object(json.loads(file.read_bytes()))
    accuracy = _object(metrics["accuracy"])
    return {
        "accuracy": float(accuracy["value"]),
        "accuracy_low": float(accuracy["low"]),
        "accuracy_high": float(accuracy["high"]),
        "n": int(accuracy["n"]),
        "part": _text(metrics.get("part")),
        "macro_f1": float(_object(metrics["macro_f1"])["value"]),
    }


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is of another form")
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def sort_rows(rows: Sequence[RunRow], column: str, *, reverse: bool = False) -> list[RunRow]:
    """Return rows by a column: numbers from the greatest down, text from A to Z; rows without a value come last.

    Args:
        rows: of ``read_rows``.
        column: one of ``COLUMNS``.
        reverse: the other way round; what has no value stays last.

    Raises:
        InputError: if there is no such column.

    Example:
        >>> rows = [RunRow("a", "finished", accuracy=0.8), RunRow("b", "finished", accuracy=0.9), RunRow("c", "failed")]
        >>> [row.name for row in sort_rows(rows, "accuracy")]
        ['b', 'a', 'c']
    """
    if column not in COLUMNS:
        raise InputError("runs.column", f"there is no column {column!r}", f"sort by {', '.join(COLUMNS)}")
    valued = [row for row in rows if (value := getattr(row, column)) not in (None, "") and not _is_nan(value)]
    known = {id(row) for row in valued}
    numeric = bool(valued) and not isinstance(getattr(valued[0], column), str)
    valued.sort(key=lambda row: getattr(row, column), reverse=numeric != reverse)
    return [*valued, *(row for row in rows if id(row) not in known)]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def rows_csv(rows: Sequence[RunRow]) -> str:
    """Return rows as CSV with a header; what is not known is an empty cell."""
    cells = [["" if value is None else value for value in row.to_dict().values()] for row in rows]
    return csv_text([COLUMNS, *cells])
