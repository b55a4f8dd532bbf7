"""Evaluate a classifier on corrupted images: blur, noise, compression, brightness, rotation, low resolution."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.choices import FindingChoices
from sightline.data.samples import Samples
from sightline.data.sources import Source
from sightline.data.units import number_units
from sightline.errors import DataError, InputError, UnreadableImage
from sightline.evaluation.corruption_drops import CorruptionDrop, Robustness, measure_drops
from sightline.evaluation.intervals import proportion
from sightline.events import Event, Noted, Progressed, StageEnded, StageStarted
from sightline.measuring.labelled_images import read_labelled
from sightline.pixels.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from sightline.reading.file_contents import contents_of
from sightline.reporting.page import write_page
from sightline.runs.damage import named_damage
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.lookup import run_of_classifier
from sightline.runs.moved import open_moved, refuse_gone
from sightline.runs.targets import refuse_folder_target
from sightline.runs.unchanged import refuse_changed
from sightline.runs.writer import RunWriter
from sightline.runtime.classifier import Classifier

__all__ = ["measure_robustness"]

_CHUNK = 32  # images at once
_SEED = 0
_NO_CHOICES = FindingChoices()


@dataclass(frozen=True, slots=True)
class _Subject:
    """The images to be measured: rows of ``samples``, and their classes as the classifier counts them."""

    samples: Samples
    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.int64]
    part: str


def measure_robustness(
    classifier: Classifier,
    source: Source | None,
    most: int,
    moved_to: str | Path = "",
    finding: FindingChoices = _NO_CHOICES,
    group: str | None = None,
) -> Generator[Event, None, Robustness]:
    """Return the accuracy on images as they are and under each corruption, with what each costs on the same images.

    The corruptions are done to the square that the network sees, after Hendrycks and Dietterich 2019 (arXiv
    1903.12261). Without a source the run's own measured images are taken, the result is written into the run, and its
    report is made again.

    Args:
        classifier: the exported one: its predictions are measured.
        source: labelled images, or None for those that its run measured it on.
        most: images at most, drawn evenly; each is predicted 25 times.
        moved_to: folder where the run's own images are now, if they moved.
        finding: how folders are read, and what is left out.
        group: which images of the source belong together, see :func:`~sightline.measuring.grouping.group_measured`.

    Raises:
        InputError: if no source is given and the classifier is outside its run, or a group is given without a source,
            or ``most`` is less than 1.
        DataError: if the source has a class that the classifier does not know, or nothing is left to measure.
    """
    if most < 1:
        raise InputError("robustness.count", f"{most} images can't be measured", "give --images 500, for example")
    if source is None and group is not None:
        message = "--group is for images that are named; those of the run are in the groups of its training"
        raise InputError(
            "robustness.group", message, "leave out --group, or name labelled images beside the classifier"
        )
    run = _own_run(classifier, moved_to) if source is None else None
    found = _own_images(run) if run is not None else (yield from _given_images(classifier, source, finding, group))
    total = len(found.rows)
    chosen = np.linspace(0, total - 1, min(most, total)).astype(np.intp) if total else np.zeros(0, np.intp)
    subject = _Subject(found.samples, found.rows[chosen], found.labels[chosen], found.part)
    drawn = "" if len(chosen) == total else f", drawn evenly from {total:,}"
    yield Noted(f"Measured on {len(chosen):,} images of the {subject.part} part{drawn}; each is predicted 25 times.")
    right, bad = yield from _predict_all(classifier, subject)
    if not right.shape[1]:
        raise DataError("evaluation.no-images", f"of {total} images none can be measured", "give readable images")
    measured = _summed(right, subject, bad, total)
    if run is not None:
        writer = RunWriter.open(run)
        try:
            writer.write_robustness(measured)
            yield from write_page(run)
        finally:
            writer.close()
    return measured


def _own_run(classifier: Classifier, moved_to: str | Path) -> Run:
    """Return the run of a classifier, whose images are there, and into which can be written."""
    run = run_of_classifier(classifier.path)
    if run is None:
        raise InputError(
            "robustness.no-images",
            "the classifier is outside its run, so the images that it was evaluated on are not known",
            "name labelled images too: sightline robustness MODEL DATA",
        )
    refuse_changed(run, run.model_file, run.samples_file, run.split_file)
    refuse_folder_target(run.folder, "measure a copy of the run's folder")
    run = open_moved(run, moved_to)
    refuse_gone(run, "robustness", least=0)
    return run


def _own_images(run: Run) -> _Subject:
    """Return the images that a run measured its classifier on, without those that the training saw too."""
    with named_damage(run.folder, run.folder):
        samples, split = read_dataset(run)
        rows = split.rows(split.headline)
        rows = rows[~split.leaked[rows]]
    return _Subject(samples, rows, samples.labels[rows], split.headline)


def _given_images(
    classifier: Classifier, source: Source, finding: FindingChoices, group: str | None
) -> Generator[Event, None, _Subject]:
    """Return the test part of a source, or all its images, without those that the training saw."""
    found = yield from read_labelled(classifier, source, group, finding=finding)
    kept = ~found.leaked
    return _Subject(found.samples, found.rows[kept], found.labels[kept], found.part)


def _predict_all(
    classifier: Classifier, subject: _Subject
) -> Generator[Event, None, tuple[npt.NDArray[np.bool_], list[str]]]:
    """Return ``[25, N]``, whether each readable image is right, as it is and under each change; and the unreadable."""
    changes = [("", 0), *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES)]
    yield StageStarted("Measuring", f"{len(subject.rows):,} images under {len(changes) - 1} changes")
    start, bad, columns = time.monotonic(), [], []
    stream = classifier.squares(contents_of(subject.samples, subject.rows))
    for first in range(0, len(subject.rows), _CHUNK):
        rows, labels = subject.rows[first : first + _CHUNK], subject.labels[first : first + _CHUNK]
        seen = list(islice(stream, len(rows)))
        is_bad = np.array([isinstance(square, UnreadableImage) for square in seen])
        bad += [str(path) for path in subject.samples.paths[rows[is_bad]]]
        squares = [square for square in seen if not isinstance(square, UnreadableImage)]
        right = np.zeros((len(changes), len(squares)), bool)
        for place, (name, severity) in enumerate(changes if squares else []):
            corrupted = [corrupt(square, name, severity, seed=_SEED) for square in squares]
            right[place] = classifier.answer(corrupted).probabilities.argmax(1) == labels[~is_bad]
            yield Progressed(
                first * len(changes) + (place + 1) * len(rows), len(subject.rows) * len(changes), "predictions"
            )
        columns.append(right)
    yield StageEnded("Measuring", f"{len(subject.rows) - len(bad):,} images", time.monotonic() - start)
    return np.concatenate([np.zeros((len(changes), 0), bool), *columns], 1), bad


def _summed(right: npt.NDArray[np.bool_], subject: _Subject, bad: list[str], total: int) -> Robustness:
    changes = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    unread = {*bad}
    rows = np.array([row for row in subject.rows if str(subject.samples.paths[row]) not in unread], np.intp)
    units = number_units(subject.samples, rows)
    drops = measure_drops(right[0], list(right[1:]), units)
    rows_of = zip(changes, drops, strict=True)
    return Robustness(
        part=subject.part,
        count=right.shape[1],
        count_all=total,
        count_bad=len(bad),
        bad=tuple(bad[:20]),
        seed=_SEED,
        example=str(subject.samples.paths[rows[0]]),
        accuracy=proportion(right[0], units),
        rows=tuple(CorruptionDrop(name, s, CORRUPTIONS[name].describe(s), drop) for (name, s), drop in rows_of),
    )
