"""Tables that lie among the images they describe: ``metadata.csv`` and ``metadata.jsonl`` as the Hugging Face hub has
them, and Roboflow's ``_classes.csv``; one for all images, or one in each split folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.data.folders import Node, Visit, walk
from sightline.data.found import SPLIT_NAMES, Found, Row
from sightline.data.tables import Records, Table, csv_table, jsonl_table, read_table
from sightline.errors import DataError, UnreadableImage
from sightline.pixels.containers import MARK
from sightline.text import listed

__all__ = ["InnerTable", "find_tables", "read_inner_tables"]

_NAMES = ("metadata.csv", "metadata.jsonl", "_classes.csv")
_HEADER = 65_536  # bytes in which a header, or the first object, is looked for


@dataclass(frozen=True, slots=True)
class InnerTable:
    """A table among images.

    Attributes:
        node: the file.
        folder: that holds it; its paths are relative to that.
        part: of the split that the folder stands for; empty: none.
    """

    node: Node
    folder: Node
    part: str

    @property
    def name(self) -> str:
        """Its path, for messages."""
        return self.node.text


def find_tables(
    top: Node, files: Sequence[Node], splits: Sequence[tuple[Node, str, Sequence[Node]]]
) -> tuple[InnerTable, ...]:
    """Return the usual tables that give classes, in a folder and in its split folders.

    Args:
        top: the folder.
        files: in it.
        splits: (folder, part, files in it).
    """
    places = [(top, "", files), *splits]
    return tuple(
        InnerTable(file, folder, part)
        for folder, part, inside in places
        for file in inside
        if file.name.lower() in _NAMES and _gives_classes(file)
    )


def _gives_classes(file: Node) -> bool:
    """Tell whether a table has a column for classes: one of captions or boxes has none."""
    if file.name.lower() == "_classes.csv":
        return True
    first = file.start(_HEADER).decode("utf-8", "replace").partition("\n")[0].lower()
    return "label" in first and ("file_name" in first or "path" in first)


def read_inner_tables(tables: Sequence[InnerTable], top: Node, found: Found, visit: Visit) -> Found:
    """Return the images that tables name; those that they don't name are skipped.

    Args:
        tables: of one source.
        top: the folder with all images.
        found: the source without images.
        visit: of the source.

    Raises:
        DataError: if a table can't be read, or a row can't be used.
    """
    parts = [read_table(_open(table, found.root)) for table in tables]
    columns = tuple(dict.fromkeys(name for part in parts for name in part.columns))
    rows: list[Row] = []
    for part in parts:
        of = [part.columns.index(name) if name in part.columns else None for name in columns]
        rows += [row._replace(extra=tuple("" if k is None else row.extra[k] for k in of)) for row in part.rows]
    if {row.part for row in rows} == {"train"}:  # a "train" folder alone is not a split
        rows = [row._replace(part="") for row in rows]
    names = {table.name for table in tables}
    shown = listed(sorted(names), 3)
    named = {row.path for row in rows} | {path for part in parts for path, _ in part.skipped}
    visit.skipped += [pair for part in parts for pair in part.skipped]
    reason = f"not in {shown}" if len(names) == 1 else "not in the table of its folder"
    visit.skipped += [(node.text, reason) for node in walk(top, visit, is_top=True) if node.text not in named]
    visit.skipped[:] = [pair for pair in visit.skipped if pair[0] not in names]
    notes = [f"Classes are taken from {shown}.", *(note for part in parts for note in part.notes)]
    return replace(found, rows=rows, columns=columns, notes=tuple(notes))


def _open(table: InnerTable, root: Path) -> Table:
    try:
        data = table.node.content()
    except (OSError, UnreadableImage) as error:
        raise DataError("data.table-rows", f"{table.name} can't be read: {error}", "check the file") from error
    read = (jsonl_table if table.name.lower().endswith(".jsonl") else csv_table)(data, table.name, root)
    text = table.folder.text
    before = text if not text or text.endswith(MARK) else f"{text}/"
    records = read.records
    if not table.part and "split" not in read.columns:
        records = _with_parts(records)
    return replace(read, part=table.part, before=before, records=records)


def _with_parts(records: Records) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Add the part that the first folder of a path stands for, as the hub reads one table of several splits."""
    for where, record in records:
        folder, slash, _ = str(record.get("path") or "").replace("\\", "/").partition("/")
        part = SPLIT_NAMES.get(folder.lower(), "") if slash else ""
        yield where, {**record, "split": part}
