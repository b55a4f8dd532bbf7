"""``model.any-size.onnx``: takes a decoded image of any size; resize, crop, pad or squash are in the graph.

A client in another language only decodes an image to RGB and turns it upright. What the graph computes is Pillow's
antialiased resize on ``uint8``, but for one level in a few values: ONNX Resize with ``antialias``, ``exclude_outside``
(without it, borders differ by 15 levels), and Pillow's -0.5 for bicubic. Bicubic may overshoot at hard edges between
black and white; there the order of its two passes shows by some levels, and Pillow chooses that by the image's shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch, ModelError
from sightline.exporting.parity import Exportable
from sightline.pixels.preprocess import MAX_STORED_ASPECT, Preprocess
from sightline.runs.safe_files import write_bytes
from sightline.runtime.answers import find_wrong_answer
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.onnx_session import INPUT, OUTPUTS, open_session
from sightline.text import one_line

if TYPE_CHECKING:
    import onnx
    import onnxruntime

__all__ = ["ANY_SIZE_FILE", "IMAGE", "AnySizeRunner", "write_any_size"]

ANY_SIZE_FILE = "model.any-size.onnx"
IMAGE = "image"  # [H, W, 3] uint8
_PREFIX = "any-size/"  # of names, which must not be the network's
_OPSET = 18  # Resize has antialias from there on
_MODES = {"bilinear": "linear", "bicubic": "cubic"}
AnyArray = np.ndarray[Any, Any]


def write_any_size(graph: Exportable, bundle: Bundle, path: Path, exporter: str) -> None:
    """Write a network as one ONNX file whose input is ``image``, ``uint8 [H, W, 3]`` of any size, RGB and upright.

    Outputs are those of ``model.onnx``, of one image: ``[1, K]``, ``[1, D]`` and ``[1]``. An image that has the
    network's own size already is not resized.

    Args:
        graph: the network, or a classifier that ships.
        bundle: goes into the file's metadata.
        path: whole or not there.
        exporter: one of the graph's.

    Raises:
        ExportMismatch: if this network can't be exported so.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(graph.to_onnx(exporter, bundle.preprocess.size))
        _put_before(model, bundle.preprocess)
        onnx.helper.set_model_props(model, {METADATA_KEY: bundle.to_json(ascii_only=True)})
        onnx.checker.check_model(model)
        written = model.SerializeToString()
    except Exception as error:  # the exporters raise whatever their many passes raise
        raise ExportMismatch(
            "export.failed",
            f"{bundle.model} can't be exported for images of any size: {type(error).__name__}: {one_line(error, 300)}",
            "use model.onnx, with the pixels as docs/predict.md describes them",
        ) from error
    write_bytes(path, written)


class AnySizeRunner:
    """A ``model.any-size.onnx``, opened.

    Example:
        ``AnySizeRunner(Path("classifier/model.any-size.onnx")).run(decode_image("photo.jpg"))[0].argmax()``
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: onnxruntime.InferenceSession = open_session(path.read_bytes())

    def run(self, image: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[1, K]``, features ``[1, D]``, novelty ``[1]``) of ``[H, W, 3] uint8``.

        Raises:
            ModelError: if it answers with what no classifier can say, such as NaN.
        """
        probabilities, features, novelty = self._session.run(list(OUTPUTS), {IMAGE: image})
        wrong = find_wrong_answer([probabilities, features, novelty], 1, probabilities.shape[-1], features.shape[-1])
        if wrong:
            raise ModelError("model.answers", f"{self._path} answers with {wrong}", "report this")
        return probabilities, features, novelty


def _put_before(model: onnx.ModelProto, preprocess: Preprocess) -> None:
    """Replace the input ``pixels`` of a graph by ``image``, with the steps from one to the other before all others."""
    from onnx import TensorProto, helper

    if preprocess.interpolation not in _MODES:
        raise ValueError(f"ONNX has no {preprocess.interpolation} resize (--set interpolation=bicubic trains for one)")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("", opsets.get("ai.onnx", 0)) < _OPSET:
        raise ValueError(f"its graph is of an ONNX opset before {_OPSET}")
    front = _Front()
    _square(front, preprocess)
    steps = [*front.nodes, *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(steps)
    model.graph.initializer.extend(front.constants)
    model.graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["height", "width", 3]))


def _square(front: _Front, preprocess: Preprocess) -> None:
    """Add the steps of ``Preprocess.apply``; the last one's output is ``pixels``."""
    (wanted,) = front.hold(np.array([preprocess.size] * 2))
    sides = front.add("Slice", front.add("Shape", IMAGE), *front.hold(np.array([0]), np.array([2])))
    if preprocess.fit == "squash":
        front.resize(IMAGE, wanted, preprocess, output=INPUT)
        return
    if preprocess.fit == "pad":
        scaled = front.scale(sides, preprocess.size, "ReduceMax", least=1)
        small = front.resize(IMAGE, scaled, preprocess)
        _pad(front, small, scaled, preprocess)
        return
    short = front.add("ReduceMin", sides, keepdims=1)
    longest = front.add("Mul", short, *front.hold(np.array([MAX_STORED_ASPECT])))
    kept = front.add("Min", sides, longest)
    middle = front.centre(IMAGE, sides, kept, axes=[0, 1])
    scaled = front.scale(kept, preprocess.resize, "ReduceMin", least=preprocess.resize)
    is_ready = front.add("ReduceMin", front.add("Cast", front.add("Equal", sides, wanted), to=7), keepdims=1)
    scaled = front.add("Where", front.add("Cast", is_ready, to=9), wanted, scaled)
    small = front.resize(middle, scaled, preprocess)
    front.centre(small, scaled, wanted, axes=[1, 2], output=INPUT)


def _pad(front: _Front, small: str, sides: str, preprocess: Preprocess) -> None:
    """Put an image in the middle of a square of the background: Pad has one value for all channels, so it pads 0."""
    size, two = front.hold(np.array([preprocess.size] * 2), np.array([2]))
    missing = front.add("Sub", size, sides)
    before = front.add("Div", missing, two)
    zero = front.hold(np.array([0]))[0]
    pads = front.add("Concat", zero, before, zero, zero, front.add("Sub", missing, before), zero, axis=0)
    (colour,) = front.hold(np.array(preprocess.background, np.int32))
    relative = front.add("Sub", front.add("Cast", small, to=6), colour)
    whole = front.add("Add", front.add("Pad", relative, pads), colour)
    front.add("Cast", whole, output=INPUT, to=2)


class _Front:
    """Steps and constants that come before a graph, under names of their own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def hold(self, *values: AnyArray) -> tuple[str, ...]:
        """Add constants; returns their names."""
        from onnx import numpy_helper

        names = [f"{_PREFIX}constant_{len(self.constants) + k}" for k in range(len(values))]
        self.constants += [numpy_helper.from_array(value, name) for value, name in zip(values, names, strict=True)]
        return tuple(names)

    def add(self, kind: str, *inputs: str, output: str = "", **more: Any) -> str:
        """Add a step; returns the name of its output."""
        from onnx import helper

        output = output or f"{_PREFIX}{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **more))
        return output

    def scale(self, sides: str, side: int, which: str, *, least: int) -> str:
        """Return the sides scaled so that the shortest or longest has ``side`` px, rounded as ``Preprocess`` does.

        In float64, as Python computes: in float32, one width in some thousands would differ by one.
        """
        exact = self.add("Cast", sides, to=11)
        factor = self.add("Div", *self.hold(np.array([side], np.float64)), self.add(which, exact, keepdims=1))
        rounded = self.add("Cast", self.add("Round", self.add("Mul", exact, factor)), to=7)
        return self.add("Max", rounded, *self.hold(np.array([least])))

    def centre(self, image: str, sides: str, wanted: str, *, axes: list[int], output: str = "") -> str:
        """Return the middle of an image, offsets rounded down."""
        start = self.add("Div", self.add("Sub", sides, wanted), *self.hold(np.array([2])))
        end = self.add("Add", start, wanted)
        return self.add("Slice", image, start, end, *self.hold(np.array(axes)), output=output)

    def resize(self, image: str, sides: str, preprocess: Preprocess, output: str = "") -> str:
        """Return ``[1, h, w, 3]`` of ``[H, W, 3]``, antialiased as Pillow does it."""
        batch = self.add("Unsqueeze", image, *self.hold(np.array([0])))
        one, three = self.hold(np.array([1]), np.array([3]))
        whole = self.add("Concat", one, sides, three, axis=0)
        how: dict[str, Any] = {"mode": _MODES[preprocess.interpolation], "cubic_coeff_a": -0.5}
        return self.add(
            "Resize", batch, "", "", whole, output=output, antialias=1, exclude_outside=1,
            coordinate_transformation_mode="half_pixel", **how,
        )  # fmt: skip
