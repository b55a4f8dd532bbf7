"""The ``classifier`` folder of a version: another body under the head that was trained, proved before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import WeightsError
from sightline.evaluation.abstain import Novelty
from sightline.exporting.body import compute_features
from sightline.exporting.parity import ParityProof, prove_parity
from sightline.networks.frozen import FrozenNetwork, cut_body
from sightline.networks.frozen_graph import FrozenGraph
from sightline.runs.safe_files import write_bytes, write_text
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.classifier import MODEL_FILE, Classifier
from sightline.text import one_line

__all__ = ["VersionGraph", "build_version", "read_trained", "write_version"]

_HEAD = ("head.weight", "head.bias")
Floats = npt.NDArray[np.float32]


class VersionGraph(FrozenGraph):
    """What ships of a version: its body, the head, the temperature and the novelty.

    How far the body is from the one that was trained is measured elsewhere; the proof compares the file with its parts.
    """

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return nothing: weights in 8 bits are in the graph alone."""
        return {}

    def answer(self, squares: npt.NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``), all but the body by numpy.

        Args:
            squares: ``[N, size, size, 3] uint8``.
        """
        features = compute_features(self.network.body, squares)
        logits = self.network.logits(features).astype(np.float64) / self.temperature
        raised = np.exp(logits - logits.max(1, keepdims=True))
        novelty = np.zeros(len(features), np.float32) if self.novelty is None else self.novelty.of(features)
        return (raised / raised.sum(1, keepdims=True)).astype(np.float32), features, novelty


def read_trained(model: Path, weights: Path, size: int) -> FrozenNetwork:
    """Return the network of a classifier as body and head, whatever trained it.

    Args:
        model: ``model.onnx``, of which the body is taken.
        weights: ``model.safetensors``, of which the head is taken.
        size: px, of the squares.

    Raises:
        WeightsError: if the weights are damaged or missing.
        ModelError: if the model is damaged or missing.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(weights.read_bytes())
        head = {name: tensors[name].astype(np.float32) for name in _HEAD}
    except (SafetensorError, OSError, KeyError) as error:
        cure = "make it again of the best epoch: sightline export RUN; or train again"
        raise WeightsError("weights.damaged", f"{weights} can't be used: {one_line(error)}", cure) from error
    return FrozenNetwork(head, cut_body(model, size))


def build_version(network: FrozenNetwork, novelty: Novelty | None, bundle: Bundle) -> bytes:
    """Return the ``model.onnx`` of a version, with its bundle inside.

    Args:
        network: its body, and the head.
        novelty: measured with that body; None: it is 0.
        bundle: what belongs to it; its temperature divides the logits.
    """
    import onnx

    graph = VersionGraph(network, bundle.temperature, novelty)
    model = onnx.load_model_from_string(graph.to_onnx(graph.exporters[0], bundle.preprocess.size))
    onnx.helper.set_model_props(model, {METADATA_KEY: bundle.to_json(ascii_only=True)})
    data: bytes = model.SerializeToString()
    return data


def write_version(
    network: FrozenNetwork, novelty: Novelty, bundle: Bundle, folder: Path, squares: npt.NDArray[np.uint8]
) -> ParityProof:
    """Write ``model.onnx``, ``classifier.json`` and ``classes.txt`` of a version.

    Args:
        network, novelty, bundle: as for :func:`build_version`.
        folder: the ``classifier`` folder.
        squares: real images, on which the file must answer as its parts do, alone and in batches.

    Raises:
        ExportMismatch: if it does not.
    """
    write_bytes(folder / MODEL_FILE, build_version(network, novelty, bundle))
    write_text(folder / "classifier.json", bundle.to_json() + "\n")
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in bundle.classes))
    graph = VersionGraph(network, bundle.temperature, novelty)
    return prove_parity(graph, Classifier.open(folder / MODEL_FILE), squares)
