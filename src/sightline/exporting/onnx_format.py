"""``model.onnx``: one file with ``uint8`` pixels in, probabilities, features and novelty out, the bundle inside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sightline.errors import ExportMismatch
from sightline.networks.onnx_graph import Graph, export_graph, trace_graph
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.text import one_line

__all__ = ["EXPORTERS", "Exporter", "write_onnx"]

Exporter = Literal["trace", "export"]

# In the order in which they are tried: a traced graph that is proved on real images is as good, and sooner there.
EXPORTERS: tuple[Exporter, ...] = ("trace", "export")


def write_onnx(graph: Graph, bundle: Bundle, path: Path, exporter: Exporter = "export") -> None:
    """Write a network as one ONNX file without external data; any number of images a batch.

    Args:
        graph: the network as trained, with its calibration.
        bundle: goes into the file's metadata.
        path: whole or not there.
        exporter: ``trace`` is torch's older one, in a fraction of a second; ``export`` the newer.

    Raises:
        ExportMismatch: if torch can't export this network so.
    """
    import onnx

    size = bundle.preprocess.size
    try:
        data = trace_graph(graph, size) if exporter == "trace" else export_graph(graph, size)
        model = onnx.load_model_from_string(data)
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
