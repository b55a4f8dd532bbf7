"""Several views of each measured image, averaged: a further metric, which is not that of the exported file."""

from __future__ import annotations

import time
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.errors import UnreadableImage
from sightline.evaluation.intervals import proportion
from sightline.evaluation.result import Evaluation
from sightline.events import Event, Progressed, StageEnded, StageStarted
from sightline.reading.file_contents import contents_of
from sightline.runtime.classifier import Classifier

__all__ = ["add_views", "views_of"]

# Down and right, in 1/32 of the side: one pixel at 32 px.
_SHIFTS = ((0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1), (0, -1), (0, 1), (-1, 0), (1, 0), (2, 2))
_SHOWN = 32  # images from one sign of progress to the next


def views_of(square: npt.NDArray[np.uint8], views: int, *, has_mirror: bool) -> npt.NDArray[np.uint8]:
    """Return ``[views, S, S, 3]``: the square, its mirror, then both shifted by 1/32 of the side; edges mirrored in.

    Args:
        square: ``[S, S, 3] uint8``.
        views: 1 to 10.
        has_mirror: False leaves the mirrors out and shifts the more.

    References:
        K. Jordan, arXiv 2404.00498, section 3.5: the same six views are used to evaluate on CIFAR-10.

    Example:
        >>> views_of(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), 2, has_mirror=True)[1, 0, 0].tolist()
        [9, 10, 11]
    """
    unit = max(1, round(len(square) / 32))
    edge = 2 * unit
    padded = np.pad(square, ((edge, edge), (edge, edge), (0, 0)), mode="reflect")
    views_made = []
    for down, right in _SHIFTS:
        top, left = edge + down * unit, edge + right * unit
        shifted = padded[top : top + len(square), left : left + len(square)]
        views_made += [shifted, shifted[:, ::-1]] if has_mirror else [shifted]
    return np.stack(views_made[:views])


def add_views(
    classifier: Classifier,
    samples: Samples,
    rows: npt.NDArray[np.intp],
    evaluation: Evaluation,
    views: tuple[int, bool],
) -> Generator[Event, None, Evaluation]:
    """Return the evaluation with ``accuracy_with_views`` and ``count_views`` beside its metrics, which stay.

    Args:
        classifier: the exported one; it is asked for each view, and its probabilities are averaged.
        samples: inspected.
        rows: positions in ``samples`` of the evaluation's images.
        evaluation: of these.
        views: (how many, whether mirrors are among them).
    """
    count, has_mirror = views
    yield StageStarted("Averaging views", f"{count} views of each image")
    start = time.monotonic()
    used = np.flatnonzero(evaluation.predictions.is_ok & ~evaluation.leaked)
    squares = classifier.squares(contents_of(samples, rows[used]))
    seen: list[int] = []
    hits: list[bool] = []
    for done, (place, square) in enumerate(zip(used.tolist(), squares, strict=True), start=1):
        if not isinstance(square, UnreadableImage):  # else it changed since it was measured
            probabilities = classifier.answer(views_of(square, count, has_mirror=has_mirror)).probabilities
            hits.append(bool(probabilities.mean(0).argmax() == evaluation.labels[place]))
            seen.append(place)
        if done % _SHOWN == 0 or done == len(used):
            yield Progressed(done, len(used), "images")
    if not seen:
        return evaluation
    accuracy = proportion(np.array(hits), None if evaluation.units is None else evaluation.units[seen])
    yield StageEnded("Averaging views", f"{accuracy} averaged over {count} views", time.monotonic() - start)
    return evaluation.with_views(accuracy, count)
