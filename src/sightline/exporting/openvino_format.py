"""``openvino/``: ``model.xml`` and ``model.bin``, for Intel's processors, graphics and NPUs, and for OpenVINO's server.

OpenVINO computes in lower precision by itself where a processor has it (bf16, f16); the proof is of float32, which
``INFERENCE_PRECISION_HINT: f32`` asks for. Its package brings a telemetry, which only its own converters use: this file
calls none of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch, ModelError
from sightline.exporting.parity import Exportable
from sightline.machine import usable_threads
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.onnx_session import OUTPUTS
from sightline.text import one_line

__all__ = ["OPENVINO_FOLDER", "OpenvinoRunner", "write_openvino"]

OPENVINO_FOLDER = "openvino"
_XML = "model.xml"
AnyArray = np.ndarray[Any, Any]


def write_openvino(graph: Exportable, bundle: Bundle, path: Path, exporter: str) -> None:
    """Write a network as OpenVINO's IR, weights in float32; any number of images a batch, the bundle inside.

    Args:
        graph: the network, or a classifier that ships.
        bundle: goes into ``model.xml`` as ``rt_info/sightline``.
        path: the folder; its files are whole or not there.
        exporter: one of the graph's.

    Raises:
        ExportMismatch: if OpenVINO can't read this network.
    """
    try:
        import openvino

        model = openvino.Core().read_model(graph.to_onnx(exporter, bundle.preprocess.size))
        model.set_rt_info(bundle.to_json(ascii_only=True), [METADATA_KEY])
        with tempfile.TemporaryDirectory() as scratch:
            openvino.save_model(model, str(Path(scratch, _XML)), compress_to_fp16=False)
            written = {file.name: file.read_bytes() for file in Path(scratch).iterdir()}
    except Exception as error:  # OpenVINO raises types of its own
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported to OpenVINO: {type(error).__name__}: {one_line(error, 300)}",
            "use model.onnx, which OpenVINO's own tools may read",
        ) from error
    for name, data in written.items():
        write_bytes(path / name, data)


class OpenvinoRunner:
    """An ``openvino`` folder, opened on the processor, in float32.

    Example:
        ``OpenvinoRunner(Path("classifier/openvino")).run(squares)[0].argmax(1)``
    """

    def __init__(self, path: Path) -> None:
        import openvino

        how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": usable_threads()}
        try:
            self._model: Any = openvino.Core().compile_model(str(path / _XML), "CPU", how)
        except Exception as error:  # OpenVINO raises types of its own
            cure = "export it again: sightline export MODEL --format openvino"
            raise ModelError("model.damaged", f"{path} can't be opened: {one_line(error)}", cure) from error

    def run(self, pixels: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) of ``[N, size, size, 3] uint8``."""
        said = self._model(pixels)
        probabilities, features, novelty = (np.array(said[name]) for name in OUTPUTS)
        return probabilities, features, novelty
