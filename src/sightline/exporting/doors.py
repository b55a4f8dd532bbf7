"""The proof of a format that takes images of any size: from file bytes, through its own way to the network's square.

What is compared is two whole ways. Here: the one door, which may decode a large JPEG at a half of its size, and the
trained network. There: all pixels decoded and turned upright, as any client can do it, and the exported file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch, UnreadableImage
from sightline.exporting.parity import TOLERANCE, Exportable, find_ties, is_novelty_off
from sightline.exporting.proof import DoorProof
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.preprocess import Preprocess

__all__ = ["CLOSE", "ImageRunner", "compare_doors", "prove_door"]

AnyArray = np.ndarray[Any, Any]

CLOSE = 0.1  # two probabilities nearer than this may change places where pixels differ by rounding
_READY = 16  # squares that are given as they are


class ImageRunner(Protocol):
    """An exported file that takes images of any size, opened."""

    def run(self, image: npt.NDArray[np.uint8], /) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return (probabilities ``[1, K]``, features ``[1, D]``, novelty ``[1]``) of ``[H, W, 3] uint8``, upright."""


def prove_door(
    graph: Exportable,
    runner: ImageRunner,
    preprocess: Preprocess,
    squares: npt.NDArray[np.uint8],
    files: Sequence[Place],
    made: Mapping[str, bytes],
) -> DoorProof:
    """Compare a file that takes images of any size with the network behind the one door.

    Args:
        graph: the network as trained, or the classifier that ships.
        runner: the exported file, opened.
        preprocess: of the one door.
        squares: some squares, which the file must not resize: there it must be the network within rounding.
        files: real images; what can't be read is passed over.
        made: name -> content of files made in code.

    Raises:
        ExportMismatch: if the file is another network on squares; or if it decides differently of an image whose pixels
            were all decoded, though the network's best class leads by more than ``CLOSE``. What decoding at a reduced
            size changes is only measured.
    """
    wanted, _, new = graph.answer(squares[:_READY])
    answers = [runner.run(square) for square in squares[:_READY]]
    said, _, novelty = (np.concatenate(column) for column in zip(*answers, strict=True))
    off = float(np.abs(said - wanted).max())
    if not off <= TOLERANCE or is_novelty_off(novelty, new):  # written so that a NaN fails
        raise _withdrawn(f"the exported file is another network on squares (largest difference {off:.3g})")
    found = compare_doors(graph, runner, preprocess, files, made)
    if not found.widest <= CLOSE or not np.isfinite(found.max_difference):
        raise _withdrawn(
            f"the exported file decides differently from the network on images such as {found.name}, "
            f"whose best class leads by {found.widest:.2g}"
        )
    return found


def compare_doors(
    graph: Exportable,
    runner: ImageRunner,
    preprocess: Preprocess,
    files: Sequence[Place],
    made: Mapping[str, bytes],
) -> DoorProof:
    """Return how two ways from file bytes to a decision differ; arguments are those of :func:`prove_door`."""
    squares, whole, said, names = [], [], [], []
    for name, content in [*((str(file), file) for file in files), *made.items()]:
        try:
            data = content if isinstance(content, bytes) else read_bytes(content)
            square = preprocess.apply(preprocess.decode(data, name=name))
            image = decode_image(data, name=name, value_range=preprocess.value_range, background=preprocess.background)
        except UnreadableImage:
            continue  # counted where it is evaluated
        squares.append(square)
        whole.append(preprocess.apply(image))
        said.append(runner.run(image)[0][0])
        names.append(name)
    is_reduced = np.array([(one != other).any() for one, other in zip(squares, whole, strict=True)])
    ours, theirs = graph.answer(np.stack(squares))[0], np.stack(said)
    decoded = ours.copy()  # what the network says of all pixels
    if is_reduced.any():
        decoded[is_reduced] = graph.answer(np.stack(whole)[is_reduced])[0]
    differs, gaps = ours.argmax(1) != theirs.argmax(1), np.abs(ours - theirs).max(1)
    lead = np.where(decoded.argmax(1) != theirs.argmax(1), np.ptp(np.sort(decoded, 1)[:, -2:], axis=1), 0)
    worst = int(lead.argmax())
    return DoorProof(
        images=len(names),
        made=sum(name in made for name in names),
        reduced=int(is_reduced.sum()),
        equal=int((~differs).sum()),
        ties=int((differs & find_ties(ours)).sum()),
        max_difference=float(gaps.max()),
        mean_difference=float(gaps.mean()),
        widest=float(lead[worst]),
        name=names[worst] if lead.any() else "",
    )


def _withdrawn(message: str) -> ExportMismatch:
    return ExportMismatch("export.mismatch", message, "use model.onnx, and report this with the network's name")
