"""Tables of images: CSV, TSV, JSONL, Parquet, DataFrames and lists of (path, label).

All of them become records, one per row, and are read by one function. Cells are text; a label that is a list would be
several labels, and is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.delimited import PATH_NAMES, Delimited, decode_text, read_delimited, refuse_double_names
from sightline.data.found import SPLIT_NAMES, Found, Row, class_name, relative_to
from sightline.data.path_forms import forms_of
from sightline.errors import DataError, InputError
from sightline.pixels.containers import CONTAINER_SUFFIXES, MARK
from sightline.text import count_of

__all__ = [
    "KNOWN",
    "Table",
    "csv_table",
    "jsonl_table",
    "read_csv",
    "read_frame",
    "read_jsonl",
    "read_pairs",
    "read_table",
    "refuse_several_labels",
    "usual_names",
]

KNOWN = ("path", "label", "split", "group")
_CLASS_NAMES = ("class", "classes", "class_name", "labels", "category", "target")
_HOW = "name the columns path,label (and split, group if you have them)"
_PLAIN = re.compile(r"(?:(?!\.\.?/)[^/\\:]+/)*(?!\.\.?$)[^/\\:]+")  # relative and normalised already
UNLABELLED = "\0unlabelled"  # no cell has it: a row that no column gives a class
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
        before: what is put before each path: the folder of a table that lies among its images, with a slash.
        notes: what a person should know of how it was read.
    """

    source: str
    root: Path
    columns: tuple[str, ...]
    records: Records
    names: tuple[str, ...] = ()
    part: str = ""
    before: str = ""
    notes: tuple[str, ...] = ()


def read_csv(path: Path) -> Found:
    """Find the images that a CSV or TSV lists.

    Raises:
        DataError: if it is not UTF-8, lacks a column, or has lines that can't be used.
    """
    return read_table(csv_table(_bytes_of(path), str(path), path.parent))


def csv_table(data: bytes, source: str, root: Path) -> Table:
    """Return a CSV or TSV as a table; a file of Roboflow with a column a class too.

    Raises:
        DataError: as for :func:`~sightline.data.delimited.read_delimited`.
    """
    read = read_delimited(data, source)
    columns = usual_names(read.columns, source)
    notes = []
    if read.long_rows:
        rows = count_of(len(read.rows), "row")
        notes.append(f"{source}: {rows}, of which {read.long_rows:,} go on over several lines, in quotation marks")
    if _is_class_columns(columns, read):
        return Table(source, root, ("path", "label"), _one_class_each(columns, read), notes=tuple(notes))
    records = [(row.where, dict(zip(columns, row.cells, strict=False))) for row in read.rows]
    return Table(source, root, columns, records, notes=tuple(notes))


def _is_class_columns(columns: Sequence[str], read: Delimited) -> bool:
    """Tell whether a table has a column for each class, with 1 for the class of an image and 0 for the others."""
    is_usual = "path" in columns and "label" not in columns and len(columns) > 2
    cells = (cell for row in read.rows for name, cell in zip(columns, row.cells, strict=False) if name != "path")
    return is_usual and bool(read.rows) and all(cell in ("0", "1", "0.0", "1.0") for cell in cells)


def _one_class_each(columns: Sequence[str], read: Delimited) -> Records:
    for row in read.rows:
        record = dict(zip(columns, row.cells, strict=False))
        path = record.pop("path", "")
        classes = [name for name, cell in record.items() if float(cell)] or [UNLABELLED]
        yield row.where, {"path": path, "label": classes if len(classes) > 1 else classes[0]}


def read_jsonl(path: Path) -> Found:
    """Find the images that a file with one JSON object per line lists.

    Raises:
        DataError: if it is not UTF-8, a line is not an object, or a row can't be used.
    """
    return read_table(jsonl_table(_bytes_of(path), str(path), path.parent))


def jsonl_table(data: bytes, source: str, root: Path) -> Table:
    """Return a file with one JSON object per line as a table.

    Raises:
        DataError: as for :func:`read_jsonl`.
    """
    records: list[tuple[str, dict[str, Any]]] = []
    for number, line in enumerate(decode_text(data, source).split("\n"), 1):
        if line.strip():
            where = f"{source}: line {number}"
            try:
                pairs = json.loads(line, object_pairs_hook=_Pairs)
            except (ValueError, RecursionError) as error:
                raise _bad_rows(source, [f"line {number}: not valid JSON ({error})"]) from error
            if not isinstance(pairs, _Pairs):
                raise _bad_rows(source, [f"line {number}: not a JSON object"])
            names = usual_names([name for name, _ in pairs], where)
            records.append((f"line {number}", dict(zip(names, (_plain(value) for _, value in pairs), strict=True))))
    columns = dict.fromkeys(name for _, record in records for name in record)
    return Table(source, root, tuple(columns), records)


class _Pairs(list[tuple[str, Any]]):
    """The names and values of a JSON object, a name that comes twice included."""


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, _Pairs) else value


def read_frame(frame: Any, source: str) -> Found:
    """Find the images that a ``pandas.DataFrame`` lists; paths are relative to the current folder.

    Raises:
        DataError: if it lacks a column, or a row can't be used.
    """
    columns = usual_names([str(name) for name in frame.columns], source)
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


def _missing_columns(table: Table, missing: list[str]) -> DataError:
    """Return the error for a table without paths or labels; a column of paths may have had another name in the file."""
    others = ", ".join(name for name in table.columns if name not in ("", "path")) or "nothing"
    has = f"it has {others}" if "path" in missing else f"beside the paths it has {others}"
    classes = next((name for name in table.columns if name.lower() in _CLASS_NAMES), None)
    cure = f"rename its column {classes} to label" if missing == ["label"] and classes else _HOW
    message = f"{table.source} has no column {' and no column '.join(missing)}; {has}"
    return DataError("data.table-columns", message, cure)


def read_table(table: Table) -> Found:
    """Find the images of a table.

    Raises:
        DataError: if it lacks the column ``path`` or ``label``, or has rows that can't be used.
    """
    missing = [name for name in KNOWN[:2] if name not in table.columns]
    if missing:
        raise _missing_columns(table, missing)
    further = tuple(name for name in table.columns if name and name not in KNOWN)
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
    return Found(table.root, table.source, rows, skipped, further, table.notes)


def _row(table: Table, where: str, record: Mapping[str, Any]) -> Row | str:
    """Return a record as a row, or what is wrong with it."""
    refuse_several_labels(record.get("label"), f"{table.source}: {where}")
    path, label, split, group = (_cell(record.get(name)) for name in KNOWN)
    part = SPLIT_NAMES.get(split.lower()) if split else table.part
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
    spelling = str(record.get("label")) if isinstance(record.get("label"), str) else label
    name = "" if label == UNLABELLED else class_name(label)
    return Row(_path_of(table.root, table.before + path), name, part, group, spelling=spelling)


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
    if text.isascii() and _PLAIN.fullmatch(text):  # most of a million paths
        return text
    container, mark, name = text.partition(MARK)
    if mark and container.lower().endswith(CONTAINER_SUFFIXES):
        return _path_of(root, container) + mark + name
    path = root / text
    if ("\\" in text or not text.isascii()) and not path.exists():
        forms = [root / form for form in forms_of(text)]
        path = next((form for form in forms if form.exists()), root / text.replace("\\", "/"))
    return relative_to(root, path)


def _cell(value: Any) -> str:
    """Return a cell as text; a missing value is empty."""
    if value is None or isinstance(value, bytes) or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float) and value != value:
        return ""
    return str(value).strip()


def usual_names(columns: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the columns' names, those of ``KNOWN`` in lower case; ``file_name`` and its like are ``path``.

    Raises:
        DataError: if two columns have one name.
    """
    names = [name.strip() for name in columns]
    refuse_double_names(names, source, KNOWN)
    usual = [name.lower() if name.lower() in KNOWN else name for name in names]
    if "path" not in usual:
        other = next((name for known in PATH_NAMES for name in usual if name.lower() == known), None)
        usual = ["path" if name == other else name for name in usual]
    return tuple(usual)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError("data.missing", f"{path} can't be read: {error.strerror}", "check the path") from error


def _bad_rows(source: str, problems: list[str]) -> DataError:
    shown = "; ".join(problems[:3]) + (f" ... ({len(problems):,} in all)" if len(problems) > 3 else "")
    return DataError(
        "data.table-rows", f"{source}: {shown}", "correct or remove these rows; splits are train, val, test"
    )
