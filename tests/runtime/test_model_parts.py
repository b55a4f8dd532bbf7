"""What a model file may consist of: every kind of forgery is refused before a library opens it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from known_model import GOOD, forged
from sightline.errors import ModelError
from sightline.runtime.model_parts import read_parts
from sightline.runtime.operators import CONTRACTIONS, CONVOLUTIONS, OPERATORS, POOLS


def rewire(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Let the last of the nodes make the probabilities, from ``raw``."""
    for node in model.graph.node:
        if node.output[0] == "probabilities":
            node.output[0] = "raw"
    model.graph.node.extend(nodes)


def loop(model: onnx.ModelProto) -> None:
    values = [helper.make_tensor_value_info(*of) for of in (("i", 7, []), ("c", 9, []), ("v", 1, None))]
    ends = [helper.make_tensor_value_info("d", 9, []), helper.make_tensor_value_info("w", 1, None)]
    steps = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["w"])]
    body = helper.make_graph(steps, "body", values, ends)
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**62), "trips"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "go"))
    rewire(model, helper.make_node("Loop", ["trips", "go", "raw"], ["probabilities"], body=body))


def operator(name: str, domain: str = "") -> Callable[[onnx.ModelProto], None]:
    return lambda model: rewire(model, helper.make_node(name, ["raw"], ["probabilities"], domain=domain))


def elsewhere(model: onnx.ModelProto) -> None:
    constant = model.graph.initializer[0]
    constant.ClearField("float_data")
    constant.data_location = TensorProto.EXTERNAL
    entry = constant.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"


def claim(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims.extend([1 << 24, 1 << 10])


def negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims.append(-1)


def sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [1 << 40])
    )


def metadata(value: str) -> Callable[[onnx.ModelProto], None]:
    return lambda model: helper.set_model_props(model, {"sightline": value})


def functions(model: onnx.ModelProto) -> None:
    opset = [helper.make_opsetid("", 18)]
    relu = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [relu], opset))


def constant_of_text(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"x"]))


def again(model: onnx.ModelProto) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = "sightline", "{}"


FORGED = {
    "loop": (loop, "holds other graphs"),
    "scan": (operator("Scan"), "Scan"),
    "random": (operator("RandomNormalLike"), "RandomNormalLike"),
    "custom": (operator("Pwn", "evil.domain"), "evil.domain.Pwn"),
    "disguised": (operator("Relu", "evil.domain"), "evil.domain.Relu"),
    "data": (operator("NonZero"), "NonZero"),
    "elsewhere": (elsewhere, "another file"),
    "claim": (claim, "claims 64.0 GiB"),
    "negative": (negative, "claims"),
    "sparse": (sparse, "sparse"),
    "large": (metadata("x" * (17 << 20)), "metadata take 17.0 MiB"),
    "described": (lambda model: setattr(model, "doc_string", "x" * (70 << 20)), "beside its weights"),
    "again": (again, "twice"),
    "functions": (functions, "functions"),
    "text": (constant_of_text, "type 8"),
    "long": (lambda model: rewire(model, *[helper.make_node("Relu", ["raw"], ["a"])] * 20_001), "20,000 steps"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_part_is_refused_with_what_it_is(name: str) -> None:
    change, words = FORGED[name]
    with pytest.raises(ModelError) as caught:
        read_parts(forged(change), "some/model.onnx")
    assert caught.value.code == "model.unsafe" and words in caught.value.message
    assert caught.value.message.startswith("some/model.onnx") and len(caught.value.message) < 400


def test_names_of_any_length_are_not_shown() -> None:
    with pytest.raises(ModelError) as caught:
        read_parts(forged(operator("R" * 2_000_000)), "x")
    assert caught.value.code == "model.damaged" and len(caught.value.message) < 200


@pytest.mark.parametrize("end", [*range(0, len(GOOD), 97), len(GOOD) - 1])
def test_a_file_that_is_cut_off_is_an_error(end: int) -> None:
    with pytest.raises(ModelError):
        read_parts(GOOD[:end], "x")


def test_a_second_graph_is_not_merged_in_silence() -> None:
    model = onnx.load_model_from_string(GOOD)
    with pytest.raises(ModelError, match="2 graphs"):
        read_parts(GOOD + onnx.ModelProto(graph=model.graph).SerializeToString(), "x")


def test_a_file_of_nothing_but_empty_parts_is_given_up() -> None:
    with pytest.raises(ModelError, match="too many parts"):
        read_parts(GOOD + bytes([0x08, 0x00]) * 400_000, "x")


def test_the_parts_are_those_that_the_library_reads() -> None:
    model, parts = onnx.load_model_from_string(GOOD), read_parts(GOOD, "x")
    assert [node.operator for node in parts.nodes] == [node.op_type for node in model.graph.node]
    assert [node.inputs for node in parts.nodes] == [tuple(node.input) for node in model.graph.node]
    assert parts.constants == {each.name: tuple(each.dims) for each in model.graph.initializer}
    assert parts.metadata == {each.key: each.value for each in model.metadata_props}


def test_the_operators_are_onnx_s_own_and_none_holds_a_graph_or_draws_numbers() -> None:
    known = {schema.name: schema for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    assert set(known) >= OPERATORS >= CONTRACTIONS | CONVOLUTIONS | POOLS
    for name in OPERATORS:
        kinds = {attribute.type for attribute in known[name].attributes.values()}
        assert not kinds & {onnx.defs.OpSchema.AttrType.GRAPH, onnx.defs.OpSchema.AttrType.GRAPHS}
        assert known[name].node_determinism != onnx.defs.OpSchema.NodeDeterminism.NonDeterministic
