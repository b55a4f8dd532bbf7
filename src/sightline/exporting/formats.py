"""The formats that a network ships in, in one table: how each is written, and opened again to be proved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import InputError
from sightline.exporting.onnx_format import write_onnx
from sightline.exporting.parity import Exportable, Runner
from sightline.exporting.pt2_format import PT2_FILE, Pt2Runner, write_pt2
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
        exporters: of a graph, names of the ways to write it, tried in this order until the file of one is proved.
        write: writes a graph and its bundle to a path by one of these, whole or not there, and raises
            ``ExportMismatch`` where it can't.
        open: opens what was written, for the proof.
    """

    name: str
    file: str
    extra: str
    exporters: Callable[[Exportable], Sequence[str]]
    write: Callable[[Exportable, Bundle, Path, str], None]
    open: Callable[[Path], Runner]


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("onnx", MODEL_FILE, "light", lambda graph: graph.exporters, write_onnx, Classifier.open),
        Format("pt2", PT2_FILE, "train", lambda graph: ("torch.export",), write_pt2, Pt2Runner),
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
