"""``model.mlpackage``: for iPhones, iPads and Macs. It can be run on a Mac alone; written elsewhere, it is not proved.

Its input is an image of the network's size, so that Vision and Xcode take it as a model of images. Weights and products
are float32.
"""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch
from sightline.exporting.parity import Exportable
from sightline.exporting.proof import Unproved
from sightline.exporting.quiet import quietly
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.onnx_session import OUTPUTS
from sightline.text import one_line

__all__ = ["COREML_FOLDER", "CoremlRunner", "write_coreml"]

COREML_FOLDER = "model.mlpackage"
_INPUT = "image"
AnyArray = np.ndarray[Any, Any]


def write_coreml(graph: Exportable, bundle: Bundle, path: Path, exporter: str = "coremltools") -> None:
    """Write a network as an ML program for iOS 16 and macOS 13 on; one image at a time, the bundle inside.

    Args:
        graph: the network as trained, with its calibration.
        bundle: goes into the model's own metadata as ``sightline``.
        path: the package, a folder; its files are whole or not there.
        exporter: there is one.

    Raises:
        ExportMismatch: if coremltools can't convert this network.
    """
    import torch

    from sightline.networks.onnx_graph import Graph

    assert isinstance(graph, Graph), "a frozen network is opened as torch's for this format"
    size = bundle.preprocess.size
    try:
        with quietly("coremltools"), torch.no_grad():
            import coremltools  # it has remarks from the first line on

            traced = torch.jit.trace(_on_levels(graph.eval().cpu()), torch.zeros(1, 3, size, size))
            shape = (1, 3, size, size)
            layout = coremltools.colorlayout.RGB
            model = coremltools.convert(
                traced,
                inputs=[coremltools.ImageType(name=_INPUT, shape=shape, color_layout=layout)],
                outputs=[coremltools.TensorType(name) for name in OUTPUTS],
                convert_to="mlprogram",
                compute_precision=coremltools.precision.FLOAT32,
                minimum_deployment_target=coremltools.target.iOS16,
            )
            model.user_defined_metadata[METADATA_KEY] = bundle.to_json(ascii_only=True)
            model.license = bundle.licence
            with tempfile.TemporaryDirectory() as scratch:
                whole = Path(scratch, COREML_FOLDER)
                model.save(str(whole))
                written = {
                    file.relative_to(whole): file.read_bytes() for file in sorted(whole.rglob("*")) if file.is_file()
                }
    except Exception as error:  # coremltools raises types of its own
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported to Core ML: {type(error).__name__}: {one_line(error, 300)}",
            "leave out --format coreml; model.onnx does not need it",
        ) from error
    for name, data in written.items():
        write_bytes(path / name, data)


class CoremlRunner:
    """A ``model.mlpackage``, opened on a Mac.

    Raises:
        Unproved: on any other system, where nothing runs it.
    """

    def __init__(self, path: Path) -> None:
        if platform.system() != "Darwin":
            raise Unproved("Core ML runs on a Mac alone, so nothing was computed with this file")
        import coremltools

        units = coremltools.ComputeUnit.CPU_ONLY
        self._model: Any = coremltools.models.MLModel(str(path), compute_units=units)

    def run(self, pixels: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) of ``[N, size, size, 3] uint8``."""
        from PIL import Image

        answers = [self._model.predict({_INPUT: Image.fromarray(square)}) for square in pixels]
        probabilities, features, novelty = (np.concatenate([answer[name] for answer in answers]) for name in OUTPUTS)
        return probabilities, features, novelty


def _on_levels(graph: Any) -> Any:
    """Return a module from ``[1, 3, size, size]`` levels of 0 to 255 to what a graph answers."""
    import torch

    class OnLevels(torch.nn.Module):
        def forward(self, levels: Any) -> Any:
            features = graph.network.features(levels / 255)
            logits = graph.network.head(features) / graph.temperature
            return torch.softmax(logits, 1), features, graph.measure_novelty(features)

    module = OnLevels()
    module.whole = graph
    return module
