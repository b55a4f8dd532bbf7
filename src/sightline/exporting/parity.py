"""The proof that an exported file decides as the trained network does, on real images through the one door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sightline.errors import ExportMismatch, UnreadableImage
from sightline.networks.network import Network
from sightline.pixels.decode import decode_image
from sightline.runtime.classifier import Classifier

__all__ = ["MIN_IMAGES", "TIE", "ParityProof", "prove_parity"]

MIN_IMAGES = 32
BATCH_SIZES = (1, 3, 32)
TIE = 1e-4  # two probabilities nearer than this are one decision


@dataclass(frozen=True, slots=True)
class ParityProof:
    """What the comparison found.

    Attributes:
        images: how many different images were compared.
        batch_sizes: sizes of batches, each of which saw all of them.
        max_difference: largest difference between two probabilities.
        ties: images whose two best classes are nearer than ``TIE`` and were decided differently.
    """

    images: int
    batch_sizes: tuple[int, ...]
    max_difference: float
    ties: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


def prove_parity(network: Network, classifier: Classifier, files: Sequence[Path]) -> ParityProof:
    """Compare an exported classifier with its network; fewer than 32 readable files are compared repeatedly.

    Args:
        network: as trained; it is put into evaluation mode, on the CPU.
        classifier: the exported file, opened.
        files: real images; the first 64 that can be read are used.

    Raises:
        ExportMismatch: if a decision differs, or no image could be read.
    """
    squares = _squares(classifier, files)
    if not len(squares):
        raise ExportMismatch(
            "export.no-images", "no image to compare the export with", "check that the data are still there"
        )
    count = len(squares)
    squares = np.concatenate([squares] * (-(-MIN_IMAGES // count)))
    with torch.inference_mode():
        images = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
        wanted = torch.softmax(network.eval().cpu()(images), 1).numpy()
    largest, ties = 0.0, 0
    for size in BATCH_SIZES:
        said = np.concatenate([classifier.run(squares[i : i + size])[0] for i in range(0, len(squares), size)])
        largest = max(largest, float(np.abs(said - wanted).max()))
        differs = said.argmax(1) != wanted.argmax(1)
        tied = differs & _is_tie(wanted)
        ties = max(ties, int(tied.sum()))
        if not np.isfinite(said).all() or (differs & ~tied).any():
            raise ExportMismatch(
                "export.mismatch",
                f"at batch size {size} the exported file decides otherwise than the network on "
                f"{int((differs & ~tied).sum())} of {len(squares)} images (largest difference {largest:.3g})",
                "report this with the network's name; model.onnx was withdrawn, model.safetensors is kept",
            )
    return ParityProof(count, BATCH_SIZES, largest, ties)


def _squares(classifier: Classifier, files: Sequence[Path]) -> npt.NDArray[np.uint8]:
    squares = []
    for file in files:
        try:
            squares.append(classifier.preprocess.apply(decode_image(file)))
        except UnreadableImage:
            continue  # counted where it is evaluated; here any readable images will do
        if len(squares) == 2 * MIN_IMAGES:
            break
    return np.stack(squares) if squares else np.empty((0, 0, 0, 3), np.uint8)


def _is_tie(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    best = np.sort(probabilities, 1)[:, -2:]
    tie: npt.NDArray[np.bool_] = best[:, 1] - best[:, 0] < TIE
    return tie
