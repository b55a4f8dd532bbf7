"""How much memory and time a graph needs, told from its shapes before it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sightline.errors import ModelError
from sightline.pixels.limits import squares_at_once
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.model_parts import ModelParts, Node, declare_input, read_parts, refuse_model
from sightline.runtime.onnx_session import INPUT, infer_shapes
from sightline.runtime.operators import CONTRACTIONS, CONVOLUTIONS, POOLS
from sightline.runtime.protobuf import write_field
from sightline.text import count_of, listed, one_line, printable, readable_bytes

__all__ = [
    "MOST_AT_ONCE",
    "MOST_IN_ALL",
    "MOST_USES",
    "Needs",
    "check_body",
    "check_model",
    "measure_graph",
    "most_at_once",
]

# Of 50 networks of timm at 224 px, a batch needs at most 0.3 GiB at once and 6 GiB in all; the largest that are
# published need some twenty times as much.
MOST_AT_ONCE = 8 * 2**30  # bytes
MOST_IN_ALL = 128 * 2**30
MOST_USES = 1  # of each weight for each pixel; none of those networks comes to 0.03
_FREE_WEIGHTS = 2**20
_UINT8 = 2
_BYTES = {
    "float": 4, "double": 8, "float16": 2, "bfloat16": 2, "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2,
    "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
}  # fmt: skip

Sides = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What one batch needs.

    Attributes:
        at_once: most bytes of results that are still needed at one step.
        in_all: bytes of all results.
        products: multiplications of two numbers, about.
    """

    at_once: int
    in_all: int
    products: float


def check_model(data: bytes, name: str) -> Bundle:
    """Return the bundle of a model file, if nothing in the file can cost more than a network of images does.

    Args:
        data: content of the file.
        name: what to call it in an error: a path.

    Raises:
        ModelError: if it is damaged, Sightline did not write it, or it asks for more than such a network needs.

    Example:
        ``check_model(Path("model.onnx").read_bytes(), "model.onnx").classes``
    """
    parts = read_parts(data, name)
    bundle = Bundle.from_json(parts.metadata[METADATA_KEY], source=name)
    _refuse_costs(parts, bundle.preprocess.size, name)
    return bundle


def check_body(data: bytes, size: int, name: str) -> None:
    """Refuse a model whose body is wanted alone if it can cost more than a network of images does.

    Args:
        data: content of the file; it needs no bundle: that which a checkpoint keeps has none.
        size: px, of the squares that it will be given.
        name: what to call it in an error: a path.

    Raises:
        ModelError: if it is damaged, or it asks for more than such a network needs.

    Example:
        ``check_body(Path("checkpoints/best/body.onnx").read_bytes(), 224, "body.onnx")``
    """
    _refuse_costs(read_parts(data, name, has_bundle=False), size, name)


def _refuse_costs(parts: ModelParts, size: int, name: str) -> None:
    if parts.inputs != [INPUT]:
        message = f"{name} asks for {printable(listed(parts.inputs, 3)) or 'nothing'}, not for {INPUT} alone"
        raise ModelError("model.contract", message, "export the classifier again: sightline export RUN")
    images = squares_at_once(size)
    needs = measure_graph(parts, (images, size, size, 3), name)
    shown = count_of(images, "image")
    for needed, most in ((needs.at_once, MOST_AT_ONCE), (needs.in_all, MOST_IN_ALL)):
        if needed > most:
            raise refuse_model(name, f"its graph needs {readable_bytes(needed)} for {shown}")
    weights = _FREE_WEIGHTS + sum(math.prod(sides) for sides in parts.constants.values())
    if needs.products > MOST_USES * weights * images * size**2:
        raise refuse_model(name, f"its graph needs {needs.products:.1g} products for {shown} of {size} px")


def measure_graph(parts: ModelParts, shape: Sides, name: str) -> Needs:
    """Return what a graph needs for pixels of a shape.

    Raises:
        ModelError: if the size of one of its results can't be told, or onnxruntime can't open it.
    """
    names = [output for node in parts.nodes for output in node.outputs if output]
    declared = [write_field(12, write_field(1, output.encode())) for output in names]
    ends = b"".join([*parts.weights, declare_input(INPUT, _UINT8, shape), *declared])
    skeleton = b"".join([*parts.head, write_field(7, b"".join(parts.graph) + ends)])
    shapes: dict[str, Sides] = {}
    sizes: dict[str, int] = {}
    for fold in (False, True):  # most graphs say all without
        try:
            found = infer_shapes(skeleton, fold=fold)
        except Exception as error:  # onnxruntime raises types of its own for every kind of damage
            message = f"{name} can't be opened: {one_line(error)}"
            raise ModelError("model.damaged", message, "export the classifier again: sightline export RUN") from error
        shapes = {name: sides for name, (_, given) in found.items() if (sides := _known(given)) is not None}
        sizes = {name: math.prod(sides) * _width(found[name][0]) for name, sides in shapes.items()}
        if len(shapes) == len(names) or sum(sizes.values()) > MOST_IN_ALL:
            break
    unknown = [output for output in names if output not in shapes or not _width(found[output][0])]
    if unknown and sum(sizes.values()) <= MOST_IN_ALL:
        raise refuse_model(name, f"the size of {unknown[0]!r} in its graph depends on more than the size of its images")
    shapes = {**parts.constants, **shapes, INPUT: shape}
    products = sum(_products(node, shapes) for node in parts.nodes)
    return Needs(most_at_once(parts.nodes, sizes), sum(sizes.values()), products)


def _products(node: Node, shapes: Mapping[str, Sides]) -> float:
    """Return about how many products a step computes; 0 for one that looks at each value once."""
    given = [shapes.get(name, ()) for name in node.inputs if name]
    out = math.prod(shapes.get(node.outputs[0], ())) if node.outputs else 0
    if node.operator in CONTRACTIONS:  # no more than this, by the inequality of Loomis and Whitney
        return math.sqrt(math.prod(float(math.prod(sides)) for sides in given[:2]) * out)
    if node.operator in CONVOLUTIONS and given:
        kernel = max((sides for sides in given[1:] if len(sides) > 2), key=math.prod, default=())
        each = math.prod(kernel) / max(1, kernel[0] if kernel else 1)
        return each * (math.prod(given[0]) if node.operator == "ConvTranspose" else out)
    if node.operator in POOLS and given:
        return float(out) * math.prod(given[0][2:])
    return 0.0


def most_at_once(nodes: list[Node], sizes: Mapping[str, int]) -> int:
    """Return the most bytes of results that are needed at one step; each is kept from its own step to the last use.

    Example:
        >>> steps = [Node("Relu", ("x",), ("a",)), Node("Relu", ("a",), ("b",)), Node("Relu", ("b",), ("c",))]
        >>> most_at_once(steps, {"a": 5, "b": 3, "c": 1})
        8
    """
    last = {name: step for step, node in enumerate(nodes) for name in (*node.outputs, *node.inputs)}
    held = most = 0
    for step, node in enumerate(nodes):
        held += sum(sizes.get(name, 0) for name in node.outputs)
        most = max(most, held)
        held -= sum(sizes.get(name, 0) for name in {*node.inputs, *node.outputs} if last[name] == step)
    return most


def _known(shape: list[int | str | None]) -> Sides | None:
    """Return the sides of a result, or None where one is not known."""
    sides = tuple(side for side in shape if isinstance(side, int) and side >= 0)
    return sides if len(sides) == len(shape) else None


def _width(kind: str) -> int:
    """Return the bytes of one value; 0 where a result is no tensor of numbers."""
    return _BYTES.get(kind.removeprefix("tensor(").removesuffix(")"), 0)
