"""A list of images on stdin: a path a line, or a table with a column path."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from typing import BinaryIO

from sightline.data.delimited import decode_text, read_delimited
from sightline.data.path_forms import forms_of
from sightline.data.tables import usual_names

__all__ = ["read_paths"]

_SOURCE = "the list on stdin"


def read_paths(stream: BinaryIO) -> Iterator[str]:
    """Yield the paths of a list as they come; one that is not there in that form, but in another, in the other.

    A byte order mark, UTF-16 with such a mark, CRLF, backslashes, quotation marks around a path, and lists that end
    paths with a null (``find -print0``) are understood. A table has a header with a column ``path``.

    Raises:
        DataError: for a table that can't be read.

    Example:
        >>> import io
        >>> list(read_paths(io.BytesIO(b"a.jpg\\r\\nb.jpg\\n")))
        ['a.jpg', 'b.jpg']
    """
    first = stream.readline()
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        lines = iter(decode_text(first + stream.read(), _SOURCE).splitlines(keepends=True))
        first = next(lines, "").encode()
        rest: Iterator[bytes] = (line.encode() for line in lines)
    else:
        first = first.removeprefix(codecs.BOM_UTF8)
        rest = iter(stream)
    if _is_header(os.fsdecode(first)) or first.lower().startswith(b"sep="):
        table = read_delimited(first + b"".join(rest), _SOURCE, any_bytes=True)
        place = usual_names(table.columns, _SOURCE).index("path")
        yield from (_found(row.cells[place]) for row in table.rows if len(row.cells) > place and row.cells[place])
        return
    yield from _paths_in(first)
    for line in rest:
        yield from _paths_in(line)


def _is_header(line: str) -> bool:
    cells = [cell.strip().strip('"').lower() for cell in line.replace(";", ",").replace("\t", ",").split(",")]
    names = {"path", "file_name", "filename"} & set(cells)
    return bool(names) and not os.path.exists(line.strip())  # noqa: PTH110


def _paths_in(line: bytes) -> Iterator[str]:
    for part in line.rstrip(b"\r\n").split(b"\0"):
        if part.strip():
            yield _found(os.fsdecode(part))


def _found(text: str) -> str:
    """Return the form of a path under which there is a file; the path itself where there is none."""
    plain = text.strip()
    bare = plain[1:-1] if plain[:1] == plain[-1:] == '"' and len(plain) > 2 else plain
    return next((form for path in (text, bare) for form in forms_of(path) if os.path.exists(form)), text)  # noqa: PTH110
