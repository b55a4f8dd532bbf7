"""EfficientNet-Lite without torch: its layers, by the names of its tensors, and its features as an ONNX graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

__all__ = [
    "EPSILON",
    "Block",
    "Convolution",
    "Tensors",
    "build_body",
    "count_channels",
    "list_blocks",
    "same_padding",
    "stage_ends",
]

Tensors = Mapping[str, npt.NDArray[Any]]

EPSILON = 1e-3  # of the batch norms
_LEAST_REDUCTION = 8  # of the image's sides, from which on a map is a stage's: as in ``stages.py`` for any network
_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; all others have 1


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, its batch norm, and ReLU6 where it has one; padded as TensorFlow does.

    Attributes:
        name: of its weight ``[out, in / groups, k, k]``.
        norm: of its batch norm.
        stride: 1 or 2.
        is_depthwise: one filter a channel.
        has_activation: ReLU6 follows.
    """

    name: str
    norm: str
    stride: int = 1
    is_depthwise: bool = False
    has_activation: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions in a row; a residual one adds its input to its output."""

    convolutions: tuple[Convolution, ...]
    is_residual: bool = False


def list_blocks(tensors: Tensors) -> tuple[Block, ...]:
    """Return the blocks of an EfficientNet-Lite, from the stem to the last convolution before pooling.

    Args:
        tensors: of timm's names, at least the weights.

    Example:
        ``list_blocks(load_file(carried_file()))[0].convolutions[0].name == "conv_stem.weight"``
    """
    places = {
        tuple(map(int, found.groups())) for name in tensors if (found := re.match(r"blocks\.(\d+)\.(\d+)\.", name))
    }
    blocks = [Block((Convolution("conv_stem.weight", "bn1", 2),))]
    for stage, number in sorted(places):
        stride = _STRIDES[stage] if number == 0 else 1
        blocks.append(_inverted(tensors, f"blocks.{stage}.{number}.", stride))
    return (*blocks, Block((Convolution("conv_head.weight", "bn2"),)))


def _inverted(tensors: Tensors, prefix: str, stride: int) -> Block:
    """Return a block that widens (all but the first do), filters each channel, and narrows without an activation."""
    deep = Convolution(f"{prefix}conv_dw.weight", f"{prefix}bn1", stride, is_depthwise=True)
    last = Convolution(f"{prefix}conv_pw.weight", f"{prefix}bn2", has_activation=False)
    if f"{prefix}conv_pwl.weight" not in tensors:
        return Block((deep, last), stride == 1 and _ends(tensors, deep, last))
    wide = Convolution(f"{prefix}conv_pw.weight", f"{prefix}bn1")
    deep = Convolution(f"{prefix}conv_dw.weight", f"{prefix}bn2", stride, is_depthwise=True)
    last = Convolution(f"{prefix}conv_pwl.weight", f"{prefix}bn3", has_activation=False)
    return Block((wide, deep, last), stride == 1 and _ends(tensors, wide, last))


def _ends(tensors: Tensors, first: Convolution, last: Convolution) -> bool:
    """Whether a block's output has as many channels as its input."""
    weight = tensors[first.name]
    before = weight.shape[0] if first.is_depthwise else weight.shape[1]
    return bool(before == tensors[last.name].shape[0])


def stage_ends(blocks: Sequence[Block]) -> tuple[int, ...]:
    """Return the places of the blocks that end a stage: the last one of each resolution from an eighth of the image on.

    The convolution before the pooling is none of them.

    Example:
        ``[blocks[place] for place in stage_ends(blocks := list_blocks(tensors))]``
    """
    reduction, ends = 1, {}
    for place, block in enumerate(blocks[:-1]):
        for convolution in block.convolutions:
            reduction *= convolution.stride
        if reduction >= _LEAST_REDUCTION:
            ends[reduction] = place
    return tuple(ends.values())


def count_channels(tensors: Tensors, *, has_stages: bool) -> tuple[int, ...]:
    """Return how many features each stage gives, and the last layer.

    Example:
        >>> from safetensors.numpy import load_file
        >>> from sightline.networks.carried import carried_file
        >>> count_channels(load_file(carried_file()), has_stages=True)
        (40, 112, 320, 1280)
    """
    blocks = list_blocks(tensors)
    ends = [blocks[place] for place in (*(stage_ends(blocks) if has_stages else ()), -1)]
    return tuple(int(tensors[block.convolutions[-1].name].shape[0]) for block in ends)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return (before, after) as TensorFlow pads a side: the larger half after.

    Example:
        >>> same_padding(224, 3, 2), same_padding(112, 3, 1)
        ((0, 1), (1, 1))
    """
    whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return whole // 2, whole - whole // 2


def build_body(
    tensors: Tensors, size: int, mean: Sequence[float], std: Sequence[float], *, has_stages: bool = False
) -> onnx.ModelProto:
    """Return the network up to its features as an ONNX model, its batch norms folded.

    Args:
        tensors: of timm's names.
        size: side of the square input, in px; any, though the weights were made for 224.
        mean, std: per channel, for pixels scaled to 0..1.
        has_stages: the averages of the maps that end a stage are features too, and come first.

    Returns:
        A model from ``pixels``, ``[N, size, size, 3] uint8``, to ``features``, ``[N, D] float32``.

    Example:
        ``build_body(load_file(carried_file()), 224, CARRIED.mean, CARRIED.std).SerializeToString()``
    """
    from onnx import TensorProto, helper, numpy_helper

    body = _Body([], {})
    scaled = body.add("Cast", body.add("Transpose", "pixels", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    scale, shift = (np.asarray(value, np.float64).reshape(1, 3, 1, 1) for value in (std, mean))
    name = body.add("Mul", scaled, values=(1 / (255 * scale),))
    name = body.add("Sub", name, values=(shift / scale,))
    side, blocks = size, list_blocks(tensors)
    ends, seen = stage_ends(blocks) if has_stages else (), []
    for place, block in enumerate(blocks):
        start = name
        for convolution in block.convolutions:
            name, side = body.convolve(tensors, convolution, name, side)
        name = body.add("Add", name, start) if block.is_residual else name
        if place in ends:
            seen.append(body.add("Flatten", body.add("GlobalAveragePool", name)))
    last = body.add("Flatten", body.add("GlobalAveragePool", name), output="" if seen else "features")
    if seen:
        body.add("Concat", *seen, last, output="features", axis=1)
    count = sum(count_channels(tensors, has_stages=has_stages))
    graph = helper.make_graph(
        body.nodes,
        "features",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["images", size, size, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["images", count])],
        [numpy_helper.from_array(value, key) for key, value in body.values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@dataclass(frozen=True, slots=True)
class _Body:
    """Nodes and constants of a graph in the making."""

    nodes: list[onnx.NodeProto]
    values: dict[str, npt.NDArray[np.float32]]

    def add(self, kind: str, *inputs: str, values: Sequence[npt.ArrayLike] = (), output: str = "", **more: Any) -> str:
        """Add a node with constants after its inputs; returns the name of its output."""
        from onnx import helper

        place = len(self.nodes)
        names = [f"constant_{place}_{number}" for number in range(len(values))]
        self.values.update((key, np.asarray(value, np.float32)) for key, value in zip(names, values, strict=True))
        output = output or f"{kind.lower()}_{place}"
        self.nodes.append(helper.make_node(kind, [*inputs, *names], [output], **more))
        return output

    def convolve(self, tensors: Tensors, convolution: Convolution, name: str, side: int) -> tuple[str, int]:
        """Add a convolution with its norm folded into it; returns (its output, the side of that)."""
        weight, bias = _folded(tensors, convolution)
        kernel, stride = weight.shape[-1], convolution.stride
        before, after = same_padding(side, kernel, stride)
        output = self.add(
            "Conv",
            name,
            values=(weight, bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=weight.shape[0] if convolution.is_depthwise else 1,
        )
        if convolution.has_activation:
            output = self.add("Clip", output, values=(0, 6))
        return output, -(-side // stride)


def _folded(tensors: Tensors, convolution: Convolution) -> Iterator[npt.NDArray[np.float32]]:
    """Yield weight and bias of a convolution that does what it and its batch norm do."""
    gamma, beta, mean, variance = (
        tensors[f"{convolution.norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    yield (tensors[convolution.name].astype(np.float64) * scale[:, None, None, None]).astype(np.float32)
    yield (beta - mean * scale).astype(np.float32)
