"""The formats that a network ships in, in one table: how each is written, and opened again to be proved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sightline.errors import InputError
from sightline.exporting.onnx_format import EXPORTERS, write_onnx
from sightline.exporting.parity import Runner
from sightline.networks.onnx_graph import Graph
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import MODEL_FILE, Classifier
from sightline.text import did_you_mean

__all__ = ["FORMATS", "Format", "find_format"]


@dataclass(frozen=True, slots=True)
class Format:
    """One export format.

    Attributes:
        name: what ``sightline export RUN --format`` takes.
        file: its name in the ``classifier`` folder.
        extra: whose packages write and open it.
        writers: name -> what writes a graph and its bundle to a path, whole or not there, and raises ``ExportMismatch``
            where it can't. They are tried in this order until the file of one is proved.
        open: opens what was written, for the proof.
    """

    name: str
    file: str
    extra: str
    writers: Mapping[str, Callable[[Graph, Bundle, Path], None]]
    open: Callable[[Path], Runner]


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "onnx",
            MODEL_FILE,
            "train",
            {name: partial(write_onnx, exporter=name) for name in EXPORTERS},
            Classifier.open,
        ),
    )
}


def find_format(name: str) -> Format:
    """Return a row of the table.

    Raises:
        InputError: if there is none of that name.

    Example:
        >>> find_format("onnx").file
        'model.onnx'
    """
    if name not in FORMATS:
        cure = did_you_mean(name, FORMATS, f"--format takes {', '.join(FORMATS)}")
        raise InputError("export.format", f"there is no export format {name!r}", cure)
    return FORMATS[name]
