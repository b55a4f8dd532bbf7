"""Weights that are stored in 16 bits: half the size; computed in 32 bits, as most processors do."""

from __future__ import annotations

import numpy as np

from sightline.errors import ExportMismatch

__all__ = ["halve_weights"]

_LEAST = 256  # values: a smaller constant saves nothing, and may be a shape or a scale
_STORED = "/float16"


def halve_weights(body: bytes) -> bytes:
    """Return a body whose weights are stored as float16, and turned into float32 where it is opened.

    Args:
        body: ONNX model from ``pixels`` to ``features``.

    Raises:
        ExportMismatch: if a weight is too large for float16.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(body)
    casts, kept = [], []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if constant.data_type != TensorProto.FLOAT or values.size < _LEAST:
            kept.append(constant)
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            message = f"weights up to {np.abs(values).max():.3g} don't fit into float16, which ends at 65,504"
            raise ExportMismatch("shrink.failed", message, "use another version: sightline shrink RUN --only int8")
        stored = constant.name + _STORED
        kept.append(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [constant.name], f"cast {constant.name}", to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    data: bytes = model.SerializeToString()
    return data
