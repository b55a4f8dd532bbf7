"""A list of images on stdin or in a file: a path a line, or a table with a column path."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from sightline.data.delimited import PATH_NAMES, decode_text, read_delimited
from sightline.data.path_forms import forms_of
from sightline.data.tables import usual_names
from sightline.errors import DataError

__all__ = ["find_path", "read_paths"]

_SOURCE = "the list on stdin"
_BLOCK = 65_536  # bytes


def read_paths(stream: BinaryIO, source: str = _SOURCE, folder: str = "", *, is_table: bool = False) -> Iterator[str]:
    """Yield the paths of a list as they come; one that is not there in that form, but in another, in the other.

    A byte order mark, UTF-16 with such a mark, CRLF, backslashes, quotation marks around a path, and lists that end
    paths with a null (``find -print0``) are understood. A table has a header with a column ``path``; it is read whole.

    Args:
        stream: the list.
        source: its name in messages.
        folder: what its paths are relative to; by default the current folder.
        is_table: it should be a table: without a header, a first line of several cells that is no file is an error.

    Raises:
        DataError: for a table that can't be read.

    Example:
        >>> import io
        >>> list(read_paths(io.BytesIO(b"a.jpg\\r\\nb.jpg\\n")))
        ['a.jpg', 'b.jpg']
    """
    block = _first_block(stream)
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        stream = io.BytesIO(decode_text(block + stream.read(), source).encode())
        block = _first_block(stream)
    block = block.removeprefix(codecs.BOM_UTF8)
    if b"\0" in block:
        yield from (find_path(os.fsdecode(path), folder) for path in _ended_by_null(block, stream) if path.strip())
        return
    lines = chain(io.BytesIO(block if block.endswith(b"\n") else block + stream.readline()), stream)
    first = next(lines, b"")
    is_headless = is_table and any(cut in first for cut in b",;\t") and not _is_file(os.fsdecode(first), folder)
    if _is_header(os.fsdecode(first)) or first.lower().startswith(b"sep=") or is_headless:
        yield from _paths_in_table(first + b"".join(lines), source, folder)
        return
    for line in chain([first], lines):
        path = line.rstrip(b"\r\n")
        if path.strip():
            yield find_path(os.fsdecode(path), folder)


def _first_block(stream: BinaryIO) -> bytes:
    """Return what is there already, at least up to where a line or a path ends."""
    block = b""
    while b"\n" not in block and b"\0" not in block:
        more = _read_some(stream)
        if not more:
            break
        block += more
    return block


def _read_some(stream: BinaryIO) -> bytes:
    """Return what can be read without waiting for more than that; nothing at the end."""
    read: bytes = getattr(stream, "read1", stream.read)(_BLOCK)
    return read


def _ended_by_null(block: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Yield the paths of a list in which only a null ends a path; a line feed may be part of a name."""
    while block:
        *whole, rest = block.split(b"\0")
        yield from whole
        more = _read_some(stream)
        if not more:
            yield rest
        block = rest + more if more else b""


def _paths_in_table(data: bytes, source: str, folder: str) -> Iterator[str]:
    table = read_delimited(data, source, any_bytes=True)
    columns = usual_names(table.columns, source)
    if "path" not in columns:
        message = (
            f"{source} is a table without a column path: its columns are {', '.join(map(repr, columns)) or 'none'}"
        )
        raise DataError("data.table-columns", message, "name the column with the images path in the table's header")
    place = columns.index("path")
    yield from (
        find_path(row.cells[place], folder) for row in table.rows if len(row.cells) > place and row.cells[place]
    )


def _is_header(line: str) -> bool:
    cells = [cell.strip().strip('"').lower() for cell in line.replace(";", ",").replace("\t", ",").split(",")]
    return not set(PATH_NAMES).isdisjoint(cells) and not os.path.exists(line.strip())  # noqa: PTH110


def _is_file(line: str, folder: str) -> bool:
    return os.path.isfile(find_path(line.rstrip("\r\n"), folder))  # noqa: PTH113


def find_path(text: str, folder: str) -> str:
    """Return the form of a path in a list under which there is a file; the path itself where there is none.

    Args:
        text: as it is written, perhaps by another system, or in quotation marks.
        folder: what it is relative to; empty: the current folder.

    Example:
        >>> find_path("no-such.jpg", "photos")
        'photos/no-such.jpg'
    """
    plain = text.strip()
    bare = plain[1:-1] if plain[:1] == plain[-1:] == '"' and len(plain) > 2 else plain
    forms = (os.path.join(folder, form) for path in (text, bare) for form in forms_of(path))  # noqa: PTH118  (as written)
    return next(filter(os.path.exists, forms), os.path.join(folder, text))  # noqa: PTH118
