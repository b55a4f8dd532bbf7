"""The proof that an exported file decides as the trained network does, on real images through the one door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sightline.errors import DataError, ExportMismatch, UnreadableImage
from sightline.exporting.proof import ParityProof
from sightline.pixels.containers import Place
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.stream import squares_of

__all__ = [
    "MAX_IMAGES",
    "MIN_IMAGES",
    "TIE",
    "TOLERANCE",
    "Exportable",
    "ParityProof",
    "Runner",
    "find_ties",
    "is_novelty_off",
    "prove_parity",
    "see_images",
]

AnyArray = np.ndarray[Any, Any]

MIN_IMAGES = 32
MAX_IMAGES = 64
TOLERANCE = 1e-3  # of a probability: far above rounding, far below what a wrong operator does
NOVELTY_TOLERANCE = 1e-2  # of a distance where 1 is usual: a difference of squares, in float32
BATCH_SIZES = (1, 3, 32)
SMALL_BATCHES = 6  # so many of each smaller size: they prove that the batch is free, the large ones every decision
TIE = 1e-4  # two probabilities nearer than this are one decision


class Runner(Protocol):
    """An exported file, opened: whatever computes what its network computes."""

    def run(self, pixels: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``) of ``[N, size, size, 3] uint8``."""


class Exportable(Protocol):
    """A network as trained, with its calibration, before it is a file.

    Attributes:
        exporters: ways to make an ONNX file of it, in the order in which they are tried.
    """

    exporters: tuple[str, ...]

    def tensors(self) -> dict[str, AnyArray]:
        """Return its weights by name."""

    def answer(self, squares: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return what ``Runner.run`` must return, computed without the exported file."""

    def to_onnx(self, exporter: str, size: int) -> bytes:
        """Return an ONNX file of it for images of ``size`` px, by one of ``exporters``."""


def prove_parity(graph: Exportable, runner: Runner, squares: npt.NDArray[np.uint8]) -> ParityProof:
    """Compare an exported file with its network; fewer than 32 images are compared repeatedly.

    Args:
        graph: the network as trained, with its calibration.
        runner: the exported file, opened.
        squares: ``[N, size, size, 3] uint8``, real images as ``see_images`` returns them.

    Raises:
        ExportMismatch: if a decision differs, or a probability by more than ``TOLERANCE``; with the code
            ``export.novelty`` if novelty alone differs.
    """
    count = len(squares)
    repeats = -(-MIN_IMAGES // count)
    wanted, _, new = (np.concatenate([column] * repeats) for column in graph.answer(squares))
    squares = np.concatenate([squares] * repeats)
    largest, ties = 0.0, 0
    for size in BATCH_SIZES:
        seen = len(squares) if size == max(BATCH_SIZES) else min(len(squares), SMALL_BATCHES * size)
        answers = [runner.run(squares[i : min(i + size, seen)]) for i in range(0, seen, size)]
        said, _, novelty = (np.concatenate(column) for column in zip(*answers, strict=True))
        largest = max(largest, float(np.abs(said - wanted[:seen]).max()))
        differs = said.argmax(1) != wanted[:seen].argmax(1)
        tied = differs & find_ties(wanted[:seen])
        ties = max(ties, int(tied.sum()))
        if not largest <= TOLERANCE or (differs & ~tied).any():  # written so that a NaN fails
            raise ExportMismatch(
                "export.mismatch",
                f"at batch size {size} the exported file predicts differently from the network on "
                f"{int((differs & ~tied).sum())} of {seen} images (largest difference {largest:.3g})",
                "report this with the network's name; the file was withdrawn, model.safetensors is kept",
            )
        if is_novelty_off(novelty, new[:seen]):
            off = float(np.abs(novelty - new[:seen]).max())
            raise ExportMismatch(
                "export.novelty",
                f"at batch size {size} the exported file's novelty differs from the network's by {off:.3g}",
                "report this with the network's name; the file was withdrawn, model.safetensors is kept",
            )
    return ParityProof(count, BATCH_SIZES, largest, ties)


def see_images(preprocess: Preprocess, files: Sequence[Place | bytes]) -> npt.NDArray[np.uint8]:
    """Return ``[N, size, size, 3] uint8``: the files that can be read, through the door that prediction uses.

    Raises:
        DataError: if none can be read.
    """
    # One that can't be read is counted where it is evaluated; here any readable images will do.
    squares = [square for square in squares_of(preprocess, files) if not isinstance(square, UnreadableImage)]
    if not squares:
        raise DataError(
            "export.no-images",
            "none of the images to compare the export with can be read",
            "put the data back where the run found them (data_root in run.json)",
        )
    return np.stack(squares)


def find_ties(probabilities: AnyArray) -> npt.NDArray[np.bool_]:
    """Return ``[N]``: whether the two best classes of ``[N, K]`` probabilities are nearer than ``TIE``."""
    best = np.sort(probabilities, 1)[:, -2:]
    tie: npt.NDArray[np.bool_] = best[:, 1] - best[:, 0] < TIE
    return tie


def is_novelty_off(said: AnyArray, wanted: AnyArray) -> bool:
    """Tell whether ``[N]`` novelty differs by more than rounding; a NaN does."""
    return not float(np.abs(said - wanted).max()) <= NOVELTY_TOLERANCE * max(1.0, float(np.abs(wanted).max()))
