"""A classifier that is known: what it answers can be computed by hand.

Its features are the mean of red, green and blue (0 to 1), its probabilities are the softmax of ten times that, its
novelty is twice their mean.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto, helper

from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import METADATA_KEY, Bundle

PREPROCESS = Preprocess(size=6, resize=8)


def bundle(**changes: object) -> Bundle:
    fields = {
        "classes": ("red", "green", "blue"),
        "preprocess": PREPROCESS,
        "model": "mean-colour",
        "feature_size": 3,
        "weights": "none",
        "licence": "none",
        "data_fingerprint": "",
        "sightline": "0.1.0",
        "created": "",
    }
    return Bundle(**{**fields, **changes})


def model_bytes(
    metadata: str | None, *, entry: str = "pixels", kind: int = TensorProto.UINT8, outputs: int = 3
) -> bytes:
    side = PREPROCESS.size
    nodes = [
        helper.make_node("Cast", [entry], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "axes"], ["features"], keepdims=0),
        helper.make_node("Mul", ["features", "ten"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceMean", ["features", "last"], ["grey"], keepdims=0),
        helper.make_node("Add", ["grey", "grey"], ["novelty"]),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [255.0]),
        helper.make_tensor("ten", TensorProto.FLOAT, [], [10.0]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    shapes = {"probabilities": ["n", 3], "features": ["n", 3], "novelty": ["n"]}
    said = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    taken = [helper.make_tensor_value_info(entry, kind, ["n", side, side, 3])]
    graph = helper.make_graph(nodes, "mean-colour", taken, said[:outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {METADATA_KEY: metadata})
    onnx.checker.check_model(model)
    return model.SerializeToString()


GOOD = model_bytes(bundle().to_json())


def forged(change: Callable[[onnx.ModelProto], object]) -> bytes:
    """Return the good model with a change."""
    model = onnx.load_model_from_string(GOOD)
    change(model)
    return bytes(model.SerializeToString())
