"""Occlusion: what happens to the probability of a class when a patch of the image is covered. Needs no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.pixels.decode import RGB
from sightline.runtime.classifier import Classifier

__all__ = ["MOST_CELLS", "count_positions", "cover", "occlusion_map"]

MOST_CELLS = 32  # a side: 1,090 predictions an image


def occlusion_map(classifier: Classifier, square: RGB, label: int, *, cells: int = 7) -> npt.NDArray[np.float32]:
    """Return by how much the probability of a class falls when a place is covered.

    The square is divided into ``cells`` x ``cells``. A patch of 2 x 2 cells in the mean colour of the image is slid
    over it by one cell at a time, over the edges too, so that every cell is covered four times; a cell's value is the
    mean fall (Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2, with a patch that scales with the image). That
    takes ``(cells + 1)**2 + 1`` predictions.

    Args:
        classifier: it alone is asked, so the map is of the file that ships.
        square: ``[S, S, 3] uint8``, as ``classifier.preprocess.apply`` returns it.
        label: the class, as a position in ``classifier.classes``.
        cells: 2 to 32, at most a cell a pixel: more show finer places, which change less.

    Returns:
        ``[S, S] float32``, -1 to 1: positive where covering lowers the probability, negative where it raises it.

    Example:
        ``occlusion_map(classifier, square, int(probabilities.argmax()))``
    """
    covered, edges = cover(square, cells)
    said = classifier.answer(np.concatenate([square[None], covered])).probabilities[:, label].astype(np.float64)
    return _mean_where_covered(said[0] - said[1:], edges, square.shape[:2]).astype(np.float32)


def count_positions(cells: int) -> int:
    """Return how many predictions a map takes.

    Example:
        >>> count_positions(7)
        65
    """
    return (cells + 1) ** 2 + 1


def cover(square: RGB, cells: int) -> tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.intp]]]:
    """Return ``[(cells + 1)**2, H, W, 3]`` images, each with one patch covered row by row, and the cells' edges.

    Example:
        >>> images, edges = cover(np.zeros((8, 8, 3), np.uint8), 4)
        >>> images.shape, edges[0].tolist()
        ((25, 8, 8, 3), [0, 2, 4, 6, 8])
    """
    edges = [np.linspace(0, side, min(cells, side) + 1).round().astype(np.intp) for side in square.shape[:2]]
    mean = square.reshape(-1, 3).mean(0).round().astype(np.uint8)
    images = []
    for top, bottom in _spans(edges[0]):
        for left, right in _spans(edges[1]):
            image = square.copy()
            image[top:bottom, left:right] = mean
            images.append(image)
    return np.stack(images), edges


def _spans(edges: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return where patches of two cells begin and end; the first and the last one hang over the edge."""
    wide = [edges[0], *edges, edges[-1]]
    return [(int(wide[k]), int(wide[k + 2])) for k in range(len(wide) - 2)]


def _mean_where_covered(
    falls: npt.NDArray[np.float64], edges: list[npt.NDArray[np.intp]], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    total = np.zeros(shape[:2])
    spans = [(rows, columns) for rows in _spans(edges[0]) for columns in _spans(edges[1])]
    for fall, ((top, bottom), (left, right)) in zip(falls, spans, strict=True):
        total[top:bottom, left:right] += fall
    return total / 4
