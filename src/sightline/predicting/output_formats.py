"""The formats of an output: how each is written, and by which ending of a file it is meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import InputError
from sightline.installation import require_extra
from sightline.predicting.parquet_rows import ParquetRows
from sightline.predicting.rows import Render, Rows
from sightline.predicting.text_rows import CsvRows, JsonRows

__all__ = ["OUTPUT_FORMATS", "OutputFormat", "format_of"]


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A format of an output.

    Attributes:
        endings: of names of files.
        rows: opens what writes it in a working folder.
        extra: that it needs, or empty.
        has_lists: whether a cell may hold several classes.
    """

    endings: tuple[str, ...]
    rows: Callable[[Path, Render], Rows]
    extra: str = ""
    has_lists: bool = True


OUTPUT_FORMATS: dict[str, OutputFormat] = {
    "csv": OutputFormat((".csv",), CsvRows, has_lists=False),
    "jsonl": OutputFormat((".jsonl", ".ndjson"), JsonRows),
    "parquet": OutputFormat((".parquet", ".pq"), ParquetRows, extra="parquet"),
}


def format_of(out: Path, asked: str | None) -> str:
    """Return the format of an output: the one that was asked for, or by the ending of its file.

    Raises:
        InputError: if neither says it, or they contradict each other.
        MissingExtra: if it needs a library that is not installed.

    Example:
        >>> format_of(Path("said.jsonl"), None)
        'jsonl'
    """
    ending = out.suffix.lower()
    meant = next((name for name, one in OUTPUT_FORMATS.items() if ending in one.endings), None)
    form = asked or meant
    endings = ", ".join(ending for one in OUTPUT_FORMATS.values() for ending in one.endings)
    if form not in OUTPUT_FORMATS:
        message = f"--out {out}: no format is known by the ending {ending or 'of no letters'}"
        raise InputError("predict.format", message, f"let the file end in {endings}; or give --format")
    if meant is not None and meant != form:
        message = f"--format {form} and --out {out} contradict each other"
        raise InputError("predict.format", message, "leave out --format")
    if OUTPUT_FORMATS[form].extra:
        require_extra(OUTPUT_FORMATS[form].extra, f"--out {out}")
    return form
