"""A classifier that ships, as the source of further formats: ``model.onnx`` alone is enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import ModelError
from sightline.runtime.classifier import Classifier
from sightline.text import one_line

__all__ = ["Shipped"]

AnyArray = np.ndarray[Any, Any]


class Shipped:
    """A ``model.onnx`` as an ``Exportable``: its answers are the reference, its bytes are what is converted.

    Attributes:
        classifier: the file, opened.
        folder: where it lies; weights may lie beside it.
    """

    exporters: tuple[str, ...] = ("model.onnx",)

    def __init__(self, classifier: Classifier) -> None:
        assert classifier.path is not None, "it is opened from a file"
        self.classifier, self.folder = classifier, classifier.path.parent
        self._path = classifier.path

    @classmethod
    def open(cls, path: Path) -> Shipped:
        """Open a ``model.onnx``.

        Raises:
            ModelError: as ``Classifier.open`` does.
        """
        return cls(Classifier.open(path))

    def tensors(self) -> dict[str, AnyArray]:
        """Return the weights by name where they lie beside it (``model.safetensors``); else none.

        Raises:
            ModelError: if that file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        file = self.folder / "model.safetensors"
        try:
            return dict(load_file(file)) if file.is_file() else {}
        except (SafetensorError, OSError) as error:
            cure = "restore it from a copy, or export the classifier again: sightline export RUN"
            raise ModelError("model.damaged", f"{file} can't be read: {one_line(error)}", cure) from error

    def answer(self, squares: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) as the file says them."""
        said = self.classifier.answer(squares)
        return said.probabilities, said.features, said.novelty

    def to_onnx(self, exporter: str, size: int) -> bytes:
        """Return the file as it is."""
        return self._path.read_bytes()
