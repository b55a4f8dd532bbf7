"""The body of a classifier as a graph of its own, from pixels to features, ready to be rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.runtime.onnx_session import INPUT, fold_graph, open_session

if TYPE_CHECKING:
    import onnx

__all__ = ["BATCH", "FEATURES", "compute_features", "fold_body", "read_graph"]

FEATURES = "features"
BATCH = "images"  # name of the axis
_SAME = 1e-4  # of a feature, as a share of the largest: rounding is a hundredth of that
_BATCH_SIZE = 8
_PREFIX, _OTHER = "sightline/", "body/"  # the end of the graph that is added has the first one

Floats = npt.NDArray[np.float32]


def fold_body(body: bytes, squares: npt.NDArray[np.uint8]) -> bytes:
    """Return a body in which what does not depend on the pixels is computed already; the same numbers come out.

    A network that pads by the size of the image, as those from TensorFlow do, computes its paddings at each prediction
    otherwise: a graph with a free number of images hides that they are always the same.

    Args:
        body: ONNX model from ``pixels`` to ``features``.
        squares: ``[N, size, size, 3] uint8``, three at least: it is seen on them that the numbers are the same.
    """
    free = _free_batch(body)
    try:
        folded = _free_batch(fold_graph(free, BATCH, 1))
        sizes = [compute_features(folded, squares[:count]) for count in (1, 3, len(squares))]
    except Exception:  # onnxruntime raises types of its own, where a shape is that of one image
        return free
    wanted = compute_features(body, squares)
    far = max(float(np.abs(said - wanted[: len(said)]).max()) for said in sizes)
    return folded if far <= _SAME * max(1e-6, float(np.abs(wanted).max())) else free


def compute_features(body: bytes, squares: npt.NDArray[np.uint8]) -> Floats:
    """Return ``[N, D]`` features."""
    session = open_session(body)
    parts = [squares[start : start + _BATCH_SIZE] for start in range(0, len(squares), _BATCH_SIZE)]
    return np.concatenate([session.run([FEATURES], {INPUT: part})[0] for part in parts])


def read_graph(body: bytes) -> onnx.ModelProto:
    """Return a body as a graph with the shape of each result, where it is known."""
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.load_model_from_string(body))


def _free_batch(body: bytes) -> bytes:
    """Return a body for any number of images, with names of steps, and none that the end of the graph has."""
    import onnx

    model = onnx.load_model_from_string(body)
    graph: Any = model.graph
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{number}"
        for names in (node.input, node.output):
            names[:] = [_renamed(name) for name in names]
    for constant in graph.initializer:
        constant.name = _renamed(constant.name)
    data: bytes = model.SerializeToString()
    return data


def _renamed(name: str) -> str:
    return f"{_OTHER}{name.removeprefix(_PREFIX)}" if name.startswith(_PREFIX) else name
