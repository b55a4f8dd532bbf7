"""Tables on stdout for other programs: UTF-8, whatever the terminal's encoding."""

from __future__ import annotations

import sys

__all__ = ["print_table_text"]


def print_table_text(text: str) -> None:
    """Write CSV or JSON lines to stdout: as UTF-8 to a file or a pipe, in its own encoding to a terminal.

    A name that has letters which the encoding of stdout lacks would else be written as ``\\u732b``, and read back as
    another name. Names of files that are not UTF-8 keep their bytes.
    """
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None or sys.stdout.isatty():
        print(text, end="")
        return
    sys.stdout.flush()  # what was printed before comes first
    binary.write(text.encode("utf-8", "surrogateescape"))
    binary.flush()
