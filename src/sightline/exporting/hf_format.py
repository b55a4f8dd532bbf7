"""``hf/``: a folder in the form of the Hugging Face hub, with its card; timm and transformers load it where they can.

That is so for a timm network whose head is on its last layer: the weights get timm's names, and the temperature is
divided into the head. For other networks the folder has ``model.onnx`` alone, and its card says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch
from sightline.exporting.hf_card import write_card
from sightline.exporting.parity import Exportable
from sightline.exporting.shipped import Shipped
from sightline.pixels.preprocess import Preprocess
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import MODEL_FILE, Classifier
from sightline.text import one_line

__all__ = ["HF_FOLDER", "HfRunner", "hf_exporters", "write_hf"]

HF_FOLDER = "hf"
_TIMM, _ONNX = "timm", "onnx"
_BODY = "body."
AnyArray = np.ndarray[Any, Any]


def hf_exporters(graph: Exportable) -> tuple[str, ...]:
    """Return the ways to write it: with weights that timm loads, or with ``model.onnx`` alone."""
    return _TIMM, _ONNX


def write_hf(graph: Exportable, bundle: Bundle, path: Path, exporter: str) -> None:
    """Write ``README.md``, ``model.onnx`` and ``classifier.json``; for timm also ``config.json`` and the weights.

    Args:
        graph: a classifier that ships; its weights and its model card are taken where they lie beside it.
        bundle: becomes ``classifier.json``.
        path: the folder; its files are whole or not there.
        exporter: ``timm`` or ``onnx``.

    Raises:
        ExportMismatch: for ``timm``, where timm can't load this network.
    """
    files = {MODEL_FILE: graph.to_onnx(graph.exporters[0], bundle.preprocess.size)}
    if exporter == _TIMM:
        files |= _timm_files(graph.tensors(), bundle)
    files["classifier.json"] = bundle.to_json().encode("utf-8", "surrogateescape")
    beside = graph.folder / "README.md" if isinstance(graph, Shipped) else Path("README.md")
    card = beside.read_text(encoding="utf-8") if isinstance(graph, Shipped) and beside.is_file() else ""
    files["README.md"] = write_card(card, bundle, has_timm=exporter == _TIMM).encode("utf-8", "surrogateescape")
    if path.is_dir():  # what another exporter left
        for file in path.iterdir():
            file.unlink()
    for name, data in files.items():
        write_bytes(path / name, data)


class HfRunner:
    """An ``hf`` folder, opened: by timm where it has weights for it, else by onnxruntime.

    timm knows nothing of novelty, which comes from the folder's ``model.onnx``.
    """

    def __init__(self, path: Path) -> None:
        self._classifier = Classifier.open(path)
        self._model: Any = None
        if (path / "config.json").is_file():
            import timm

            self._model = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
            config = self._model.pretrained_cfg
            self._mean, self._std = (np.array(config[name], np.float32) for name in ("mean", "std"))

    def run(self, pixels: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) of ``[N, size, size, 3] uint8``."""
        probabilities, features, novelty = self._classifier.run(pixels)
        if self._model is None:
            return probabilities, features, novelty
        import torch

        images = torch.from_numpy(((pixels / np.float32(255) - self._mean) / self._std).transpose(0, 3, 1, 2).copy())
        with torch.inference_mode():
            seen = self._model.forward_features(images)
            features = self._model.forward_head(seen, pre_logits=True).numpy()
            probabilities = torch.softmax(self._model.forward_head(seen), 1).numpy()
        return probabilities, features, novelty


def _timm_files(tensors: dict[str, AnyArray], bundle: Bundle) -> dict[str, bytes]:
    """Return ``config.json`` and ``model.safetensors`` as timm has them."""
    try:
        import timm
        from safetensors.numpy import save

        if not timm.is_model(bundle.model.split(".")[0]):
            raise ValueError("it is not one of timm's networks")
        if "head.weight" not in tensors or "feature_scale" in tensors:
            raise ValueError(
                "its weights are not there" if not tensors else "its head takes features of several stages"
            )
        config = timm.get_pretrained_cfg(bundle.model)
        classifier = config.classifier
        if not isinstance(classifier, str):
            raise ValueError("its head has several parts in timm")
        named = {
            name.removeprefix(_BODY): np.ascontiguousarray(value)
            for name, value in tensors.items()
            if name.startswith(_BODY)
        }
        for part in ("weight", "bias"):
            named[f"{classifier}.{part}"] = (tensors[f"head.{part}"] / bundle.temperature).astype(np.float32)
        mean, std = (tensors[name].ravel().tolist() for name in ("mean", "std"))
        about = _timm_config(bundle, mean, std, classifier, config.first_conv)
        return {
            "config.json": (json.dumps(about, indent=2) + "\n").encode(),
            "model.safetensors": save(named, metadata={"format": "pt"}),
        }
    except Exception as error:  # timm is not there, or raises what it likes
        message = f"{bundle.model} can't be loaded by timm: {one_line(error, 300)}"
        raise ExportMismatch("export.failed", message, "use model.onnx") from error


def _timm_config(bundle: Bundle, mean: list[float], std: list[float], classifier: str, first: Any) -> dict[str, Any]:
    rule = bundle.preprocess
    architecture, _, _ = bundle.model.partition(".")
    return {
        "architecture": architecture,
        "num_classes": len(bundle.classes),
        "num_features": bundle.feature_size,
        "label_names": list(bundle.classes),
        "pretrained_cfg": {
            "architecture": architecture,
            "tag": "sightline",
            "custom_load": False,
            "num_classes": len(bundle.classes),
            "input_size": [3, rule.size, rule.size],
            "interpolation": rule.interpolation,
            **_timm_crop(rule),
            "mean": mean,
            "std": std,
            "first_conv": first,
            "classifier": classifier,
        },
    }


def _timm_crop(rule: Preprocess) -> dict[str, Any]:
    modes = {"crop": "center", "pad": "border", "squash": "squash"}
    return {"crop_pct": rule.size / rule.resize if rule.fit == "crop" else 1.0, "crop_mode": modes[rule.fit]}
