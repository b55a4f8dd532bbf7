"""A network whose body is never trained: features by onnxruntime, and a head on them. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ModelError, SightlineError, WeightsError
from sightline.networks.carried import carried_file
from sightline.networks.lite import build_body, count_channels
from sightline.networks.lite_reference import compute_features
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.settings import Settings
from sightline.runtime.classifier import MODEL_FILE
from sightline.runtime.graph_size import check_body
from sightline.runtime.onnx_session import INPUT, open_session
from sightline.text import one_line

__all__ = ["FrozenNetwork", "build_frozen", "carried_body", "cut_body", "refuse_other_tensors"]

_BODY = "body."
_SCALE = "feature_scale"
Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FrozenNetwork:
    """A body as an ONNX graph, and a linear head.

    Attributes:
        tensors: all weights under the names of :class:`~sightline.networks.network.Network`, which takes them as they
            are: ``mean``, ``std``, ``body.*``, ``head.weight`` ``[K, D]`` and ``head.bias`` ``[K]``; with features of
            several stages also ``feature_scale`` ``[D]``.
        body: ONNX model from ``pixels`` to ``features``: those of the carried network before they are scaled, so that
            they are the same whatever head was fitted; those of a body that was cut from a file as it has them.
        is_lite: whether the tensors are an EfficientNet-Lite's.
    """

    tensors: Mapping[str, npt.NDArray[Any]]
    body: bytes = field(repr=False)
    is_lite: bool = False

    @property
    def feature_size(self) -> int:
        """D."""
        return int(self.tensors["head.weight"].shape[1])

    @property
    def feature_groups(self) -> tuple[int, ...]:
        """How many features come from each stage, and from the last layer."""
        return (self.feature_size,) if self.scale is None else count_channels(_own(self.tensors), has_stages=True)

    @property
    def scale(self) -> Features | None:
        """``[D]`` that multiplies the body's features; None where the head takes them as they are."""
        return self.tensors.get(_SCALE) if self.is_lite else None

    def scaled(self, features: Features) -> Features:
        """Return the ``[N, D]`` features that the head takes, of those that the body computes."""
        return features if self.scale is None else features * self.scale

    @classmethod
    def read(cls, weights: bytes, settings: Settings, model: Path) -> FrozenNetwork:
        """Return the network of what ``weights`` returned.

        Args:
            weights: content of a safetensors file.
            settings: of the plan.
            model: the ``model.onnx`` that its body is taken from, unless it is the carried network.

        Raises:
            WeightsError: if the weights are damaged.
            ModelError: if the body is not there.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(weights)
        except SafetensorError as error:
            cure = "restore the file that sightline verify names, or train again; prediction needs only model.onnx"
            raise WeightsError("weights.damaged", f"the weights are damaged: {one_line(error)}", cure) from error
        is_lite = is_carried(settings.model)
        return cls(tensors, _lite_body(tensors, settings) if is_lite else cut_body(model, settings.size), is_lite)

    def weights(self) -> bytes:
        """Return all tensors as the content of a safetensors file."""
        from safetensors.numpy import save

        return save(dict(self.tensors), metadata={"format": "pt"})

    def with_head(self, weight: Features, bias: Features, scale: Features | None = None) -> FrozenNetwork:
        """Return the network with another head, ``[K, D]`` and ``[K]``; scale: ``[D]``, of the features it takes."""
        tensors = {**self.tensors, "head.weight": weight, "head.bias": bias}
        return replace(self, tensors=tensors if scale is None else {**tensors, _SCALE: scale})

    def logits(self, features: Features) -> Features:
        """Return ``[N, K]`` of ``[N, D]``."""
        logits: Features = features @ self.tensors["head.weight"].T + self.tensors["head.bias"]
        return logits

    def reference_features(self, squares: npt.NDArray[np.uint8]) -> Features:
        """Return ``[N, D]`` features that the head takes, without onnxruntime, some thirty times slower.

        Args:
            squares: ``[N, size, size, 3] uint8``.

        Those of an EfficientNet-Lite come from its tensors, layer by layer; those of other bodies from their graph, by
        the reference implementation of the ONNX operators.
        """
        if self.is_lite:
            mean, std = (self.tensors[name].ravel().tolist() for name in ("mean", "std"))
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1, user_api="blas"):  # products are small: two threads wait for each other
                tensors = _own(self.tensors)
                return self.scaled(compute_features(tensors, squares, mean, std, has_stages=self.scale is not None))
        from onnx import load_model_from_string
        from onnx.reference import ReferenceEvaluator

        evaluator: Any = ReferenceEvaluator(load_model_from_string(self.body))
        return np.asarray(evaluator.run(None, {INPUT: squares})[0], np.float32)


def build_frozen(settings: Settings, classes: int, weights: Path, *, is_run: bool) -> FrozenNetwork:
    """Return a network with a head of zeros on pretrained features.

    Args:
        settings: of the plan; model, features, size, mean and std are used.
        classes: K.
        weights: safetensors file: the carried network's, with timm's names, or an earlier run's.
        is_run: whether it is a run's; the ``model.onnx`` beside it is its body then.

    Raises:
        WeightsError: if the files don't belong together, or to this network.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    is_lite = is_carried(settings.model)
    try:
        named = {name: _whole(value) for name, value in load_file(weights).items()}
        if not is_run:
            named = {f"{_BODY}{name}": value for name, value in named.items() if not name.startswith("classifier.")}
        if is_lite:
            body = _lite_body(named, settings)
        else:
            assert is_run, "only the carried network has no graph of its own"
            body = cut_body(weights.with_name(MODEL_FILE), settings.size)
        width = _width_of(body)
    except (KeyError, ValueError, IndexError, SafetensorError, OSError) as error:
        message = f"{weights} does not fit {settings.model}: {one_line(error, 200)}"
        raise WeightsError("weights.mismatch", message, "give the weights of exactly this --model") from error
    tensors = {
        **{name: value for name, value in named.items() if name.startswith(_BODY)},
        "mean": np.asarray(settings.mean, np.float32).reshape(1, 3, 1, 1),
        "std": np.asarray(settings.std, np.float32).reshape(1, 3, 1, 1),
        "head.weight": np.zeros((classes, width), np.float32),
        "head.bias": np.zeros(classes, np.float32),
    }
    if settings.features == "stages":  # a cut body computes them scaled, as the file says
        tensors[_SCALE] = np.ones(width, np.float32) if is_lite else named[_SCALE]
    return FrozenNetwork(tensors, body, is_lite)


def carried_body(size: int) -> tuple[bytes, int]:
    """Return the body of the carried network for squares of ``size`` px as an ONNX graph, and how many features it has.

    Raises:
        WeightsError: if its file is damaged.
    """
    from safetensors.numpy import load_file

    tensors = load_file(carried_file())
    body: bytes = build_body(tensors, size, CARRIED.mean, CARRIED.std).SerializeToString()
    return body, _width_of(body)


def refuse_other_tensors(file: Path) -> None:
    """Raise ``WeightsError`` unless a file has the tensors of the carried network, by name and shape.

    A classifier and the counters of batch norms may be there or not.

    Example:
        >>> refuse_other_tensors(carried_file())
    """
    own, given = (_shapes(path) for path in (carried_file(), file))
    if own != given:
        odd = sorted(name for name in {*own, *given} if own.get(name) != given.get(name))
        message = f"{file} is not {CARRIED.name}: {len(odd):,} tensors differ by name or shape, such as {odd[0]}"
        raise WeightsError("weights.mismatch", message, "give the weights of exactly this network, or leave them out")


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        names = [name for name in tensors.keys() if not name.startswith("classifier.")]  # noqa: SIM118
        names = [name for name in names if not name.endswith("num_batches_tracked")]
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}


def cut_body(model: Path, size: int) -> bytes:
    """Return the part of a classifier's ``model.onnx`` from pixels to features, as a model.

    Args:
        model: that file, or a ``body.onnx`` that a checkpoint keeps.
        size: px, of the squares that it will be given.

    Raises:
        ModelError: if it is not there, or damaged.
    """
    import onnx

    try:
        data = model.read_bytes()
        check_body(data, size, str(model))
        body = onnx.utils.Extractor(onnx.load_model_from_string(data)).extract_model([INPUT], ["features"])
    except SightlineError:
        raise
    except Exception as error:  # onnx raises what its parser and checks raise
        message = f"the network up to its features can't be taken from {model}: {one_line(error, 200)}"
        raise ModelError("model.damaged", message, "give another run, whose model.onnx is whole") from error
    cut: bytes = body.SerializeToString()
    return cut


def _lite_body(tensors: Mapping[str, npt.NDArray[Any]], settings: Settings) -> bytes:
    """Return the body of an EfficientNet-Lite, from tensors under a network's names."""
    has_stages = settings.features == "stages"
    graph = build_body(_own(tensors), settings.size, settings.mean, settings.std, has_stages=has_stages)
    data: bytes = graph.SerializeToString()
    return data


def _own(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a body under timm's names."""
    return {name.removeprefix(_BODY): value for name, value in tensors.items() if name.startswith(_BODY)}


def _whole(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return weights kept in half precision as float32; counters as they are."""
    return value.astype(np.float32) if value.dtype == np.float16 else value


def _width_of(body: bytes) -> int:
    """Return D of a body."""
    return int(open_session(body, threads=1).get_outputs()[0].shape[1])
