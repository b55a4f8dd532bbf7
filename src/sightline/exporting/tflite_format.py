"""``model.tflite``: for LiteRT, on Android, on boards and in browsers; one image at a time.

By its metadata Google's converter, litert-torch, takes certain releases of torch alone: 0.10.0 those before 2.15.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch, ModelError
from sightline.exporting.parity import Exportable
from sightline.exporting.quiet import quietly
from sightline.machine import usable_threads
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.onnx_session import OUTPUTS
from sightline.text import one_line

__all__ = ["TFLITE_FILE", "TfliteRunner", "write_tflite"]

TFLITE_FILE = "model.tflite"
AnyArray = np.ndarray[Any, Any]


def write_tflite(graph: Exportable, bundle: Bundle, path: Path, exporter: str = "litert-torch") -> None:
    """Write a network as a LiteRT file, float32: ``uint8 [1, size, size, 3]`` in, the three outputs in their order.

    Args:
        graph: the network as trained, with its calibration.
        bundle: goes behind the model as ``sightline.json``, with ``labels.txt``, in the ZIP archive that LiteRT's tools
            look for there.
        path: whole or not there.
        exporter: there is one.

    Raises:
        ExportMismatch: if litert-torch can't convert this network.
    """
    import torch

    from sightline.networks.onnx_graph import Graph

    assert isinstance(graph, Graph), "a frozen network is opened as torch's for this format"
    size = bundle.preprocess.size
    try:
        with quietly("litert_torch"), torch.no_grad(), tempfile.TemporaryDirectory() as scratch:
            import litert_torch

            model = litert_torch.convert(graph.eval().cpu(), (torch.zeros(1, size, size, 3, dtype=torch.uint8),))
            model.export(str(Path(scratch, TFLITE_FILE)))
            written = io.BytesIO(Path(scratch, TFLITE_FILE).read_bytes())
        with zipfile.ZipFile(written, "a") as archive:
            archive.writestr(f"{METADATA_KEY}.json", bundle.to_json(ascii_only=True))
            labels = "".join(f"{name}\n" for name in bundle.classes)
            archive.writestr("labels.txt", labels.encode("utf-8", "surrogateescape"))
    except Exception as error:  # the converter raises whatever its many passes raise
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported to LiteRT: {type(error).__name__}: {one_line(error, 300)}",
            "leave out --format tflite; model.onnx does not need it",
        ) from error
    write_bytes(path, written.getvalue())


class TfliteRunner:
    """A ``model.tflite``, opened on the processor.

    Example:
        ``TfliteRunner(Path("classifier/model.tflite")).run(squares)[0].argmax(1)``
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(model_content=path.read_bytes(), num_threads=usable_threads())
            self._run: Any = interpreter.get_signature_runner()
            ((self._input, self._outputs),) = (
                (one["inputs"][0], one["outputs"]) for one in interpreter.get_signature_list().values()
            )
        except Exception as error:  # LiteRT raises types of its own
            cure = "export it again: sightline export RUN --format tflite"
            raise ModelError("model.damaged", f"{path} can't be opened: {one_line(error)}", cure) from error
        assert len(self._outputs) == len(OUTPUTS)

    def run(self, pixels: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) of ``[N, size, size, 3] uint8``."""
        answers = [self._run(**{self._input: square[None]}) for square in pixels]
        probabilities, features, novelty = (
            np.concatenate([answer[name] for answer in answers]) for name in sorted(self._outputs)
        )
        return probabilities, features, novelty
