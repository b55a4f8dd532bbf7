"""Labelled images that a finished classifier is measured on: read, in groups, and what its training saw marked."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.choices import FindingChoices
from sightline.data.samples import Samples
from sightline.data.sources import Source
from sightline.errors import DataError
from sightline.events import Event, Noted
from sightline.measuring.columns import read_columns
from sightline.measuring.grouping import group_measured
from sightline.measuring.seen_images import find_seen
from sightline.reading.source import DataChoices, inspect_source
from sightline.runs.folder import Run
from sightline.runs.lookup import run_of_classifier
from sightline.runs.unchanged import refuse_changed
from sightline.runtime.classifier import Classifier

__all__ = ["LabelledImages", "read_labelled"]

_NO_CHOICES = FindingChoices()


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Images to measure.

    Attributes:
        samples: inspected, in groups.
        rows: ``[N]``, positions in them of the images to measure.
        labels: ``[N] int64``, of these, as positions in the classifier's classes.
        leaked: ``[N] bool``: those that its training saw, as the same file, a near-duplicate or a version.
        part: ``test`` where the source has such a part, else ``whole``.
        run: that the classifier is of; None: it is in none.
    """

    samples: Samples
    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.int64]
    leaked: npt.NDArray[np.bool_]
    part: str
    run: Run | None


def read_labelled(
    classifier: Classifier,
    source: Source,
    group: str | None = None,
    columns: str | Path = "",
    finding: FindingChoices = _NO_CHOICES,
) -> Generator[Event, None, LabelledImages]:
    """Read the test part of a source, or all its images where it has none; say by which rule they are in groups.

    If the classifier is in its run, images that its training saw are found, and told.

    Args:
        classifier: that is to be measured.
        source: labelled images.
        group: which images belong together, see :func:`~sightline.measuring.grouping.group_measured`.
        columns: CSV of what images have in common, see :func:`~sightline.measuring.columns.read_columns`; empty: none.
        finding: how folders are read, and what is left out.

    Raises:
        DataError: if the source has a class that the classifier does not know.
    """
    run = run_of_classifier(classifier.path)
    if run is not None:
        refuse_changed(run, run.model_file, run.samples_file, run.split_file, run.earlier_file)
    choices = DataChoices.found_by(finding, value_range=classifier.preprocess.value_range)
    samples = yield from inspect_source(source, choices, compare=False, least_classes=1)
    number = _number_classes(classifier, samples)
    rows = np.flatnonzero(samples.given == "test")
    part = "test" if len(rows) else "whole"
    rows = rows if len(rows) else np.arange(len(samples))
    given = "the given test part" if len(rows) < len(samples) else "all images"
    yield Noted(f"The data to measure on: {given}, {len(rows):,}.")
    if columns:
        samples, named = read_columns(samples, columns)
        yield Noted(f"{columns} names {int(named[rows].sum()):,} of these {len(rows):,} images.")
    samples = yield from group_measured(samples, group, run)
    seen = yield from find_seen(samples, rows, run, choices.value_range)
    return LabelledImages(seen.samples, rows, number[samples.labels[rows]], seen.exact | seen.alike, part, run)


def _number_classes(classifier: Classifier, samples: Samples) -> npt.NDArray[np.int64]:
    """Return ``[K]``: for each class of the samples its position in the classifier's, by name.

    Raises:
        DataError: if the classifier does not know one of them.
    """
    strange = [name for name in samples.classes if name not in classifier.classes]
    if strange:
        raise DataError(
            "evaluation.unknown-class",
            f"the classifier does not know class {', '.join(map(repr, strange[:5]))}; "
            f"it knows {', '.join(map(repr, classifier.classes[:8]))}",
            "rename or leave out these folders",
        )
    return np.array([classifier.classes.index(name) for name in samples.classes], np.int64)
