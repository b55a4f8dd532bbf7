"""Parquet files with a row for each image: a path, or the image file itself; one file, or several with one table."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sightline.data.delimited import refuse_double_names
from sightline.data.folders import is_hidden
from sightline.data.found import SPLIT_NAMES, Found
from sightline.data.tables import KNOWN, Table, read_table, refuse_several_labels, usual_names
from sightline.errors import DataError
from sightline.pixels.containers import MARK
from sightline.pixels.parquet import image_column, parquet_file

__all__ = ["is_parquet_folder", "part_of", "read_parquet", "read_parquet_files", "read_parquet_folder"]

# Usual names of the label column on the hub; CIFAR-100 has two label columns, and the fine one is used.
_LABELS = ("label", "labels", "fine_label")
_ROWS = 50_000
_PART = re.compile(r"(?:^|[/._-])(" + "|".join(name for name in SPLIT_NAMES if "_" not in name) + r")(?=[/._-])")


def part_of(name: str) -> str:
    """Return the part of the split that a file name gives, or an empty string.

    Example:
        >>> part_of("data/train-00000-of-00002.parquet"), part_of("default/validation/0.parquet"), part_of("a.parquet")
        ('train', 'val', '')
    """
    match = _PART.search(name.lower())
    return SPLIT_NAMES[match.group(1)] if match else ""


def is_parquet_folder(folder: Path) -> bool:
    """Tell whether a folder contains Parquet files, directly or in ``data``, as sets of the hub do."""
    return folder.is_dir() and any(next(folder.glob(form), None) for form in ("*.parquet", "data/*.parquet"))


def read_parquet_folder(folder: Path) -> Found:
    """Find the images of all Parquet files below a folder; the parts of the split are in their names.

    Raises:
        MissingExtra, DataError: as for :func:`read_parquet`.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    files = [(folder / name, part_of(name)) for name in names if not any(map(is_hidden, name.split("/")))]
    return read_parquet_files(files, str(folder), folder)


def read_parquet_files(files: Sequence[tuple[Path, str]], source: str, root: Path | None = None) -> Found:
    """Find the images of several Parquet files that are one table.

    Args:
        files: (file, part of the split).
        source: their name in messages.
        root: what paths are relative to; by default the folder that holds them all.

    Raises:
        MissingExtra, DataError: as for :func:`read_parquet`; and if their columns differ.
    """
    root = root or Path(os.path.commonpath([path.parent for path, _ in files]))
    parts = [read_parquet(path, root=root, part=part) for path, part in files]
    if len({found.columns for found in parts}) > 1:
        text = f"the Parquet files of {source} have different columns, so they are several data sets"
        raise DataError("data.hub-layout", text, "give one of them, or one of its folders")
    rows = [row for found in parts for row in found.rows]
    if {row.part for row in rows} == {"train"}:  # train alone is not a split
        rows = [row._replace(part="") for row in rows]
    return Found(root, source, rows, [pair for found in parts for pair in found.skipped], parts[0].columns)


def read_parquet(path: Path, *, root: Path | None = None, part: str = "") -> Found:
    """Find the images of a Parquet file; images in it are read in place.

    Args:
        path: the file.
        root: what paths are relative to; the file's folder by default.
        part: the split of every row, where no column gives it.

    Raises:
        MissingExtra: without pyarrow.
        DataError: if it is damaged, lacks columns, has several possible label columns, or rows that can't be used.
    """
    file = parquet_file(path)
    schema = file.schema_arrow
    refuse_double_names(schema.names, str(path), KNOWN)
    features = _features(schema)
    label = _label_column(schema.names, features, str(path))
    images = image_column(schema)
    names = _class_names(features.get(label))
    columns = {label: "label"} | {name: name.lower() for name in schema.names if name.lower() in ("split", "group")}
    if images is None:
        usual = usual_names(schema.names, str(path))
        columns |= {name: "path" for name, known in zip(schema.names, usual, strict=True) if known == "path"}
    columns |= {name: name for name in _plain(schema) if name not in columns and name not in KNOWN}
    root = root or path.parent
    before = f"{path.relative_to(root).as_posix()}{MARK}" if images else ""
    records = _records(
        file, columns, {name: _class_names(features.get(name)) for name in columns if name != label}, before
    )
    listed = [*columns.values(), *(["path"] if images else [])]
    return read_table(Table(str(path), root, tuple(listed), records, names, part))


def _records(
    file: Any, columns: dict[str, str], named: dict[str, tuple[str, ...]], before: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cells of each row under their names in :class:`Table`; images themselves are not read."""
    number = 0
    for batch in file.iter_batches(_ROWS, columns=list(columns)):
        cells = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values, known = column.to_pylist(), named.get(name)
            cells[columns[name]] = [known[v] if 0 <= v < len(known) else v for v in values] if known else values
        for row in range(batch.num_rows):
            record = {name: values[row] for name, values in cells.items()}
            yield f"row {number}", {"path": f"{before}{number}", **record} if before else record
            number += 1


def _features(schema: Any) -> dict[str, Any]:
    """Return the hub's metadata about the columns."""
    try:
        text = (schema.metadata or {}).get(b"huggingface", b"{}")
        features = json.loads(text).get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any) -> tuple[str, ...]:
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return tuple(map(str, feature["names"]))
    return ()


def _label_column(names: list[str], features: dict[str, Any], source: str) -> str:
    usual = [name for usual in _LABELS for name in names if name.lower() == usual]
    if usual:
        if isinstance(features.get(usual[0]), dict) and "feature" in features[usual[0]]:
            refuse_several_labels([], source)
        return usual[0]
    labels = [name for name in names if _class_names(features.get(name))]
    if len(labels) == 1:
        return labels[0]
    raise DataError(
        "data.table-columns",
        f"{source} has no column label; it has {', '.join(names) or 'nothing'}",
        f"rename the label column to label{f'; candidates: {chr(44).join(labels)}' if labels else ''}",
    )


def _plain(schema: Any) -> list[str]:
    """Return the columns with a single value per cell."""
    import pyarrow.types as types

    def is_plain(kind: Any) -> bool:
        return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))

    return [field.name for field in schema if is_plain(field.type)]
