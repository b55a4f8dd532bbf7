"""Predict images whose classes are known, and prepare what the figures are compared with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.sources import Source
from sightline.errors import DataError, UnreadableImage
from sightline.evaluation.result import Evaluation, evaluate_rows
from sightline.events import (
    Event,
    MistakesSeen,
    Noted,
    Progressed,
    StageEnded,
    StageStarted,
    ValidationMeasured,
    Warned,
)
from sightline.pipeline.prepare import DataChoices, inspect_source
from sightline.pixels.cache import PixelStore
from sightline.pixels.files import read_bytes
from sightline.pixels.preprocess import Preprocess
from sightline.runs.folder import run_of_classifier
from sightline.runtime.classifier import Classifier
from sightline.runtime.predictions import Predictions

__all__ = ["contents_of", "evaluate_samples", "evaluate_source", "picture_mistakes", "small_pictures"]

_MISTAKES = 16


def evaluate_source(classifier: Classifier, source: Source) -> Generator[Event, None, Evaluation]:
    """Evaluate on the test part of a source, or on all its images where it has none.

    Where the classifier lies in its run, images that it was trained on are found by content, left out of the
    figures, and said.

    Raises:
        DataError: if the source has a class that the classifier does not know, or nothing is left to measure.
    """
    choices = DataChoices(value_range=classifier.preprocess.value_range)
    samples = yield from inspect_source(source, choices, compare=False)
    unknown = [name for name in samples.classes if name not in classifier.classes]
    if unknown:
        raise DataError(
            "evaluation.unknown-class",
            f"the classifier does not know class {', '.join(map(repr, unknown[:5]))}; "
            f"it knows {', '.join(map(repr, classifier.classes[:8]))}",
            "rename or leave out these folders",
        )
    rows = np.flatnonzero(samples.given == "test")
    if not len(rows):
        rows = np.arange(len(samples))
    yield Noted(f"Measured on {'the given test part' if len(rows) < len(samples) else 'all images'}: {len(rows):,}.")
    number = np.array([classifier.classes.index(name) for name in samples.classes], np.int64)
    run = run_of_classifier(classifier.path)
    trained = run.trained_digests() if run else set()
    if run:
        yield Noted(
            "Images are compared with those of the training by content: one that was saved again is not noticed."
        )
    if run is None:
        yield Noted(
            "Whether the classifier was trained on some of these images can't be told: it lies outside its run."
        )
    leaked = np.array([samples.digests[row] in trained for row in rows], bool)
    if leaked.any():
        message = f"{int(leaked.sum()):,} of {len(rows):,} images were used in training; the figures leave them out"
        yield Warned("evaluation.leak", message, "give images that the training did not see")
    return (yield from evaluate_samples(classifier, samples, rows, number[samples.labels[rows]], leaked))


def evaluate_samples(
    classifier: Classifier,
    samples: Samples,
    rows: npt.NDArray[np.intp],
    labels: npt.NDArray[np.int64],
    leaked: npt.NDArray[np.bool_],
) -> Generator[Event, None, Evaluation]:
    """Predict images whose classes are known and return every figure.

    A file whose content is not the one that was inspected is an error row: what it shows now, and whether the
    training saw that, nobody knows.

    Args:
        classifier: the exported one: what it says is what is measured.
        samples: inspected.
        rows: positions in ``samples`` of the images to measure.
        labels: of these, positions in the classifier's classes.
        leaked: of these, whether the training saw them; the figures leave them out.
    """
    yield StageStarted("Evaluating", f"{len(rows):,} images with the exported classifier")
    start, parts, done = time.monotonic(), [], 0
    for part in classifier.predict_stream(contents_of(samples, rows)):
        parts.append(part)
        done += len(part)
        yield Progressed(done, len(rows), "images")
    said = Predictions.join(parts)
    names = tuple(str(samples.paths[row]) for row in rows)
    said = Predictions(said.classes, names, said.probabilities, said.features, said.errors)
    evaluation = evaluate_rows(said, labels, leaked)
    yield StageEnded("Evaluating", str(evaluation.accuracy), time.monotonic() - start)
    return evaluation


def contents_of(samples: Samples, rows: npt.NDArray[np.intp]) -> Iterator[bytes | UnreadableImage]:
    """Yield the bytes of each file, or why they can't be used."""
    for row in rows:
        file = samples.file(int(row))
        try:
            data = read_bytes(file)
        except UnreadableImage as error:
            yield error
            continue
        is_same = hashlib.sha256(data).hexdigest() == samples.digests[row]
        yield data if is_same else UnreadableImage(str(file), "the file changed while it was used")


def small_pictures(
    store: PixelStore, preprocess: Preprocess, rows: npt.NDArray[np.intp], most: int | None
) -> dict[int, Any]:
    """Return position in ``rows`` -> a 16 x 16 picture as a vector, for the baseline; at most ``most``, evenly."""
    from PIL import Image

    step = max(1, len(rows) // most) if most else 1
    small = {}
    for place, picture in store.readable(rows[::step]):
        square = Image.fromarray(preprocess.finish(picture))
        small[place * step] = np.asarray(square.resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
    return small


def picture_mistakes(
    measured: ValidationMeasured, store: PixelStore, preprocess: Preprocess, rows: npt.NDArray[np.intp]
) -> MistakesSeen:
    """Return the surest mistakes with their pictures; ``rows`` are the positions in the store of what was measured."""
    wrong = np.flatnonzero(measured.predicted != measured.labels)
    wrong = wrong[np.argsort(-measured.confidence[wrong], kind="stable")][:_MISTAKES]
    found = [(wrong[place], preprocess.finish(picture)) for place, picture in store.readable(rows[wrong])]
    side = preprocess.size
    pictures = np.stack([picture for _, picture in found]) if found else np.zeros((0, side, side, 3), np.uint8)
    chosen = np.array([place for place, _ in found], np.intp)
    said = (measured.labels[chosen], measured.predicted[chosen], measured.confidence[chosen])
    return MistakesSeen(measured.epoch, pictures, *said)
