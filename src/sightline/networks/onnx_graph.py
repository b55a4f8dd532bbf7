"""A network as an ONNX graph: ``uint8`` pixels in, probabilities, features and novelty out.

Either of torch's exporters can write it.

Measured on a CPU with torch 2.15, both at opset 20 and equal to the network within rounding: the older exporter,
which traces with TorchScript, takes 0.1 to 0.5 s, and the newer one 1 to 8 s. torch has deprecated the older one and
may remove it; then it raises, and the newer one is used. Neither is trusted: before a graph ships, it is compared with
the network on real images.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sightline.evaluation.abstain import LEAST_LENGTH, Novelty
from sightline.networks.network import Network
from sightline.runtime.onnx_session import INPUT, OUTPUTS

__all__ = ["EXPORTERS", "Graph", "export_graph", "trace_graph"]


# In the order in which they are tried: a traced graph that is proved on real images is as good, and sooner there.
EXPORTERS: tuple[str, ...] = ("trace", "export")

Floats = npt.NDArray[np.float32]
Answers = tuple[Floats, Floats, Floats]


class Graph(nn.Module):
    """``[N, size, size, 3] uint8`` pixels to (``[N, K]`` probabilities, ``[N, D]`` features, ``[N]`` novelty).

    Args:
        network: as trained.
        temperature: divides the logits.
        novelty: measures how far features are from those of training; None: it is 0.
    """

    exporters: tuple[str, ...] = EXPORTERS

    def __init__(self, network: Network, temperature: float = 1.0, novelty: Novelty | None = None) -> None:
        super().__init__()
        self.network, self.temperature, self.novelty = network, temperature, novelty
        self.means: Tensor
        self.absent: Tensor
        if novelty is not None:
            self.register_buffer("means", torch.from_numpy(novelty.means))
            self.register_buffer("absent", torch.from_numpy(novelty.absent))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.features(pixels.permute(0, 3, 1, 2).float() / 255)
        logits = self.network.head(features) / self.temperature
        return torch.softmax(logits, 1), features, self.measure_novelty(features)

    def measure_novelty(self, features: Tensor) -> Tensor:
        """Return ``[N]``, the same as ``Novelty.of``."""
        if self.novelty is None:
            return 0 * features[:, 0]
        length = features.pow(2).sum(1, keepdim=True).sqrt().clamp(min=LEAST_LENGTH)
        angle = 1 - (features / length @ self.means.T - self.absent).amax(1)
        (usual_angle, far), (usual_shortness, short) = self.novelty.angle, self.novelty.shortness
        unlike = torch.maximum((angle - usual_angle) / far, (-length[:, 0].log() - usual_shortness) / short)
        novelty: Tensor = unlike.clamp(min=0) * self.novelty.scale
        return novelty

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the network's weights by name, for ``model.safetensors``."""
        return {name: value.detach().cpu().contiguous().numpy() for name, value in self.network.state_dict().items()}

    def answer(self, squares: npt.NDArray[np.uint8]) -> Answers:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) as torch computes them, on the CPU.

        Args:
            squares: ``[N, size, size, 3] uint8``.
        """
        with torch.inference_mode():
            graph = self.eval().cpu()
            parts = [graph(some) for some in torch.from_numpy(squares).split(8)]  # on a CPU few at once are the fastest
        probabilities, features, novelty = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return probabilities, features, novelty

    def to_onnx(self, exporter: str, size: int) -> bytes:
        """Return the ONNX file that one of ``exporters`` makes of it.

        Raises:
            Exception: any type that torch raises where it can't.
        """
        return trace_graph(self, size) if exporter == "trace" else export_graph(self, size)


def trace_graph(graph: Graph, size: int) -> bytes:
    """Return an ONNX file of a graph by torch's older, fast exporter; the batch size is free.

    Args:
        graph: is not changed; a copy is traced, in evaluation mode, on the CPU.
        size: side of the images in px.

    Raises:
        Exception: any type that torch raises where it can't, or where this exporter was removed.

    Example:
        ``onnxruntime.InferenceSession(trace_graph(Graph(network), 224)).run(["features"], {"pixels": squares})``
    """
    written = io.BytesIO()
    # Without dynamic axes, this exporter would fix the batch size; it runs the network, so no gradients.
    with _quietly(), torch.no_grad():
        torch.onnx.export(
            copy.deepcopy(graph).eval().cpu(),
            (_example(size),),
            written,  # type: ignore[arg-type]  # torch writes to any file
            dynamo=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "images"} for name in (INPUT, *OUTPUTS)},
            opset_version=20,
        )
    return written.getvalue()


def export_graph(graph: Graph, size: int) -> bytes:
    """Return an ONNX file of a graph by torch's newer exporter, which supports more networks and takes seconds.

    Args and errors are those of :func:`trace_graph`.
    """
    with _quietly():
        program = torch.onnx.export(
            graph.eval().cpu(),
            (_example(size),),
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes={INPUT: {0: torch.export.Dim.DYNAMIC}},
            input_names=[INPUT],
            output_names=list(OUTPUTS),
        )
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def _example(size: int) -> Tensor:
    return torch.zeros(2, size, size, 3, dtype=torch.uint8)  # two: with one, the batch size would be fixed at one


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporters' messages, which are meant for their developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
