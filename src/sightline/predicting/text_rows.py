"""Predictions appended to a text file: CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sightline.predicting.rows import Render
from sightline.runtime.predictions import Predictions
from sightline.text import unguarded

__all__ = ["CsvRows", "JsonRows"]

_READ = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


class _TextRows:
    """Rows of one file; see :class:`~sightline.predicting.rows.Rows`."""

    seconds = 2.0
    name = ""

    def __init__(self, folder: Path, render: Render) -> None:
        self.file = folder / self.name
        self.render = render
        self._open: IO[bytes] | None = None

    def begin(self, size: int) -> None:
        """Open the file and cut off what is beyond ``size`` bytes: what was written after the last record."""
        self._open = self.file.open("r+b" if size else "wb")
        self._open.truncate(size)
        self._open.seek(size)

    def write(self, part: Predictions) -> None:
        """Append rows."""
        assert self._open is not None
        self._open.write(self._text(part, self._open.tell() == 0).encode("utf-8", "surrogateescape"))

    def is_full(self) -> bool:
        """Rows are written at once."""
        return False

    def sync(self) -> int:
        """Have all rows on the disk; returns the size of the file."""
        assert self._open is not None
        self._open.flush()
        os.fsync(self._open.fileno())
        return self._open.tell()

    def holds(self, size: int) -> bool:
        """Tell whether the file has what was recorded of it."""
        try:
            return self.file.stat().st_size >= size
        except OSError:
            return size == 0

    def finish(self, out: Path) -> Path:
        """Close the file and return it."""
        self.close()
        return self.file

    def close(self) -> None:
        """Close the file, as it is."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def spell(self, name: str) -> str:
        """Return a name as it is read back: text has all of them."""
        return name

    def written(self) -> Iterator[str]:
        """Yield the names of the images in the file."""
        return self.names(self.file)

    def names(self, file: Path) -> Iterator[str]:
        """Yield the names of the images in a file that was written."""
        raise NotImplementedError

    def _text(self, part: Predictions, is_first: bool) -> str:
        raise NotImplementedError


class CsvRows(_TextRows):
    """CSV with a header."""

    name = "rows.csv"

    def names(self, file: Path) -> Iterator[str]:
        """Yield the names of the images in a file that was written."""
        with file.open(**_READ) as lines:  # type: ignore[call-overload]
            rows = csv.reader(lines)
            next(rows, None)
            for row in rows:
                yield unguarded(row[0])

    def _text(self, part: Predictions, is_first: bool) -> str:
        return part.to_csv(top=self.render.top, header=is_first)


class JsonRows(_TextRows):
    """A JSON object a line."""

    name = "rows.jsonl"

    def names(self, file: Path) -> Iterator[str]:
        """Yield the names of the images in a file that was written."""
        with file.open(**_READ) as lines:  # type: ignore[call-overload]
            for line in lines:
                yield str(json.loads(line)["path"])

    def _text(self, part: Predictions, is_first: bool) -> str:
        return part.to_jsonl(top=self.render.top, mass=self.render.mass)
