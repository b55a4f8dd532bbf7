"""``model.onnx``: one file with ``uint8`` pixels in, probabilities and features out, and the bundle inside."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from sightline.errors import ExportMismatch
from sightline.networks.network import Network
from sightline.runtime.bundle import METADATA_KEY, Bundle

__all__ = ["write_onnx"]


class _Graph(nn.Module):
    """``[N, size, size, 3] uint8`` pixels to (``[N, K]`` probabilities, ``[N, D]`` features)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(pixels.permute(0, 3, 1, 2).float() / 255)
        return torch.softmax(self.network.head(features), 1), features


def write_onnx(network: Network, bundle: Bundle, path: Path) -> None:
    """Write a network as one ONNX file without external data; any number of images a batch.

    Raises:
        ExportMismatch: if torch can't export this network.
    """
    size = bundle.preprocess.size
    graph = _Graph(network).eval().cpu()
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)  # two: an example of one freezes the batch at one
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet("torch.onnx"):
            warnings.simplefilter("ignore")  # the exporter's notes to its own developers
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                external_data=False,
                verbose=False,
                dynamic_shapes={"pixels": {0: torch.export.Dim.DYNAMIC}},
                input_names=["pixels"],
                output_names=["probabilities", "features"],
            )
            assert program is not None
            program.model.metadata_props[METADATA_KEY] = bundle.to_json(ascii_only=True)
            program.save(str(path), external_data=False)
    except Exception as error:  # the exporter raises whatever its many passes raise
        text = " ".join(str(error).split())[:300]
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported to ONNX: {type(error).__name__}: {text}",
            "choose another --model; the trained network is kept as model.safetensors",
        ) from error


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
