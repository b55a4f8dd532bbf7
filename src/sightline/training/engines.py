"""How a network that does not change looks at many images: the fastest way on this device.

Measured with ``benchmarks/features.py`` on one thread of a busy CPU that computes in bf16, in images a second at
224 px, 8 at once for mobilenetv2_100, 16 for resnet18:

    =================  ===============  ========
    way                mobilenetv2_100  resnet18
    =================  ===============  ========
    torch                           46        29
    torch, folded                   66        29
    torch bf16                      96        55
    torch bf16, folded             172        58
    onnxruntime                    135        31
    =================  ===============  ========

So bf16 where the CPU computes in it, else onnxruntime, once there are images enough to pay for the graph. The choice is
a rule on device, planned precision and number of images, and no race at run time: who wins a race depends on what else
the machine does, and with it the features, the head and every weight that follows. The same training must give the
same weights.
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
from sightline.networks.onnx_graph import INPUT, Graph, trace_graph
from sightline.pixels.limits import squares_at_once
from sightline.runtime.onnx_session import open_session

__all__ = ["ENGINES", "Engine", "batch_at", "choose_engine"]

# Tracing, writing and opening a graph takes 0.4 to 0.6 s; on this many images onnxruntime saves more than that.
_GRAPH_PAYS_FROM = 150
_GPU_BATCH = 128

Look = Callable[[Tensor], npt.NDArray[np.float32]]


class Engine(NamedTuple):
    """A way to look.

    Attributes:
        name: ``torch``, ``torch bf16``, ``onnxruntime``, ...
        batch: images at once.
        look: from ``[B, H, W, 3] uint8`` images, on any device, to ``[B, D] float32`` features.
    """

    name: str
    batch: int
    look: Look


def choose_engine(network: Network, count: int, size: int, precision: str = "fp32") -> Engine:
    """Return the fastest way to look at images with this network, as it is now.

    Args:
        network: on its device; it is left in evaluation mode.
        count: images to look at.
        size: side of the images in px.
        precision: ``bf16`` where rounded features will do (it is planned where the device computes in it). Each is then
            off by some thousandths of its size, in networks with ReLU6 and depthwise convolutions up to a tenth; the
            loss of a head fitted on them by less than 0.01 nats. Of ``fp32`` all ways agree within rounding.

    Example:
        ``choose_engine(network, 3_000, 224).look(squares)``
    """
    network.eval()
    device = network.head.weight.device
    if device.type != "cpu":
        return Engine(f"torch {precision}", _GPU_BATCH, _torch_look(network, precision))
    batch = batch_at(size)
    if precision == "bf16":
        return Engine("torch bf16, folded", batch, ENGINES["torch bf16, folded"](network, size))
    if count >= _GRAPH_PAYS_FROM:
        try:
            return Engine("onnxruntime", batch, ENGINES["onnxruntime"](network, size))
        except Exception:  # the exporter and onnxruntime raise whatever their many passes raise
            pass  # a network that can't be traced is looked at by torch
    return Engine("torch, folded", batch, ENGINES["torch, folded"](network, size))


def batch_at(size: int) -> int:
    """Return how many images of ``size`` px a CPU looks at together.

    Example:
        >>> batch_at(224), batch_at(112), batch_at(512)
        (8, 32, 4)
    """
    return max(4, min(256, squares_at_once(size)))


def _torch_look(network: Network, precision: str) -> Look:
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    device = network.head.weight.device

    @torch.inference_mode()
    def look(squares: Tensor) -> npt.NDArray[np.float32]:
        images = squares.to(device).permute(0, 3, 1, 2).float().div_(255)  # channels_last
        with torch.autocast(device.type, kind, enabled=kind is not torch.float32):
            features: npt.NDArray[np.float32] = network.features(images).float().cpu().numpy()
        return features

    return look


def _folded(network: Network) -> Network:
    return fold_batch_norms(network).to(memory_format=torch.channels_last)


def _graph_look(network: Network, size: int) -> Look:
    session = open_session(trace_graph(Graph(network), size), threads=torch.get_num_threads())

    def look(squares: Tensor) -> npt.NDArray[np.float32]:
        features: npt.NDArray[np.float32] = session.run(["features"], {INPUT: squares.cpu().numpy()})[0]
        return features

    return look


# On a CPU; the slower ones are here to be measured beside the others.
ENGINES: dict[str, Callable[[Network, int], Look]] = {
    "torch": lambda network, size: _torch_look(network, "fp32"),
    "torch, folded": lambda network, size: _torch_look(_folded(network), "fp32"),
    "torch bf16": lambda network, size: _torch_look(network, "bf16"),
    "torch bf16, folded": lambda network, size: _torch_look(_folded(network), "bf16"),
    "onnxruntime": _graph_look,
}
