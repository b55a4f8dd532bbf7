"""A Parquet file with a row for each image: a path, or the image file itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.data.found import Found
from sightline.data.tables import KNOWN, Table, read_table, refuse_several_labels
from sightline.errors import DataError
from sightline.pixels.containers import MARK
from sightline.pixels.parquet import image_column, parquet_file

__all__ = ["read_parquet"]

# Columns that hold the label, by the sets of the hub: CIFAR-100 has two, of which the fine one is meant.
_LABELS = ("label", "labels", "fine_label")
_ROWS = 50_000


def read_parquet(path: Path, *, root: Path | None = None, part: str = "") -> Found:
    """Find the images of a Parquet file; images in it are read in place.

    Args:
        path: the file.
        root: what paths are relative to; the file's folder by default.
        part: the split of every row, where there is no column of it.

    Raises:
        MissingExtra: without pyarrow.
        DataError: if it is damaged, lacks columns, has several that could be the label, or rows that can't be used.
    """
    file = parquet_file(path)
    schema = file.schema_arrow
    features = _features(schema)
    label = _label_column(schema.names, features, str(path))
    images = image_column(schema)
    names = _class_names(features.get(label))
    columns = {label: "label"} | {name: name.lower() for name in schema.names if name.lower() in ("split", "group")}
    if images is None:
        columns |= {name: "path" for name in schema.names if name.lower() == "path"}
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
    """Return what the hub's library wrote about the columns."""
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
        f"rename the one that is meant to label{f'; it could be {chr(44).join(labels)}' if labels else ''}",
    )


def _plain(schema: Any) -> list[str]:
    """Return the columns whose cells are one value each."""
    import pyarrow.types as types

    def is_plain(kind: Any) -> bool:
        return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))

    return [field.name for field in schema if is_plain(field.type)]
