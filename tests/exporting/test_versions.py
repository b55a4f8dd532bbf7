"""Bodies that are folded, halved and quantised: against onnxruntime on the plain graph, and numpy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightline.errors import ExportMismatch
from sightline.exporting.body import compute_features, fold_body, read_graph
from sightline.exporting.float16 import halve_weights
from sightline.exporting.int8 import choose_steps, prepare, quantise
from sightline.exporting.mixed import find_mixture, logit_error
from sightline.exporting.ranges import best_range
from sightline.runtime.operators import OPERATORS

SIDE, WIDTH = 12, 8
RANDOM = np.random.default_rng(0)
SQUARES = RANDOM.integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
HEAD = RANDOM.normal(size=(3, WIDTH)).astype(np.float32)


def make_body(*, loud: float = 1.0, pads_by_shape: bool = False) -> bytes:
    """Three convolutions, the last two with a shortcut.

    Args:
        loud: factor of one channel between the first two, which the second one hardly uses: it takes all 256 levels.
        pads_by_shape: the first one pads by the shape of its images, as networks from TensorFlow do.
    """
    nodes, constants = [], []

    def hold(name, values):
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def conv(name, given, weight, **more):
        weight = hold(f"{name}.weight", weight.astype(np.float32))
        bias = hold(f"{name}.bias", RANDOM.normal(size=WIDTH).astype(np.float32) / 10)
        nodes.append(helper.make_node("Conv", [given, weight, bias], [name], name, **more))

    nodes.append(helper.make_node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2]))
    nodes.append(helper.make_node("Cast", ["turned"], ["cast"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Div", ["cast", hold("scale", np.float32(255))], ["image"]))
    start = "image"
    if pads_by_shape:
        none, one = hold("none", np.zeros(4, np.int64)), hold("one", np.ones(1, np.int64))
        nodes.append(helper.make_node("Shape", ["image"], ["sides"]))
        nodes.append(helper.make_node("Gather", ["sides", hold("two", np.int64(2))], ["height"]))
        nodes.append(helper.make_node("Mod", ["height", hold("three", np.int64(11))], ["odd"]))
        nodes.append(helper.make_node("Unsqueeze", ["odd", hold("axis", np.zeros(1, np.int64))], ["odd_axis"]))
        ends = hold("no_axes", np.zeros(2, np.int64))
        nodes.append(helper.make_node("Concat", [ends, "odd_axis", one, none], ["all"], axis=0))
        nodes.append(helper.make_node("Slice", ["all", hold("from", [0]), hold("to", [8])], ["pads"]))
        nodes.append(helper.make_node("Pad", ["image", "pads"], ["padded"]))
        start = "padded"
    random = np.random.default_rng(3)
    first = random.normal(size=(WIDTH, 3, 3, 3)) / 3
    second, third = (random.normal(size=(WIDTH, WIDTH, 3, 3)) / 6 for _ in range(2))
    first[0] *= loud
    second[:, 0] /= 100 * loud
    conv("first", start, first, strides=[2, 2])
    nodes.append(helper.make_node("Relu", ["first"], ["bent"]))
    conv("second", "bent", second, pads=[1, 1, 1, 1])
    nodes.append(helper.make_node("Clip", ["second", hold("low", np.float32(0)), hold("high", np.float32(6))], ["cut"]))
    conv("third", "cut", third, pads=[1, 1, 1, 1])
    nodes.append(helper.make_node("Add", ["third", "bent"], ["sum"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["sum"], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["features"]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", WIDTH])
    graph = helper.make_graph(nodes, "body", [pixels], [features], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def kinds(body: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(body).graph.node]


def test_what_does_not_depend_on_the_pixels_is_folded_and_the_numbers_stay():
    body = make_body(pads_by_shape=True)
    folded = fold_body(body, SQUARES)
    assert {"Shape", "Gather", "Concat"} <= {*kinds(body)} and not {"Shape", "Gather", "Concat"} & {*kinds(folded)}
    for count in (1, 5, 12):
        assert np.allclose(
            compute_features(folded, SQUARES[:count]), compute_features(body, SQUARES)[:count], atol=1e-5
        )


def test_weights_in_float16_are_those_that_numpy_rounds():
    body = fold_body(make_body(), SQUARES)
    halved = halve_weights(body)
    before, after = (
        {one.name: numpy_helper.to_array(one) for one in onnx.load_model_from_string(data).graph.initializer}
        for data in (body, halved)
    )
    stored = {name: values for name, values in after.items() if values.dtype == np.float16}
    assert len(stored) == 2 and len(halved) < 0.75 * len(body)  # those of 576 values; 216 are too few
    for name, values in stored.items():
        assert np.array_equal(values, before[name.removesuffix("/float16")].astype(np.float16))
    assert np.allclose(compute_features(halved, SQUARES), compute_features(body, SQUARES), rtol=1e-2, atol=1e-3)


def test_weights_beyond_float16_are_refused():
    with pytest.raises(ExportMismatch, match="65,504"):
        halve_weights(make_body(loud=1e-9))


def test_int8_is_near_smaller_and_of_operators_that_a_classifier_may_have():
    body = fold_body(make_body(), SQUARES)
    prepared = prepare(body, SQUARES[:8])
    small = quantise(prepared)
    assert len(prepared.layers) == 3 and {*kinds(small)} <= OPERATORS
    weights = [one for one in onnx.load_model_from_string(small).graph.initializer if len(one.dims) == 4]
    assert len(weights) == 3 and all(one.data_type == TensorProto.INT8 for one in weights)
    wanted = compute_features(body, SQUARES)
    assert 0 < logit_error(compute_features(small, SQUARES), wanted, HEAD) < 0.05
    for count in (1, 5):
        assert np.allclose(
            compute_features(small, SQUARES[:count]), compute_features(small, SQUARES)[:count], atol=1e-6
        )
    assert quantise(prepared, prepared.layers) == body


def test_what_only_leads_to_the_features_keeps_its_digits():
    body = fold_body(make_body(), SQUARES)
    prepared = prepare(body, SQUARES)
    model = read_graph(body)
    chosen = [node.op_type for node in model.graph.node if node.name in choose_steps(model, prepared.layers)]
    assert chosen == ["Conv", "Relu", "Conv", "Clip", "Conv"]
    left_out = [node.op_type for node in model.graph.node if node.name in choose_steps(model, prepared.layers[1:])]
    assert left_out == ["Conv", "Clip", "Conv"]  # what belongs to a layer in float is in float
    small = quantise(prepared)
    graph = onnx.load_model_from_string(small).graph
    (last,) = [node for node in graph.node if node.op_type == "GlobalAveragePool"]
    (added,) = [node for node in graph.node if node.op_type == "Add"]
    assert last.input[0] == added.output[0]  # not one that was rounded to 8 bits


def test_layers_that_suffer_are_found():
    """One channel between the first two layers takes all levels: with both in float, the error is gone."""
    body = fold_body(make_body(loud=300.0), SQUARES)
    prepared = prepare(body, SQUARES[:8])
    search = find_mixture(prepared, HEAD, SQUARES[8:])
    while True:
        try:
            next(search)
        except StopIteration as end:
            found = end.value
            break
    assert found.error_of_int8 > 2 * found.error and found.in_float
    assert prepared.layers[0] in found.in_float or prepared.layers[1] in found.in_float
    mixed = compute_features(quantise(prepared, found.in_float), SQUARES[8:])
    assert logit_error(mixed, compute_features(body, SQUARES[8:]), HEAD) == pytest.approx(found.error)


def test_the_range_costs_less_than_the_whole_one_and_holds_zero():
    values = np.concatenate([np.random.default_rng(1).normal(size=50_000), [10.0]]).astype(np.float32)
    ends = float(values.min()), float(values.max())

    def error(low: float, high: float) -> float:
        scale = (high - low) / 255
        zero = np.round(-low / scale)
        return float(np.square((np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale - values).mean())

    low, high = best_range(values, ends)
    assert ends[0] <= low <= 0 <= high <= ends[1] and error(low, high) < error(*ends)
    assert best_range(np.zeros(3, np.float32), (0.0, 0.0)) == (0.0, 1.0)
