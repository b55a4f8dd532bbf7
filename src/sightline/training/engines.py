"""Inference engines: the fastest way to compute the features of many images on this device.

Measured with ``benchmarks/features.py`` on one thread of a busy CPU with bf16 instructions, in images per second at
224 px, in batches of 8 for mobilenetv2_100 and of 16 for resnet18:

    =================  ===============  ========
    engine             mobilenetv2_100  resnet18
    =================  ===============  ========
    torch                           46        29
    torch, folded                   66        29
    torch bf16                      96        55
    torch bf16, folded             172        58
    onnxruntime                    135        31
    =================  ===============  ========

So bf16 where the CPU supports it, else onnxruntime, once there are enough images to pay for exporting the graph. The
choice follows from device, planned precision and number of images, and is not timed at run time: a timing depends on
what else the machine does, and with it would the features, the head and all later weights. The same training must give
the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.networks.folding import fold_batch_norms
from sightline.networks.network import Network
from sightline.networks.onnx_graph import Graph, trace_graph
from sightline.pixels.limits import squares_at_once
from sightline.runtime.onnx_session import INPUT, open_session

__all__ = ["ENGINES", "Engine", "batch_at", "choose_engine"]

# Tracing, writing and opening a graph takes 0.4 to 0.6 s; on this many images onnxruntime saves more than that.
_GRAPH_PAYS_FROM = 150
_GPU_BATCH = 128

Infer = Callable[[Tensor], npt.NDArray[np.float32]]


class Engine(NamedTuple):
    """A way to compute features.

    Attributes:
        name: ``torch``, ``torch bf16``, ``onnxruntime``, ...
        batch: images per call.
        infer: from ``[B, H, W, 3] uint8`` images, on any device, to ``[B, D] float32`` features.
    """

    name: str
    batch: int
    infer: Infer


def choose_engine(network: Network, count: int, size: int, precision: str = "fp32") -> Engine:
    """Return the fastest way to compute features with this network in its current state.

    Args:
        network: on its device; it is set to evaluation mode.
        count: number of images.
        size: side of the images in px.
        precision: ``bf16`` where rounded features are enough (it is planned where the device supports it). Each feature
            then differs by some thousandths of its size, in networks with ReLU6 and depthwise convolutions by up to a
            tenth; the loss of a head fitted on them by less than 0.01 nats. In ``fp32`` they agree within rounding.

    Example:
        ``choose_engine(network, 3_000, 224).infer(squares)``
    """
    network.eval()
    device = network.head.weight.device
    if device.type != "cpu":
        return Engine(f"torch {precision}", _GPU_BATCH, _torch_engine(network, precision))
    batch = batch_at(size)
    if precision == "bf16":
        return Engine("torch bf16, folded", batch, ENGINES["torch bf16, folded"](network, size))
    if count >= _GRAPH_PAYS_FROM:
        try:
            return Engine("onnxruntime", batch, ENGINES["onnxruntime"](network, size))
        except Exception:  # the exporter and onnxruntime can raise any type
            pass  # torch is used for a network that can't be exported
    return Engine("torch, folded", batch, ENGINES["torch, folded"](network, size))


def batch_at(size: int) -> int:
    """Return the batch size of inference on a CPU for images of ``size`` px.

    Example:
        >>> batch_at(224), batch_at(112), batch_at(512)
        (8, 32, 4)
    """
    return max(4, min(256, squares_at_once(size)))


def _torch_engine(network: Network, precision: str) -> Infer:
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    device = network.head.weight.device

    @torch.inference_mode()
    def infer(squares: Tensor) -> npt.NDArray[np.float32]:
        images = squares.to(device).permute(0, 3, 1, 2).float().div_(255)  # channels_last
        with torch.autocast(device.type, kind, enabled=kind is not torch.float32):
            features: npt.NDArray[np.float32] = network.features(images).float().cpu().numpy()
        return features

    return infer


def _folded(network: Network) -> Network:
    return fold_batch_norms(network).to(memory_format=torch.channels_last)


def _graph_engine(network: Network, size: int) -> Infer:
    session = open_session(trace_graph(Graph(network), size), threads=torch.get_num_threads())

    def infer(squares: Tensor) -> npt.NDArray[np.float32]:
        features: npt.NDArray[np.float32] = session.run(["features"], {INPUT: squares.cpu().numpy()})[0]
        return features

    return infer


# On a CPU; the slower ones are kept for the benchmark.
ENGINES: dict[str, Callable[[Network, int], Infer]] = {
    "torch": lambda network, size: _torch_engine(network, "fp32"),
    "torch, folded": lambda network, size: _torch_engine(_folded(network), "fp32"),
    "torch bf16": lambda network, size: _torch_engine(network, "bf16"),
    "torch bf16, folded": lambda network, size: _torch_engine(_folded(network), "bf16"),
    "onnxruntime": _graph_engine,
}
