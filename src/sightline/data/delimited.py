"""Text with a row a line: the one reader of tables, lists of fixes, columns for comparison, and lists on stdin.

Commas, semicolons and tabs, Excel's ``sep=``, byte order marks, UTF-16 with such a mark, and all line ends are
understood. Every line is in a row or in an error: a quotation mark that takes further rows into its cell is found.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sightline.data.folders import IMAGE_SUFFIXES
from sightline.data.path_forms import forms_of
from sightline.errors import DataError

__all__ = ["PATH_NAMES", "Delimited", "Lines", "decode_text", "find_known", "read_delimited", "refuse_double_names"]

PATH_NAMES = ("path", "file_name", "filename", "filepath")  # of the column with paths, in this order

_DELIMITERS = ",;\t"
_EXCEL = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BREAK = re.compile(r"\r\n|[\r\n]")
_QUOTE = "close the quotation mark, write it twice where it belongs to the text, or leave it out"


class Lines(NamedTuple):
    """A row of a table, and where it stands."""

    first: int  # line, counted from 1
    last: int
    cells: tuple[str, ...]

    @property
    def where(self) -> str:
        """The line or lines, for messages."""
        return f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Delimited:
    """A table of text.

    Attributes:
        source: its name in messages.
        columns: names as they are written, without blanks around them.
        rows: what follows the header; lines without anything are left out.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[Lines, ...]

    @property
    def long_rows(self) -> int:
        """How many rows go on over several lines."""
        return sum(row.first != row.last for row in self.rows)


def decode_text(data: bytes, source: str, *, any_bytes: bool = False) -> str:
    """Return text without a byte order mark.

    Args:
        data: UTF-8, or UTF-16 that begins with its mark.
        source: its name in messages.
        any_bytes: keep bytes that are not UTF-8, as file names may have them on Linux, as surrogates.

    Raises:
        DataError: if it is in another encoding; the likeliest is named.

    Example:
        >>> decode_text(b"\\xff\\xfea\\x00", "table.csv")
        'a'
    """
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding, "surrogateescape" if any_bytes and encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise _encoding_error(data, source, error) from error


def _encoding_error(data: bytes, source: str, error: UnicodeDecodeError) -> DataError:
    line = data.count(b"\n", 0, error.start) + 1
    text = data.splitlines()[line - 1] if data else b""
    guess = "UTF-16LE" if data[1:200:2].count(0) > 50 else "UTF-16BE" if data[:200:2].count(0) > 50 else "CP1252"
    shown = data[:400] if guess != "CP1252" else text
    words = shown.decode(guess, "replace").strip().splitlines()[:1] or [""]
    # Beside the table: what it names is looked up in its folder.
    file, beside = shlex.quote(source), shlex.quote(str(Path(source).parent / "utf8.csv"))
    return DataError(
        "data.table-encoding",
        f"{source} is not UTF-8 (line {line}); read as {guess} it says {words[0][:60]!r}",
        f"save it as UTF-8; if that text is right: iconv -f {guess} -t UTF-8 {file} > {beside}, and give {beside}",
    )


def read_delimited(data: bytes, source: str, *, is_exact: bool = False, any_bytes: bool = False) -> Delimited:
    """Read a table with a header.

    Args:
        data: of the file.
        source: its name in messages.
        is_exact: keep blanks around cells, which names of files may have; else they are dropped.
        any_bytes: as for :func:`decode_text`.

    Raises:
        DataError: for another encoding, a column twice, a quotation mark that is never closed or takes in further
            rows, or a row with more cells than columns.

    Example:
        >>> read_delimited(b"sep=;\\npath;label\\na.jpg;cat\\n", "t.csv").rows
        (Lines(first=3, last=3, cells=('a.jpg', 'cat')),)
    """
    text = decode_text(data, source, any_bytes=any_bytes)
    excel = _EXCEL.match(text)
    before = 0
    if excel:
        text, before = text[excel.end() :], 1
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    delimiter = excel[1] if excel else max(_DELIMITERS, key=header.count)
    rows = list(_rows(text, source, delimiter, before, is_exact))
    first, rest = (rows[0].cells, rows[1:]) if rows else ((), [])
    columns = tuple(name.strip() for name in first)
    refuse_double_names(columns, source)
    _refuse_swallowed(columns, rest, source, delimiter)
    for row in rest:
        if len(row.cells) > len(columns) and any(cell.strip() for cell in row.cells[len(columns) :]):
            message = f"{source}: {row.where}: too many cells: {len(row.cells)} for {len(columns)} columns"
            raise DataError("data.table-rows", message, f"put a cell that holds {delimiter!r} in quotation marks")
    return Delimited(source, columns, tuple(rest))


def _rows(text: str, source: str, delimiter: str, before: int, is_exact: bool) -> Iterator[Lines]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=not is_exact)
    first = 1
    try:
        for cells in reader:
            if any(cells):
                kept = cells if is_exact else [cell.strip() for cell in cells]
                yield Lines(first + before, reader.line_num + before, tuple(kept))
            first = reader.line_num + 1
    except csv.Error as error:
        message = f"{source}: line {first + before}: a quotation mark does not enclose a whole cell ({error})"
        raise DataError("data.table-rows", message, _QUOTE) from error


def _refuse_swallowed(columns: Sequence[str], rows: Sequence[Lines], source: str, delimiter: str) -> None:
    """Raise for a cell that took in further rows, because a quotation mark in it was meant as text.

    A note may have several lines; one that is a row has as many cells as rows have, and a file's name among the paths.
    """
    long: list[Lines] = []
    short: list[Lines] = []
    for row in rows:
        (short if row.first == row.last else long).append(row)
    at = next((number for name in PATH_NAMES for number, one in enumerate(columns) if one.lower() == name), None)
    if not long or at is None:
        return
    endings = IMAGE_SUFFIXES | {_ending(row.cells[at]) for row in short if len(row.cells) > at} - {""}
    widths = {len(columns), *(len(row.cells) for row in short)}
    for row in long:
        for first, cells, end in _lines_within(row, delimiter):
            if len(cells) in widths and first <= at < end and _ending(cells[at]) in endings:
                message = f"{source}: {row.where}: a quotation mark takes the rows after it into one cell"
                raise DataError("data.table-rows", message, _QUOTE)


def _lines_within(row: Lines, delimiter: str) -> Iterator[tuple[int, list[str], int]]:
    """Yield the row that each line of a long cell may have been, and which cells of it, from and to, are in the line.

    Cells before the first line and after the last one are those of the long row.
    """
    for place, cell in enumerate(row.cells):
        lines = _BREAK.split(cell)
        for number, line in enumerate(lines if len(lines) > 1 else ()):
            texts = line.split(delimiter)
            before = row.cells[:place] if number == 0 else ()
            after = row.cells[place + 1 :] if number == len(lines) - 1 else ()
            if len(texts) > 1:
                yield len(before), [*before, *texts, *after], len(before) + len(texts)


def _ending(cell: str) -> str:
    """Return the ending of what may be a file's name."""
    ending = os.path.splitext(cell.strip().strip('"'))[1].lower()  # noqa: PTH122
    return ending if 2 <= len(ending) <= 6 and ending[1:].isalnum() and not ending[1:].isdigit() else ""


def refuse_double_names(columns: Sequence[str], source: str, known: Sequence[str] = ()) -> None:
    """Raise ``DataError`` where two columns have one name: one of them would vanish.

    Args:
        columns: names; an empty one is no name.
        source: of the table, for messages.
        known: names in which capitals do not count.
    """
    seen: dict[str, tuple[int, str]] = {}
    for number, name in enumerate(columns, 1):
        plain = name.lower() if name.lower() in known else name
        if not plain:
            continue
        if plain in seen:
            other, written = seen[plain]
            message = f"{source} has two columns {plain}: {written!r} (column {other}) and {name!r} (column {number})"
            raise DataError("data.table-columns", message, "rename or remove one of them")
        seen[plain] = (number, name)


def find_known(text: str, known: Mapping[str, object]) -> str | None:
    """Return the known form of a path, or None: other separators, ``./`` and other Unicode forms count as equal.

    Example:
        >>> find_known(r".\\cat\\1.jpg", {"cat/1.jpg": 0})
        'cat/1.jpg'
    """
    return next((form for form in forms_of(text) if form in known), None)
