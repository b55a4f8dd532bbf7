"""The formats that a network ships in, in one table: how each is written, and opened again to be proved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sightline.errors import InputError
from sightline.exporting.any_size_format import ANY_SIZE_FILE, AnySizeRunner, write_any_size
from sightline.exporting.coreml_format import COREML_FOLDER, CoremlRunner, write_coreml
from sightline.exporting.hf_format import HF_FOLDER, HfRunner, hf_exporters, write_hf
from sightline.exporting.onnx_format import write_onnx
from sightline.exporting.openvino_format import OPENVINO_FOLDER, OpenvinoRunner, write_openvino
from sightline.exporting.parity import Exportable
from sightline.exporting.pt2_format import PT2_FILE, Pt2Runner, write_pt2
from sightline.exporting.tflite_format import TFLITE_FILE, TfliteRunner, write_tflite
from sightline.exporting.web_format import WEB_FOLDER, WebRunner, write_web
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import MODEL_FILE, Classifier
from sightline.text import did_you_mean

__all__ = ["FORMATS", "Format", "find_format", "need_network"]


@dataclass(frozen=True, slots=True)
class Format:
    """One export format.

    Attributes:
        name: what ``sightline export MODEL --format`` takes.
        file: its name in the ``classifier`` folder.
        extra: whose packages write and open it.
        exporters: of a graph, names of the ways to write it, tried in this order until the file of one is proved.
        write: writes a graph and its bundle to a path by one of these, whole or not there, and raises
            ``ExportMismatch`` where it can't.
        open: opens what was written, for the proof: as a ``Runner``, or as an ``ImageRunner``.
        source: what it is written from: the network as trained, or ``model.onnx``, whose run need not be there.
        takes: what its file takes: squares, or images of any size, whose way from file bytes is proved too.
    """

    name: str
    file: str
    extra: str
    exporters: Callable[[Exportable], Sequence[str]]
    write: Callable[[Exportable, Bundle, Path, str], None]
    open: Callable[[Path], Any]
    source: Literal["network", "model"] = "network"
    takes: Literal["squares", "images"] = "squares"


def _own(graph: Exportable) -> Sequence[str]:
    return graph.exporters


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("onnx", MODEL_FILE, "light", _own, write_onnx, Classifier.open),
        Format("any-size", ANY_SIZE_FILE, "light", _own, write_any_size, AnySizeRunner, "model", "images"),
        Format("web", WEB_FOLDER, "light", _own, write_web, WebRunner, "model", "images"),
        Format("openvino", OPENVINO_FOLDER, "openvino", _own, write_openvino, OpenvinoRunner, "model"),
        Format("hf", HF_FOLDER, "light", hf_exporters, write_hf, HfRunner, "model"),
        Format("pt2", PT2_FILE, "train", lambda graph: ("torch.export",), write_pt2, Pt2Runner),
        Format("tflite", TFLITE_FILE, "tflite", lambda graph: ("litert-torch",), write_tflite, TfliteRunner),
        Format("coreml", COREML_FOLDER, "coreml", lambda graph: ("coremltools",), write_coreml, CoremlRunner),
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


def need_network(names: Iterable[str]) -> bool:
    """Tell whether one of these formats is written from torch's network, and not from an ONNX graph.

    Example:
        >>> need_network(["onnx", "any-size"]), need_network(["onnx", "pt2"])
        (False, True)
    """
    return any(name != "onnx" and find_format(name).source == "network" for name in names)
