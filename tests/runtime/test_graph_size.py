"""What a graph needs, told before it runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from known_model import GOOD, PREPROCESS, forged
from sightline.errors import ModelError
from sightline.runtime.graph_size import check_model, measure_graph
from sightline.runtime.model_parts import Node, read_parts

SIDE = PREPROCESS.size


def with_steps(*nodes: onnx.NodeProto, **constants: object) -> bytes:
    """Return the good model with further steps, whose last result ``end`` is added to the probabilities."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if node.output[0] == "probabilities":
                node.output[0] = "raw"
        for name, value in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        model.graph.node.extend(nodes)
        model.graph.node.append(helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0))
        model.graph.node.append(helper.make_node("Add", ["raw", "sum"], ["probabilities"]))

    return forged(change)


def doubled(times: int) -> bytes:
    names = ["features", *(f"twice{k}" for k in range(times - 1)), "end"]
    pairs = itertools.pairwise(names)
    return with_steps(*(helper.make_node("Concat", [one, one], [two], axis=1) for one, two in pairs))


def multiplied(times: int) -> bytes:
    first = helper.make_node("Expand", ["one", "shape"], ["m0"])
    steps = [helper.make_node("MatMul", [f"m{k}", f"m{k}"], [f"m{k + 1}"]) for k in range(times)]
    last = helper.make_node("Identity", [f"m{times}"], ["end"])
    return with_steps(first, *steps, last, one=np.float32([[1]]), shape=[4000, 4000])


FORGED = {
    "constant": with_steps(helper.make_node("ConstantOfShape", ["shape"], ["end"]), shape=[1 << 34]),
    "expand": with_steps(helper.make_node("Expand", ["ten", "shape"], ["end"]), shape=[1 << 20, 1 << 14]),
    "tile": with_steps(helper.make_node("Tile", ["features", "times"], ["end"]), times=[1 << 16, 1 << 16]),
    "range": with_steps(
        helper.make_node("Range", ["low", "high", "low1"], ["end"]),
        low=np.float32(0),
        high=np.float32(1e12),
        low1=np.float32(1),
    ),
    "resize": with_steps(
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Resize", ["planes", "", "scales"], ["end"]),
        scales=np.float32([1, 1, 1e5, 1e5]),
    ),
    "pad": with_steps(helper.make_node("Pad", ["features", "pads"], ["end"]), pads=[0, 0, 1 << 20, 1 << 20]),
    "doubled": doubled(40),
    "outer": with_steps(
        helper.make_node("Expand", ["ten", "shape"], ["long"]),
        helper.make_node("Transpose", ["long"], ["high"], perm=[1, 0]),
        helper.make_node("Add", ["long", "high"], ["end"]),
        shape=[1, 1 << 17],
    ),
    "products": multiplied(300),
    "computed": with_steps(
        helper.make_node("Cast", ["unit"], ["whole"], to=7),
        helper.make_node("ReduceMax", ["whole"], ["most"], keepdims=0),
        helper.make_node("Unsqueeze", ["most", "first"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["end"]),
        first=[0],
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_graph_that_needs_more_than_any_network_is_refused_before_it_runs(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_model(FORGED[name], "some/model.onnx")
    assert caught.value.code == "model.unsafe"
    words = {"products": "products", "computed": "depends on more"}.get(name, "GiB")
    assert words in caught.value.message and caught.value.message.startswith("some/model.onnx")


def test_a_little_of_the_same_is_allowed() -> None:
    small = with_steps(helper.make_node("Tile", ["features", "times"], ["end"]), times=[1, 2])
    for model in (GOOD, doubled(3), small):
        assert check_model(model, "x").classes == ("red", "green", "blue")


def test_needs_are_those_of_the_shapes() -> None:
    images = 5
    needs = measure_graph(read_parts(GOOD, "x"), (images, SIDE, SIDE, 3), "x")
    plane = images * SIDE * SIDE * 3 * 4
    rows = images * 3 * 4
    assert needs.at_once == 2 * plane  # as numbers, and divided
    assert needs.in_all == 2 * plane + 3 * rows + 2 * images * 4
    assert needs.products == 0


def test_products_are_counted() -> None:
    weight = np.zeros((7, 3, 3, 3), np.float32)
    model = with_steps(
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["maps"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["end"]),
        weight=weight,
        matrix=np.zeros((7 * SIDE * SIDE, 5), np.float32),
    )
    needs = measure_graph(read_parts(model, "x"), (2, SIDE, SIDE, 3), "x")
    convolved, multiplied = 2 * 7 * SIDE * SIDE * 27, 2 * 7 * SIDE * SIDE * 5
    assert needs.products == pytest.approx(convolved + multiplied)


def test_shapes_that_follow_from_others_are_known() -> None:
    """As exporters write them: the size of a result is computed from the size of another."""
    model = with_steps(
        helper.make_node("Shape", ["unit"], ["all"]),
        helper.make_node("Slice", ["all", "zero", "one"], ["images"]),
        helper.make_node("Concat", ["images", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["unit", "shape"], ["end"]),
        zero=[0],
        one=[1],
        rest=[SIDE * SIDE * 3],
    )
    needs = measure_graph(read_parts(model, "x"), (4, SIDE, SIDE, 3), "x")
    assert math.isfinite(needs.in_all) and needs.in_all > 3 * 4 * SIDE * SIDE * 3 * 4


def test_a_result_is_needed_until_its_last_use() -> None:
    from sightline.runtime.graph_size import most_at_once

    steps = [Node("Relu", ("x",), ("a",)), Node("Relu", ("a",), ("b",)), Node("Add", ("a", "b"), ("c",))]
    assert most_at_once(steps, {"a": 100, "b": 20, "c": 3}) == 123
    assert most_at_once(steps[:2], {"a": 100, "b": 20}) == 120
