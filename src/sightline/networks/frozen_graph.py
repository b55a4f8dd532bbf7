"""A frozen network as the ONNX graph that ships: its body, the head, the temperature and the novelty; without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch
from sightline.evaluation.abstain import LEAST_LENGTH, Novelty
from sightline.networks.frozen import FrozenNetwork
from sightline.runtime.onnx_session import INPUT, OUTPUTS, open_session

if TYPE_CHECKING:
    import onnx

__all__ = ["FrozenGraph"]

_PREFIX = "sightline/"  # of names, which must not be the body's
_REFERENCES = 2  # images whose features are computed without onnxruntime: of 1,280 numbers each
_TOLERANCE = 1e-3  # of a feature, as a share of the largest: rounding is a thousandth of that
_BATCH = 8
_LAST = np.array([1])  # axis of features

Floats = npt.NDArray[np.float32]
Answers = tuple[Floats, Floats, Floats]


class FrozenGraph:
    """What ships of a frozen network: ``uint8`` pixels to probabilities, features and novelty.

    Args:
        network: with its fitted head.
        temperature: divides the logits.
        novelty: measures how far features are from those of training; None: it is 0.
    """

    exporters: tuple[str, ...] = ("compose",)

    def __init__(self, network: FrozenNetwork, temperature: float = 1.0, novelty: Novelty | None = None) -> None:
        self.network, self.temperature, self.novelty = network, temperature, novelty

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights by name, for ``model.safetensors``."""
        return dict(self.network.tensors)

    def answer(self, squares: npt.NDArray[np.uint8]) -> Answers:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``), computed apart from the file.

        The body runs alone, and is held against a computation without onnxruntime on a few of the images; head,
        temperature and novelty are numpy's.

        Args:
            squares: ``[N, size, size, 3] uint8``.

        Raises:
            ExportMismatch: if onnxruntime computes other features than the definition of the layers says.
        """
        session = open_session(self.network.body)
        parts = [squares[start : start + _BATCH] for start in range(0, len(squares), _BATCH)]
        seen = np.concatenate([session.run(["features"], {INPUT: part})[0] for part in parts])
        features: Floats = self.network.scaled(seen)
        few = squares[: _REFERENCES if self.network.is_lite else 1]
        wanted = self.network.reference_features(few)
        off = float(np.abs(features[: len(few)] - wanted).max() / max(1e-6, np.abs(wanted).max()))
        if not off <= _TOLERANCE:  # written so that a NaN fails
            message = f"onnxruntime computes features that differ by {off:.3g} of the largest from their definition"
            raise ExportMismatch("export.mismatch", message, "report this with the machine's processor")
        logits = self.network.logits(features).astype(np.float64) / self.temperature
        raised = np.exp(logits - logits.max(1, keepdims=True))
        novelty = np.zeros(len(features), np.float32) if self.novelty is None else self.novelty.of(features)
        return (raised / raised.sum(1, keepdims=True)).astype(np.float32), features, novelty

    def to_onnx(self, exporter: str, size: int) -> bytes:
        """Return the ONNX file; ``compose`` is the only exporter, and ``size`` is the body's."""
        import onnx
        from onnx import TensorProto, helper

        model = onnx.load_model_from_string(self.network.body)
        end = _End(model.graph)
        self._scale_features(end)
        head = (self.network.tensors[name] for name in ("head.weight", "head.bias"))
        logits = end.add("Gemm", "features", *end.hold(*head), transB=1)
        end.add("Softmax", end.add("Div", logits, *end.hold(self.temperature)), output=OUTPUTS[0], axis=1)
        self._measure_novelty(end)
        classes, width = self.network.tensors["head.weight"].shape
        del model.graph.output[:]
        for name, shape in zip(OUTPUTS, ((classes,), (width,), ()), strict=True):
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["images", *shape]))
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data

    def _scale_features(self, end: _End) -> None:
        """Multiply the body's features by their scale, where they have one."""
        if (scale := self.network.scale) is None:
            return
        seen, last = f"{_PREFIX}features", end.graph.node[-1]
        last.output[list(last.output).index("features")] = seen
        end.add("Mul", seen, *end.hold(scale), output="features")

    def _measure_novelty(self, end: _End) -> None:
        """Add what ``Novelty.of`` computes."""
        features = "features"
        if self.novelty is None:
            first = end.add("Gather", features, *end.hold(np.array(0)), axis=1)
            end.add("Mul", first, *end.hold(0.0), output=OUTPUTS[2])
            return
        (usual_angle, far), (usual_shortness, short) = self.novelty.angle, self.novelty.shortness
        squared = end.add("ReduceSum", end.add("Mul", features, features), *end.hold(_LAST), keepdims=1)
        length = end.add("Max", end.add("Sqrt", squared), *end.hold(LEAST_LENGTH))
        cosines = end.add("MatMul", end.add("Div", features, length), *end.hold(self.novelty.means.T))
        nearest = end.add("Sub", cosines, *end.hold(self.novelty.absent))
        nearest = end.add("ReduceMax", nearest, *end.hold(_LAST), keepdims=0)
        angle = end.add("Sub", *end.hold(1.0 - usual_angle), nearest)
        angle = end.add("Div", angle, *end.hold(far))
        size = end.add("Squeeze", end.add("Log", length), *end.hold(_LAST))
        shortness = end.add("Div", end.add("Sub", *end.hold(-usual_shortness), size), *end.hold(short))
        unlike = end.add("Max", end.add("Max", angle, shortness), *end.hold(0.0))
        end.add("Mul", unlike, *end.hold(self.novelty.scale), output=OUTPUTS[2])


class _End:
    """Nodes that are added to a graph, under names of their own."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph

    def hold(self, *values: Any) -> tuple[str, ...]:
        """Add constants; returns their names. Numbers and float64 become float32, integers stay."""
        from onnx import numpy_helper

        names = []
        for value in values:
            array = np.asarray(value)
            array = array if array.dtype == np.int64 else array.astype(np.float32)
            names.append(f"{_PREFIX}constant_{len(self.graph.initializer)}")
            self.graph.initializer.append(numpy_helper.from_array(array, names[-1]))
        return tuple(names)

    def add(self, kind: str, *inputs: str, output: str = "", **more: Any) -> str:
        """Add a node; returns the name of its output."""
        from onnx import helper

        output = output or f"{_PREFIX}{kind.lower()}_{len(self.graph.node)}"
        self.graph.node.append(helper.make_node(kind, list(inputs), [output], **more))
        return output
