"""``model.onnx``: one file with ``uint8`` pixels in, probabilities, features and novelty out, the bundle inside."""

from __future__ import annotations

from pathlib import Path

from sightline.errors import ExportMismatch
from sightline.exporting.parity import Exportable
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.text import one_line

__all__ = ["write_onnx"]


def write_onnx(graph: Exportable, bundle: Bundle, path: Path, exporter: str) -> None:
    """Write a network as one ONNX file without external data; any number of images a batch.

    Args:
        graph: the network as trained, with its calibration.
        bundle: goes into the file's metadata.
        path: whole or not there.
        exporter: one of the graph's.

    Raises:
        ExportMismatch: if this network can't be exported so.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(graph.to_onnx(exporter, bundle.preprocess.size))
        onnx.helper.set_model_props(model, {METADATA_KEY: bundle.to_json(ascii_only=True)})
        written = model.SerializeToString()
    except Exception as error:  # the exporters raise whatever their many passes raise
        text = one_line(error, 300)
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported to ONNX: {type(error).__name__}: {text}",
            "choose another --model; the trained network is kept as model.safetensors",
        ) from error
    write_bytes(path, written)
