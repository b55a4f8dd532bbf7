"""Tables of images: CSV, TSV, JSONL, Parquet, DataFrames and lists of (path, label).

All of them become records, one per row, and are read by one function. Cells are text; a label that is a list would be
several labels, and is refused.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.found import SPLIT_NAMES, Found, Row, class_name, relative_to
from sightline.errors import DataError, InputError
from sightline.pixels.containers import CONTAINER_SUFFIXES, MARK

__all__ = ["Table", "read_csv", "read_frame", "read_jsonl", "read_pairs", "read_table", "refuse_several_labels"]

KNOWN = ("path", "label", "split", "group")
_HOW = "name the columns path,label (and split, group if you have them)"
_PLAIN = re.compile(r"(?:(?!\.\.?/)[^/\\:]+/)*(?!\.\.?$)[^/\\:]+")  # relative and normalised already
Records = Iterable[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table before its cells are read.

    Attributes:
        source: its name in messages.
        root: what its paths are relative to.
        columns: names, those of ``KNOWN`` in lower case.
        records: (where, record) of each row; ``where`` is a line or row for messages.
        names: of the classes, where labels are positions in this list.
        part: the split of every row, for a table without a column split.
    """

    source: str
    root: Path
    columns: tuple[str, ...]
    records: Records
    names: tuple[str, ...] = ()
    part: str = ""


def read_csv(path: Path) -> Found:
    """Find the images that a CSV or TSV lists.

    Raises:
        DataError: if it is not UTF-8, lacks a column, or has lines that can't be used.
    """
    text = _text_of(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="...")
    table.fieldnames = columns = _names(table.fieldnames or [])
    return read_table(Table(str(path), path.parent, tuple(columns), _csv_records(table, path)))


def read_jsonl(path: Path) -> Found:
    """Find the images that a file with one JSON object per line lists.

    Raises:
        DataError: if it is not UTF-8, a line is not an object, or a row can't be used.
    """
    records: list[tuple[str, dict[str, Any]]] = []
    for number, line in enumerate(_text_of(path).split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _bad_rows(str(path), [f"line {number}: not valid JSON ({error})"]) from error
            if not isinstance(record, dict):
                raise _bad_rows(str(path), [f"line {number}: not a JSON object"])
            records.append((f"line {number}", dict(zip(_names(record), record.values(), strict=True))))
    columns = dict.fromkeys(name for _, record in records for name in record)
    return read_table(Table(str(path), path.parent, tuple(columns), records))


def read_frame(frame: Any, source: str) -> Found:
    """Find the images that a ``pandas.DataFrame`` lists; paths are relative to the current folder.

    Raises:
        DataError: if it lacks a column, or a row can't be used.
    """
    columns = _names([str(name) for name in frame.columns])
    rows = zip(*(frame.iloc[:, k].tolist() for k in range(len(columns))), strict=True)
    records = ((f"row {number}", dict(zip(columns, row, strict=True))) for number, row in enumerate(rows))
    return read_table(Table(source, Path.cwd(), tuple(columns), records))


def read_pairs(pairs: Sequence[Any], source: str) -> Found:
    """Find the images of a list of (path, label); paths are relative to the current folder.

    Raises:
        DataError: if an element is not a pair, or can't be used.
    """
    records: list[tuple[str, dict[str, Any]]] = []
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise _bad_rows(source, [f"element {number} is not a pair of path and label"])
        records.append((f"element {number}", {"path": pair[0], "label": pair[1]}))
    return read_table(Table(source, Path.cwd(), KNOWN[:2], records))


def read_table(table: Table) -> Found:
    """Find the images of a table.

    Raises:
        DataError: if it lacks the column ``path`` or ``label``, or has rows that can't be used.
    """
    missing = [name for name in KNOWN[:2] if name not in table.columns]
    if missing:
        raise DataError(
            "data.table-columns",
            f"{table.source} has no column {' and no column '.join(missing)}; "
            f"it has {', '.join(filter(None, table.columns)) or 'nothing'}",
            _HOW,
        )
    further = tuple(name for name in dict.fromkeys(table.columns) if name and name not in KNOWN)
    rows: list[Row] = []
    skipped: list[tuple[str, str]] = []
    problems: list[str] = []
    for where, record in table.records:
        row = _row(table, where, record)
        if isinstance(row, str):
            problems.append(f"{where}: {row}")
        elif not row.name:
            skipped.append((row.path, "unlabelled"))
        else:
            rows.append(row._replace(extra=tuple(_cell(record.get(name)) for name in further)))
    if problems:
        raise _bad_rows(table.source, problems)
    return Found(table.root, table.source, rows, skipped, further)


def _row(table: Table, where: str, record: Mapping[str, Any]) -> Row | str:
    """Return a record as a row, or what is wrong with it."""
    refuse_several_labels(record.get("label"), f"{table.source}: {where}")
    path, label, split, group = (_cell(record.get(name)) for name in KNOWN)
    part = SPLIT_NAMES.get(split.lower()) if split else table.part
    if "..." in record:
        return "too many cells"
    if not path or not label:
        return "path or label is empty"
    if "://" in path:
        return f"{path!r} is a web address, not a file"
    if part is None:
        return f"unknown split {split!r}"
    if table.names:
        number = int(label) if label.lstrip("-").isdigit() else len(table.names)
        if number >= len(table.names):
            return f"label {label} is out of range: there are {len(table.names)} classes"
        label = table.names[number] if number >= 0 else ""  # -1 is how the hub writes "no label"
    return Row(_path_of(table.root, path), class_name(label), part, group)


def refuse_several_labels(label: Any, where: str) -> None:
    """Raise ``DataError`` for a label that is a list: such an image belongs to several classes."""
    if isinstance(label, list | tuple | set | dict | np.ndarray):
        raise DataError(
            "data.multi-label",
            f"{where} has a list as its label: {label!r}; images with several labels are not supported",
            "give each image one class; for several yes-or-no questions, train one classifier for each",
        )


def _path_of(root: Path, text: str) -> str:
    """Return a path as written in a table of samples; backslashes are separators unless a file has that name."""
    if _PLAIN.fullmatch(text):  # most of a million paths
        return text
    container, mark, name = text.partition(MARK)
    if mark and container.lower().endswith(CONTAINER_SUFFIXES):
        return _path_of(root, container) + mark + name
    path = root / text
    if "\\" in text and not path.exists():
        path = root / text.replace("\\", "/")
    return relative_to(root, path)


def _cell(value: Any) -> str:
    """Return a cell as text; a missing value is empty."""
    if value is None or isinstance(value, bytes) or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float) and value != value:
        return ""
    return str(value).strip()


def _names(columns: Iterable[str | None]) -> list[str]:
    names = [(name or "").strip() for name in columns]
    return [name.lower() if name.lower() in KNOWN else name for name in names]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 (byte {error.start})"
        raise DataError("data.table-encoding", message, "save it as UTF-8") from error
    except OSError as error:
        raise InputError("data.missing", f"{path} can't be read: {error.strerror}", "check the path") from error


def _csv_records(table: csv.DictReader[str], path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (line, record) of a table; a malformed table is a DataError."""
    try:
        for record in table:
            yield f"line {table.line_num}", record
    except csv.Error as error:
        raise DataError(
            "data.table-rows", f"{path}: line {table.line_num}: {error}", "look for an unclosed quotation mark"
        ) from error


def _bad_rows(source: str, problems: list[str]) -> DataError:
    shown = "; ".join(problems[:3]) + (f" ... ({len(problems):,} in all)" if len(problems) > 3 else "")
    return DataError(
        "data.table-rows", f"{source}: {shown}", "correct or remove these rows; splits are train, val, test"
    )
