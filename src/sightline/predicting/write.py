"""The way of one prediction into a file: names, squares, answers, rows; and how far it is, as events."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from typing import BinaryIO

from sightline.errors import InputError
from sightline.events import ImagesPredicted, Noted
from sightline.predicting.named_images import STDIN, Named, list_images
from sightline.predicting.output import Output
from sightline.predicting.request import Request
from sightline.predicting.sorting import Sorter
from sightline.runtime.classifier import Classifier

__all__ = ["kept_images", "own_images", "write_predictions"]

_WINDOW = 30.0  # seconds over which the speed is measured


def own_images(request: Request, stdin: BinaryIO | None, notes: list[Noted]) -> Iterator[Named]:
    """Yield the images of a request's shard, in the order of its sources; what should be known goes into ``notes``."""
    for found in list_images(request.sources, request.choices, stdin):
        if isinstance(found, Noted):
            notes.append(found)
        elif request.shard.holds(str(found)):
            yield found


def write_predictions(
    classifier: Classifier,
    request: Request,
    output: Output,
    stdin: BinaryIO | None = None,
    sorter: Sorter | None = None,
) -> Generator[ImagesPredicted | Noted, None, None]:
    """Predict the images of a request into its output, which is whole at the end; memory stays flat.

    Args:
        classifier: that is asked.
        request: what is predicted, and how.
        output: where the rows go.
        stdin: the list that ``-`` stands for.
        sorter: places the images by their answers.

    Whatever ends it early leaves all rows that were written, for ``--resume``.

    Raises:
        InputError: if there is no image, or not those that the output was begun with.
        RunError: if the output can't be written.
    """
    notes: list[Noted] = []
    pace = _Pace(output, _Total(request))
    images: deque[Named] = deque()
    names = kept_images(output.rest(own_images(request, stdin, notes)), images)
    limits = {"min_confidence": request.min_confidence, "max_novelty": request.max_novelty}
    try:
        with closing(classifier.predict_stream(names, **limits)) as parts:  # type: ignore[type-var, arg-type]
            for part in parts:
                named = [images.popleft() for _ in range(len(part))]
                if sorter is not None:
                    sorter.place(part, named)  # before the row, so that no row is without
                if output.write(part) and sorter is not None:
                    sorter.recorded()
                yield from notes
                notes.clear()
                yield pace.event()
        yield from notes
        if not output.is_finished:
            _refuse_nothing(request, output)
            output.finish()
    except BaseException:
        output.save()
        raise
    finally:
        output.close()


def kept_images(names: Iterator[Named], images: deque[Named]) -> Iterator[Named]:
    """Yield images, and keep those that are under way: a row knows their names alone."""
    for name in names:
        images.append(name)
        yield name


def _refuse_nothing(request: Request, output: Output) -> None:
    if output.rows == 0 and request.shard.count == 1:  # a shard of few images may have none
        output.drop()
        shown = " ".join(request.sources)
        raise InputError("predict.nothing", f"no images in {shown}", "name image files or folders with images")


class _Total:
    """How many images there are, counted beside the work: nobody waits for it."""

    def __init__(self, request: Request) -> None:
        self.value: int | None = None
        self._request = request
        if STDIN not in request.sources:
            threading.Thread(target=self._count, name="count", daemon=True).start()

    def _count(self) -> None:
        with suppress(Exception):  # whoever reads the same names for the work says what is wrong with them
            self.value = sum(1 for _ in own_images(self._request, None, []))


class _Pace:
    """How fast images are predicted, and how long the rest takes at that speed."""

    def __init__(self, output: Output, total: _Total) -> None:
        self._output = output
        self._total = total
        self._seen = deque([(time.monotonic(), output.rows)])

    def event(self) -> ImagesPredicted:
        now, done = time.monotonic(), self._output.rows
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = (done - before) / max(1e-9, now - since)
        return ImagesPredicted(done, self._total.value, rate, self._output.count_bad)
