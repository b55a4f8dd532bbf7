"""What a ``model.onnx`` consists of, read from its bytes before any library opens it; only networks pass.

A model may come from a stranger. onnxruntime runs what a file asks for: loops without end, tensors larger than the
memory, operators and files from elsewhere. So a file is refused unless each of its parts is of a kind that the exports
of image networks have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sightline.errors import ModelError
from sightline.runtime.bundle import MAX_METADATA, METADATA_KEY
from sightline.runtime.operators import OPERATORS
from sightline.runtime.protobuf import Reader, write_field, write_varint
from sightline.text import listed, one_line, printable, readable_bytes

__all__ = ["ELEMENT_BYTES", "ModelParts", "Node", "declare_input", "read_parts", "refuse_model"]

MAX_NODES = 20_000  # the largest networks of timm have some 5,000, and 100,000 fields
MAX_NAME = 1_000  # bytes of a tensor's name
_MOST_BESIDE = 64 * 2**20  # bytes of all beside weights: descriptions, steps, small constants
_MOST_FIELDS = 300_000
_LARGE = 4096  # bytes of a constant above which it can only be weights: no shape is computed from it
_CURE = "use a model.onnx that you trust, or export it again: sightline export RUN"

# Numbers of ONNX's types that tensors of a network have, and their size.
ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}


@dataclass(frozen=True, slots=True)
class Node:
    """One step of the graph: its operator, and the names of what goes in and comes out."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(slots=True)
class ModelParts:
    """What was read.

    Attributes:
        metadata: key -> text.
        nodes: in the order in which they run.
        head: fields of the file beside the graph and the metadata, as they are.
        graph: fields of the graph that its sizes follow from, as they are: nodes, and constants that are small.
        weights: of larger constants: fields that declare inputs of the same shape in their place.
        constants: name -> sides of each constant.
        inputs: names of what the graph asks for.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    head: list[bytes] = field(default_factory=list)
    graph: list[bytes] = field(default_factory=list)
    weights: list[bytes] = field(default_factory=list)
    constants: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)


def refuse_model(name: str, why: str) -> ModelError:
    """Return the error for a part that Sightline never writes."""
    return ModelError("model.unsafe", f"{name} is not used: {one_line(printable(why), 300)}", _CURE)


def read_parts(data: bytes, name: str, *, has_bundle: bool = True) -> ModelParts:
    """Read a model file.

    Args:
        data: content of the file.
        name: what to call it in an error: a path.
        has_bundle: whether it must have one; the body that a checkpoint keeps has none.

    Raises:
        ModelError: if it is damaged, has no bundle, or has a part that Sightline never writes.
    """
    parts, reader, graphs = ModelParts(), Reader(_MOST_FIELDS), []
    try:
        for number, value in reader.fields(memoryview(data)):
            if number == 7:
                graphs.append(_bytes(value))
            elif number == 14:
                _add_metadata(parts, reader, _bytes(value), name)
            elif number in (20, 25):
                raise refuse_model(name, "it holds functions or a training of its own")
            elif isinstance(value, int):
                parts.head.append(write_varint(number, value))
            else:
                parts.head.append(write_field(number, value))
        if len(graphs) != 1:
            raise ValueError(f"it has {len(graphs)} graphs")
        if has_bundle and METADATA_KEY not in parts.metadata:
            raise ModelError(
                "model.foreign",
                f"{name} was not written by Sightline: it does not say its classes and preprocessing",
                "use a model.onnx from a Sightline run",
            )
        _read_graph(parts, reader, graphs[0], name)
        beside = sum(map(len, (*parts.head, *parts.graph)))
        if beside > _MOST_BESIDE:
            raise refuse_model(name, f"it holds {readable_bytes(beside)} beside its weights")
    except (ValueError, OverflowError) as error:
        message = f"{name} can't be opened: {one_line(error)}"
        raise ModelError("model.damaged", message, "export the classifier again: sightline export RUN") from error
    return parts


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a text or a message must be")
    return value


def _text(value: int | memoryview) -> str:
    """Return a name; it is never longer than ``MAX_NAME``."""
    content = _bytes(value)
    if len(content) > MAX_NAME:
        raise ValueError("it has a name longer than 1,000 bytes")
    return str(content, "utf-8")


def _add_metadata(parts: ModelParts, reader: Reader, entry: memoryview, name: str) -> None:
    key, text = "", memoryview(b"")
    for number, value in reader.fields(entry):
        if number == 1:
            key = _text(value)
        elif number == 2:
            text = _bytes(value)
    if len(text) > MAX_METADATA:
        raise refuse_model(name, f"its metadata take {readable_bytes(len(text))}")
    if key in parts.metadata:
        raise refuse_model(name, f"its metadata hold {key!r} twice")
    parts.metadata[key] = str(text, "utf-8")


def _read_graph(parts: ModelParts, reader: Reader, graph: memoryview, name: str) -> None:
    strange: set[str] = set()
    for number, value in reader.fields(graph):
        if number == 1:
            node, operator = _read_node(reader, _bytes(value), name)
            if operator not in OPERATORS:
                strange.add(operator)
            parts.nodes.append(node)
            parts.graph.append(write_field(1, _bytes(value)))
            if len(parts.nodes) > MAX_NODES:
                raise refuse_model(name, f"its graph has more than {MAX_NODES:,} steps")
        elif number == 5:
            called, kind, sides = _read_constant(reader, _bytes(value), name)
            parts.constants[called] = sides
            if len(_bytes(value)) > _LARGE:
                parts.weights.append(declare_input(called, kind, sides))
            else:
                parts.graph.append(write_field(5, _bytes(value)))
        elif number == 11:
            parts.inputs += [_text(text) for part, text in reader.fields(_bytes(value)) if part == 1]
        elif number == 15:
            raise refuse_model(name, "it holds sparse constants")
    if strange:
        raise refuse_model(name, f"it has operators that Sightline never writes: {listed(sorted(strange), 5)}")


def _read_node(reader: Reader, message: memoryview, name: str) -> tuple[Node, str]:
    """Return (the node, its operator with the domain where that is not ONNX's own)."""
    inputs, outputs, operator, domain = [], [], "", ""
    for number, value in reader.fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            operator = _text(value)
        elif number == 5:
            _read_attribute(reader, _bytes(value), name)
        elif number == 7:
            domain = _text(value)
    kind = operator if domain in ("", "ai.onnx") else f"{domain}.{operator}"
    return Node(operator, tuple(inputs), tuple(outputs)), kind


def _read_attribute(reader: Reader, message: memoryview, name: str) -> None:
    """Refuse an attribute that holds graphs or sparse constants; look at constants."""
    for number, value in reader.fields(message):
        if number in (5, 10):
            _read_constant(reader, _bytes(value), name)
        elif number in (6, 11):
            raise refuse_model(name, "its graph holds other graphs, as loops do")
        elif number in (22, 23):
            raise refuse_model(name, "it holds sparse constants")


def _read_constant(reader: Reader, message: memoryview, name: str) -> tuple[str, int, tuple[int, ...]]:
    """Return (name, ONNX's number of the type, sides) of a constant."""
    dims: list[int] = []
    kind, called, is_elsewhere = 0, "", False
    for number, value in reader.fields(message):
        if number == 1:
            dims += [value] if isinstance(value, int) else _read_packed(reader, value)
        elif number == 2:
            kind = value if isinstance(value, int) else 0
        elif number == 8:
            called = _text(value)
        elif number == 13 or (number == 14 and value):
            is_elsewhere = True
    if is_elsewhere:
        raise refuse_model(name, "its weights are in another file")
    if kind not in ELEMENT_BYTES:
        raise refuse_model(name, f"constant {called!r} holds values of ONNX type {kind}, which no image network has")
    claimed = math.prod(dims) * ELEMENT_BYTES[kind]
    if claimed > 8 * len(message):
        raise refuse_model(name, f"constant {called!r} claims {readable_bytes(claimed)}, and has fewer")
    return called, kind, tuple(dims)


def _read_packed(reader: Reader, content: memoryview) -> list[int]:
    """Return the integers of a packed field."""
    if len(content) > 10 * 32:
        raise ValueError("a constant has too many axes")
    values, number, shift = [], 0, 0
    for byte in content:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(number)
            number = shift = 0
    return values


def declare_input(name: str, kind: int, sides: Sequence[int]) -> bytes:
    """Return a field of a graph: an input of a type, by ONNX's number, and shape."""
    shape = b"".join(write_field(1, write_varint(1, side)) for side in sides)
    tensor = write_varint(1, kind) + write_field(2, shape)
    return write_field(11, write_field(1, name.encode()) + write_field(2, write_field(1, tensor)))
