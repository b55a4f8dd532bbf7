"""A body in int8: weights and results of its layers in 8 bits, by onnxruntime's quantisation (QDQ, per channel)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch
from sightline.exporting.body import read_graph
from sightline.exporting.ranges import Range, find_ranges
from sightline.runtime.onnx_session import quantisation
from sightline.text import one_line

if TYPE_CHECKING:
    import onnx

__all__ = ["Quantisable", "choose_steps", "prepare", "quantise"]

LAYERS = ("Conv", "Gemm", "MatMul")  # where the work is
_FOLLOWING = ("Clip", "Relu", "MaxPool")  # part of the step before them, or free in int8
_BETWEEN = ("Add", "Mul", "Sigmoid")
_FLOAT_OUT = ("Gemm", "MatMul")  # what they feed wants more than 8 bits: norms, activations of transformers
_SPATIAL = 4  # axes


@dataclass(frozen=True, slots=True, eq=False)
class Quantisable:
    """A body, and what is known of it before some of its layers are quantised.

    Attributes:
        body: ONNX model from ``pixels`` to ``features``, folded.
        layers: names of those that can be quantised, in the order in which they run.
        ranges: result -> range, of all that may be quantised.
    """

    body: bytes
    layers: tuple[str, ...]
    ranges: Mapping[str, Range]


def prepare(body: bytes, squares: npt.NDArray[np.uint8]) -> Quantisable:
    """Look at a body's layers, and at what they compute of training images.

    Args:
        body: ONNX model from ``pixels`` to ``features``, folded.
        squares: ``[N, size, size, 3] uint8``, of training.

    Raises:
        ExportMismatch: if it has no layer that can be quantised.
    """
    model = read_graph(body)
    layers = tuple(node.name for node in model.graph.node if _is_layer(model, node))
    if not layers:
        message = "the network has no convolution or matrix product with fixed weights"
        raise ExportMismatch("shrink.failed", message, "use another version: sightline shrink RUN --only float16")
    steps = set(choose_steps(model, layers))
    weights = {constant.name for constant in model.graph.initializer}
    results: dict[str, None] = {}
    for node in model.graph.node:
        if node.name in steps:
            results.update(dict.fromkeys([*_taken(node), *node.output]))
    names = [name for name in results if name and name not in weights]
    return Quantisable(body, layers, find_ranges(body, names, squares))


def quantise(prepared: Quantisable, in_float: Collection[str] = ()) -> bytes:
    """Return the body with its layers in int8.

    Args:
        prepared: by :func:`prepare`.
        in_float: names of layers that stay as they are.

    Raises:
        ExportMismatch: if onnxruntime can't quantise this network.

    References:
        B. Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference,
        CVPR 2018.
    """
    library = quantisation()
    model = read_graph(prepared.body)
    # It has its shapes. Else they are found anew through a file, for whose name the network card is asked its address.
    model.metadata_props.add(key="onnx.infer", value="onnxruntime.quant")
    layers = [name for name in prepared.layers if name not in in_float]
    if not layers:
        return prepared.body
    method = library.CalibrationMethod.MinMax
    ranges = {name: (np.float32(low), np.float32(high)) for name, (low, high) in prepared.ranges.items()}
    kinds = library.QuantType
    options = {"OpTypesToExcludeOutputQuantization": list(_FLOAT_OUT)}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises to fold the graph first, which is done
    try:
        quantiser = library.QDQQuantizer(
            model,
            True,  # a scale of its own for each channel of a layer
            False,
            kinds.QInt8,
            kinds.QUInt8,
            library.TensorsData(method, ranges),
            choose_steps(model, layers),
            [],
            [*LAYERS, *_BETWEEN, *_FOLLOWING],
            options,
        )
        quantiser.quantize_model()
        quantiser.model.topological_sort()
        data: bytes = quantiser.model.model.SerializeToString()
    except Exception as error:  # it raises whatever its many rules raise
        message = f"onnxruntime can't quantise this network: {type(error).__name__}: {one_line(error, 300)}"
        cure = "use another version: sightline shrink RUN --only float16"
        raise ExportMismatch("shrink.failed", message, cure) from error
    finally:
        logging.disable(before)
    return data


def choose_steps(model: onnx.ModelProto, layers: Collection[str]) -> list[str]:
    """Return the names of the steps that are computed in int8 with the layers, these included.

    What stands between two layers is, where the next one takes it in 8 bits anyway; what only leads to the features is
    not: they keep their digits.

    Args:
        model: a body.
        layers: names.
    """
    maps = {value.name for value in model.graph.value_info if len(value.type.tensor_type.shape.dim) == _SPATIAL}
    below: set[str] = set()  # results that come from a layer
    own: set[str] = set()  # results of layers, and of what is part of them
    joined: set[str] = set()  # results of what stands between layers
    chosen, between = {*layers}, []
    for node in model.graph.node:
        if node.name in layers:
            own.update(node.output)
        elif node.op_type in _FOLLOWING and node.input[0] in own:
            own.update(node.output)
            chosen.add(node.name)
        elif (
            (node.op_type in _BETWEEN or (node.op_type in _FOLLOWING and node.input[0] in joined))
            and {*_taken(node), *node.output} <= maps
            and _has_any(below, node.input)
        ):
            joined.update(node.output)
            between.append(node)
        if node.name in layers or _has_any(below, node.input):
            below.update(node.output)
    wanted = {node.input[0] for node in model.graph.node if node.name in layers}
    for node in reversed(between):
        if _has_any(wanted, node.output):
            chosen.add(node.name)
            wanted.update(node.input)
    return [node.name for node in model.graph.node if node.name in chosen]


def _has_any(known: set[str], names: Iterable[str]) -> bool:
    return any(name in known for name in names)


def _taken(node: onnx.NodeProto) -> list[str]:
    """Return what a step computes with: not the weights of a layer, nor the limits of a Clip."""
    return list(node.input if node.op_type in _BETWEEN else node.input[:1])


def _is_layer(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether a step is a layer with fixed weights."""
    weights = {constant.name for constant in model.graph.initializer}
    return node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in weights and node.input[0] not in weights
