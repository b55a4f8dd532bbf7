"""``model.pt2``: the whole graph as a program of ``torch.export``, for those who serve with torch itself."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch
from sightline.exporting.parity import Exportable
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.onnx_session import INPUT
from sightline.text import one_line

__all__ = ["PT2_FILE", "Pt2Runner", "write_pt2"]

PT2_FILE = "model.pt2"
AnyArray = np.ndarray[Any, Any]


def write_pt2(graph: Exportable, bundle: Bundle, path: Path, exporter: str = "torch.export") -> None:
    """Write a network as one program of ``torch.export``; any number of images a batch, the bundle inside.

    The weights stand in it as plain numbers and the program as JSON; there is no pickle.

    Args:
        graph: the network as trained, with its calibration.
        bundle: goes into the file as ``extra/sightline``.
        path: whole or not there.
        exporter: there is one.

    Raises:
        ExportMismatch: if torch can't export this network so.
    """
    import torch

    from sightline.networks.onnx_graph import Graph

    assert isinstance(graph, Graph), "a frozen network is opened as torch's for this format"
    written, size = io.BytesIO(), bundle.preprocess.size
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                graph.eval().cpu(),
                (torch.zeros(2, size, size, 3, dtype=torch.uint8),),  # of one image the batch would be fixed
                dynamic_shapes={INPUT: {0: torch.export.Dim.DYNAMIC}},
            )
            program.example_inputs = None  # torch would pickle them
            torch.export.save(program, written, extra_files={METADATA_KEY: bundle.to_json()})
    except Exception as error:  # the exporter raises whatever its many passes raise
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported by torch.export: {type(error).__name__}: {one_line(error, 300)}",
            "leave out --format pt2; model.onnx does not need it",
        ) from error
    write_bytes(path, written.getvalue())


class Pt2Runner:
    """A ``model.pt2``, opened.

    Example:
        ``Pt2Runner(Path("classifier/model.pt2")).run(squares)[0].argmax(1)``
    """

    def __init__(self, path: Path) -> None:
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._module = torch.export.load(path).module()

    def run(self, pixels: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) of ``[N, size, size, 3] uint8``."""
        import torch

        with torch.inference_mode():
            probabilities, features, novelty = (part.numpy() for part in self._module(torch.from_numpy(pixels)))
        return probabilities, features, novelty
