"""Predictions as a Parquet file: parts that are whole or not there, put together at the end.

A Parquet file can be read only once its last bytes are written, so a process that is killed would lose all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sightline.predicting.rows import Render
from sightline.runtime.predictions import Predictions

__all__ = ["ParquetRows"]

_CELLS = 4_000_000  # probabilities that are held at most, in a part and in a row group
_ROWS = 50_000


class ParquetRows:
    """Rows of a Parquet file; see :class:`~sightline.predicting.rows.Rows`. The mark counts the parts."""

    seconds = 10.0

    def __init__(self, folder: Path, render: Render) -> None:
        self.folder = folder / "parts"
        self.render = render
        self._most = max(1, min(_ROWS, _CELLS // len(render.classes)))
        self._batches: list[Any] = []
        self._held = 0
        self._count = 0

    def begin(self, mark: int) -> None:
        """Make ready to write the part after ``mark``; later ones are taken away."""
        self.folder.mkdir(exist_ok=True)
        for part in self.folder.iterdir():
            if part.suffix != ".parquet" or int(part.stem) >= mark:
                part.unlink()
        self._count = mark

    def write(self, part: Predictions) -> None:
        """Append rows to those that are held."""
        self._batches.append(_batch_of(part, self.render))
        self._held += len(part)

    def is_full(self) -> bool:
        """Whether as many rows are held as a part may have."""
        return self._held >= self._most

    def sync(self) -> int:
        """Write what is held as a part; returns how many parts there are."""
        import pyarrow
        import pyarrow.parquet

        if self._held:
            target = self._part(self._count)
            scratch = target.with_suffix(".tmp")
            with scratch.open("wb") as file:
                pyarrow.parquet.write_table(pyarrow.Table.from_batches(self._batches), file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(target)
            self._count += 1
            self._batches, self._held = [], 0
        return self._count

    def holds(self, mark: int) -> bool:
        """Tell whether all parts before ``mark`` are there."""
        return all(self._part(number).is_file() for number in range(mark))

    def finish(self, out: Path) -> Path:
        """Put the parts together, a row group after another; returns the file."""
        import pyarrow
        import pyarrow.parquet

        target = self.folder.parent / "rows.parquet"
        schema = _schema_of(self.render)
        with target.open("wb") as file:
            with pyarrow.parquet.ParquetWriter(file, schema) as writer:
                held: list[Any] = []
                for number in range(self._count):
                    held.append(pyarrow.parquet.read_table(self._part(number), schema=schema))
                    if sum(table.num_rows for table in held) >= self._most or number == self._count - 1:
                        writer.write_table(pyarrow.concat_tables(held))
                        held = []
            file.flush()
            os.fsync(file.fileno())
        return target

    def close(self) -> None:
        """Forget what is held."""
        self._batches, self._held = [], 0

    def names(self, file: Path) -> Iterator[str]:
        """Yield the names of the images in a file."""
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(columns=["path"]):
                yield from batch.column(0).to_pylist()

    def written(self) -> Iterator[str]:
        """Yield the names of the images in the parts."""
        for number in range(self._count):
            yield from self.names(self._part(number))

    def spell(self, name: str) -> str:
        """Return a name as Parquet can hold it: bytes that are no UTF-8 are shown as escapes."""
        return _spelled(name)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"


def _spelled(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _schema_of(render: Render) -> Any:
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float32()
    fields = [(name, text) for name in ("path", "label", "answer", "unknown")]
    fields += [("confidence", number), ("novelty", number), ("error", text)]
    if render.top:
        for rank in range(2, min(render.top, len(render.classes)) + 1):
            fields += [(f"label_{rank}", text), (f"confidence_{rank}", number)]
    else:
        fields += [(f"probability:{_spelled(name)}", number) for name in render.classes]
    if render.mass is not None:
        fields.append(("set", pyarrow.list_(text)))
    return pyarrow.schema(fields)


def _batch_of(part: Predictions, render: Render) -> Any:
    """Return rows with the columns of the CSV; what is empty there is null."""
    import pyarrow

    rows = list(part)
    columns: list[Any] = [
        [_spelled(row.path) for row in rows],
        [None if row.label is None else _spelled(row.label) for row in rows],
        [None if row.answer is None else _spelled(row.answer) for row in rows],
        [row.unknown or None for row in rows],
        [None if row.error else row.confidence for row in rows],
        [row.novelty for row in rows],
        [None if row.error is None else _spelled(row.error) for row in rows],
    ]
    if render.top:
        for rank in range(1, min(render.top, len(render.classes))):
            columns.append([_spelled(row.top[rank][0]) if row.top else None for row in rows])
            columns.append([row.top[rank][1] if row.top else None for row in rows])
    else:
        is_none = np.isnan(part.probabilities)
        columns += [
            pyarrow.array(part.probabilities[:, place], mask=is_none[:, place]) for place in range(len(render.classes))
        ]
    if render.mass is not None:
        sets = part.sets(render.mass)
        columns.append([None if row.error else list(held) for row, held in zip(rows, sets, strict=True)])
    schema = _schema_of(render)
    arrays = [pyarrow.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
    return pyarrow.record_batch(arrays, schema=schema)
