"""Images in the rows of a Parquet file.

Rows are decoded a few at a time and kept for a while, so that reading in order, also by several threads, decodes each
once. Reading a row out of order decodes its row group up to it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.errors import DataError, UnreadableImage
from sightline.installation import require_extra
from sightline.pixels.limits import MAX_FILE_BYTES
from sightline.text import one_line

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

__all__ = ["ParquetImages", "image_column", "open_parquet", "parquet_file"]

_BATCH = 16
_CURSORS = 8
_KEPT_BYTES = 128 * 2**20
_NAMES = ("image", "img", "bytes", "picture", "photo", "content")


@dataclass(slots=True, eq=False)
class _Cursor:
    """A position in a row group."""

    group: int
    first: int  # row of the first of ``cells``
    batches: Iterator[Any]
    cells: list[bytes | None] = field(default_factory=list)


class ParquetImages:
    """An opened Parquet file with a column of image files; safe to use from several threads."""

    def __init__(self, file: ParquetFile, column: str) -> None:
        self._file = file
        self._column = column
        groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        self._ends = np.cumsum(np.array([0, *groups]))
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes | None] = OrderedDict()
        self._weight = 0
        # Threads read close to each other, at times in two row groups; each continues at its own cursor.
        self._cursors: list[_Cursor] = []

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, name: str) -> bytes:
        """Return the image file in a row, by its number from 0.

        Raises:
            UnreadableImage: if there is no such row, it is empty or too large, or the file is damaged there.
        """
        row = int(name) if name.isascii() and name.isdigit() else len(self)
        if row >= len(self):
            raise UnreadableImage(name, f"no such row; the table has {len(self):,} rows")
        with self._lock:
            data = self._kept[row] if row in self._kept else self._decode(row, name)
        if not data:
            raise UnreadableImage(name, "the row has no image")
        if len(data) > MAX_FILE_BYTES:
            raise UnreadableImage(name, f"{len(data):,} bytes, more than {MAX_FILE_BYTES:,}")
        return data

    def _decode(self, row: int, name: str) -> bytes | None:
        group = int(np.searchsorted(self._ends, row, "right")) - 1
        before = [cursor for cursor in self._cursors if cursor.group == group and cursor.first <= row]
        cursor = max(before, key=lambda cursor: cursor.first, default=None)
        try:
            if cursor is None:
                batches = self._file.iter_batches(_BATCH, row_groups=[group], columns=[self._column])
                cursor = _Cursor(group, int(self._ends[group]), batches)
            else:
                self._cursors.remove(cursor)  # added again below, as the most recent one
            while row >= cursor.first + len(cursor.cells):
                cursor.first += len(cursor.cells)
                cursor.cells = _cells(next(cursor.batches).column(0))
                for place, cell in enumerate(cursor.cells, cursor.first):
                    self._keep(place, cell)
        except Exception as error:  # a damaged file makes pyarrow raise many types
            reason = one_line(error, 160) or "the row group ends early"
            raise UnreadableImage(name, f"damaged: {reason}") from error
        self._cursors = [*self._cursors, cursor][-_CURSORS:]
        return cursor.cells[row - cursor.first]

    def _keep(self, row: int, cell: bytes | None) -> None:
        old = self._kept.pop(row, None)
        self._kept[row] = cell
        self._weight += len(cell or b"") - len(old or b"") + (0 if old else 100)
        while self._weight > _KEPT_BYTES and len(self._kept) > 1:
            self._weight -= len(self._kept.popitem(last=False)[1] or b"") + 100


def _cells(column: Any) -> list[bytes | None]:
    """Return the bytes of a column, either plain or in a struct beside a path."""
    import pyarrow

    if pyarrow.types.is_struct(column.type):
        column = column.field("bytes")
    cells: list[bytes | None] = column.to_pylist()
    return cells


def open_parquet(path: Path) -> ParquetImages:
    """Open a Parquet file with images.

    Raises:
        MissingExtra: without pyarrow.
        DataError: if it is damaged, or has no column of images.
    """
    file = parquet_file(path)
    column = image_column(file.schema_arrow)
    if column is None:
        names = ", ".join(file.schema_arrow.names)
        raise DataError("data.table-columns", f"{path} has no column of images; it has {names}", _CURE)
    return ParquetImages(file, column)


def parquet_file(path: Path) -> ParquetFile:
    """Open a Parquet file with pyarrow.

    Raises:
        MissingExtra: without pyarrow.
        DataError: if it is damaged.
    """
    require_extra("parquet", "reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk; pyarrow's own, for damage, has no errno
            raise
        text = one_line(error, 160)
        raise DataError(
            "data.archive", f"{path} can't be read as Parquet: {text}", "download or write it again"
        ) from error


def image_column(schema: Any) -> str | None:
    """Return the column of image files, as bytes or as a struct with ``bytes``; None where there is none.

    If there are several: the one with a usual name, else the first.
    """
    import pyarrow.types as types

    def holds_bytes(kind: Any) -> bool:
        if types.is_struct(kind):
            return any(
                kind.field(i).name == "bytes" and holds_bytes(kind.field(i).type) for i in range(kind.num_fields)
            )
        return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))

    columns = [field.name for field in schema if holds_bytes(field.type)]
    usual = [name for name in _NAMES if name in columns]
    return (usual or columns or [None])[0]


_CURE = "give a column `image` with the bytes of image files, or a column `path`"
