"""Predict images whose classes are known, and prepare what the metrics are compared with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.choices import FindingChoices
from sightline.data.links import FOLLOW, describe_links
from sightline.data.samples import Samples
from sightline.data.sources import Source, describe_source, find_images
from sightline.data.units import number_units
from sightline.errors import DataError, RunError
from sightline.evaluation.abstain import describe_unknown, separation
from sightline.evaluation.calibration import describe_calibration
from sightline.evaluation.intervals import Interval, proportion
from sightline.evaluation.result import Evaluation, evaluate_rows
from sightline.evaluation.slices import find_slices
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
from sightline.measuring.columns import describe_columns, slice_columns
from sightline.measuring.labelled_images import read_labelled
from sightline.pixels.cache import PixelStore
from sightline.pixels.preprocess import Preprocess
from sightline.reading.file_contents import contents_of
from sightline.runs.folder import Run
from sightline.runs.kept import KeptEvaluation, write_facts
from sightline.runs.ledger import MANY_EVALUATIONS, count_evaluation, fingerprint_of
from sightline.runs.lookup import run_of_classifier
from sightline.runs.targets import refuse_folder_target
from sightline.runs.writer import keep_evaluation, numbered_folder
from sightline.runtime.classifier import Classifier
from sightline.runtime.predictions import Predictions

__all__ = [
    "count_evaluations",
    "describe_trust",
    "evaluate_samples",
    "evaluate_source",
    "show_mistakes",
    "small_images",
]

_MISTAKES = 16
_NO_CHOICES = FindingChoices()


def evaluate_source(
    classifier: Classifier,
    source: Source,
    unknown: str | Path = "",
    out: str | Path = "",
    columns: str | Path = "",
    group: str | None = None,
    finding: FindingChoices = _NO_CHOICES,
) -> Generator[Event, None, Evaluation]:
    """Evaluate on the test part of a source, or on all its images where it has none.

    If the classifier is in its run, images that its training saw, as the same file, a near-duplicate or a version, are
    found, and left out of the metrics, which is reported; metrics and predictions are kept there, or in ``out``.

    Args:
        classifier: what is measured.
        source: labelled images.
        unknown: folder of images that show none of the classes; empty: none.
        out: folder to keep metrics and predictions in; it must not be there, or be empty.
        columns: CSV of what images have in common, see :func:`~sightline.measuring.columns.read_columns`; empty: none.
        group: which images belong together, see :func:`~sightline.measuring.grouping.group_measured`.
        finding: how folders are read, and what is left out.

    Raises:
        DataError: if the source has a class that the classifier does not know, or nothing is left to measure.
    """
    folder = Path(out)
    if out and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError("run.exists", f"{out} exists already, and is not empty", "choose another --out")
    run = run_of_classifier(classifier.path)
    if out:
        refuse_folder_target(folder, "choose another --out")
    elif run is not None:
        refuse_folder_target(run.evaluations_folder, "keep the evaluation elsewhere: --out FOLDER")
    foreign, left_out = find_images(Path(unknown), finding) if unknown else ([], [])
    if unknown and not foreign:
        message = f"{unknown} holds no images"
        raise DataError("evaluation.no-unknown", message, "give a folder of images of other things")
    if links := describe_links(Path(), str(unknown), left_out):
        yield Warned("data.links", f"{links}; they are not followed", FOLLOW)
    found = yield from read_labelled(classifier, source, group, columns, finding)
    samples, rows = found.samples, found.rows
    measured = evaluate_samples(classifier, samples, rows, found.labels, found.leaked)
    evaluation = describe_trust((yield from measured), classifier)
    evaluation = yield from count_evaluations(evaluation, samples, rows)
    if unknown:
        evaluation = yield from _measure_unknown(evaluation, classifier, foreign)
    used = rows[evaluation.used]
    slices = find_slices(evaluation.hits, slice_columns(samples, used), units=evaluation.used_units)
    evaluation = evaluation.with_values(slices=slices.to_dict())
    yield from describe_columns(samples, used, evaluation.hits, evaluation.used_units)
    yield from _keep(evaluation, classifier, found.run, samples, describe_source(source), out)
    return evaluation


def describe_trust(evaluation: Evaluation, classifier: Classifier) -> Evaluation:
    """Return the evaluation with what temperature and thresholds of the classifier do on its images."""
    used, predictions, bundle = evaluation.used, evaluation.predictions, classifier.bundle
    labels, probabilities, target = evaluation.labels[used], predictions.probabilities[used], bundle.target_error
    units = evaluation.used_units
    return evaluation.with_values(
        calibration=describe_calibration(labels, probabilities, bundle.temperature, units),
        unknown=describe_unknown(
            labels,
            probabilities,
            predictions.novelty[used],
            bundle.min_confidence,
            target,
            units,
            bundle.max_novelty,
        ),
    )


def count_evaluations(
    evaluation: Evaluation, samples: Samples, rows: npt.NDArray[np.intp], *, is_counted: bool = True
) -> Generator[Event, None, Evaluation]:
    """Count this evaluation of the images, and warn where many classifiers were evaluated on them.

    Args:
        evaluation: of the images at ``rows`` of ``samples``.
        is_counted: False where it can't have a part in a choice: the classifier beside the one that ships.
    """
    names = np.array(evaluation.predictions.classes, object)[evaluation.labels]
    test_set = fingerprint_of(zip(samples.digests[rows].tolist(), names.tolist(), strict=True))
    # By its answers: a file that differs in a threshold or a date alone is the same classifier.
    order = np.argsort(samples.digests[rows].astype(str), kind="stable")
    answers = np.round(evaluation.predictions.probabilities[order].astype(np.float64), 4)
    digest = hashlib.sha256(np.nan_to_num(answers, nan=-1.0).tobytes()).hexdigest()
    count = count_evaluation(test_set, digest if is_counted else None)
    if count is not None and count >= MANY_EVALUATIONS:
        message = f"{count} classifiers were evaluated on these images: the best result is too optimistic"
        cure = "choose by validation metrics, and keep new images for the end"
        yield Warned("evaluation.many-evaluations", message, cure)
    return evaluation.with_values(test_set=test_set, count_evaluations=count)


def _measure_unknown(
    evaluation: Evaluation, classifier: Classifier, paths: list[Path]
) -> Generator[Event, None, Evaluation]:
    """Return the evaluation with how well images that show none of the classes are separated from the measured ones."""
    yield StageStarted("Evaluating", f"{len(paths):,} images that show none of the classes")
    start = time.monotonic()
    foreign = classifier.predict(paths)
    known, ok = evaluation.predictions, foreign.is_ok
    if not ok.any():
        raise DataError(
            "evaluation.no-unknown", f"no image of {paths[0].parent} can be read", "give images that can be read"
        )
    confidence, least = foreign.probabilities.max(1)[ok], classifier.bundle.min_confidence
    found: dict[str, Any] = {
        "count": len(paths),
        "count_bad": foreign.count_bad,
        "new": proportion(foreign.novelty[ok] > classifier.bundle.novelty_limit).to_dict(),
        "unsure": None if least is None else proportion(confidence < least).to_dict(),
        "auroc_novelty": separation(known.novelty[evaluation.used], foreign.novelty[ok]),
        "auroc_confidence": separation(-known.probabilities[evaluation.used].max(1), -confidence),
    }
    said = f"{Interval(**found['new'])} of them recognised as new"
    if classifier.bundle.max_novelty is None:
        said = "none can be recognised as new: validation was too small for a limit of novelty"
    yield StageEnded("Evaluating", said, time.monotonic() - start)
    return evaluation.with_values(unknown={**evaluation.metrics["unknown"], "foreign": found})


def _keep(
    evaluation: Evaluation, classifier: Classifier, run: Run | None, samples: Samples, source: str, out: str | Path
) -> Generator[Event, None, None]:
    """Write metrics, predictions and a page where they were asked for, or into the classifier's run."""
    from sightline.reporting.page import write_evaluation_page

    if out:
        folder = Path(out)
    elif run is not None:
        folder = numbered_folder(run.evaluations_folder, Path(source).stem)
    else:
        yield Noted("Metrics and predictions are not kept: the classifier is not in a run; --out FOLDER keeps them.")
        return
    keep_evaluation(folder, evaluation.metrics, evaluation.columns(), evaluation.predictions.probabilities)
    bundle = classifier.bundle
    facts = {
        "classifier": str(classifier.path),
        "digest": classifier.digest,
        "model": bundle.model,
        "classes": list(bundle.classes),
        "data": source,
        "data_root": str(samples.root.resolve()),
        "value_range": bundle.preprocess.value_range,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"sightline": version("sightline")},
    }
    write_facts(folder, facts)
    page = write_evaluation_page(KeptEvaluation(folder))
    yield Noted(f"Metrics and predictions are kept in {folder}; as a page: {page}.")


def evaluate_samples(
    classifier: Classifier,
    samples: Samples,
    rows: npt.NDArray[np.intp],
    labels: npt.NDArray[np.int64],
    leaked: npt.NDArray[np.bool_],
) -> Generator[Event, None, Evaluation]:
    """Predict images whose classes are known and return every metric.

    A file whose content is not the one that was inspected is an error row: what it shows now, and whether the
    training saw that, nobody knows.

    Args:
        classifier: the exported one: its predictions are measured.
        samples: inspected.
        rows: positions in ``samples`` of the images to measure.
        labels: of these, positions in the classifier's classes.
        leaked: of these, whether they were trained on; the metrics leave them out.
    """
    yield StageStarted("Evaluating", f"{len(rows):,} images with the exported classifier")
    start, parts, done = time.monotonic(), [], 0
    for part in classifier.predict_stream(contents_of(samples, rows)):
        parts.append(part)
        done += len(part)
        yield Progressed(done, len(rows), "images")
    predictions = Predictions.join(parts)
    names = tuple(str(samples.paths[row]) for row in rows)
    evaluation = evaluate_rows(replace(predictions, paths=names), labels, leaked, number_units(samples, rows))
    yield StageEnded("Evaluating", str(evaluation.accuracy), time.monotonic() - start)
    return evaluation


def small_images(
    store: PixelStore, preprocess: Preprocess, rows: npt.NDArray[np.intp], most: int | None
) -> dict[int, Any]:
    """Return position in ``rows`` -> a 16 x 16 image as a vector, for the baseline; at most ``most``, evenly."""
    from PIL import Image

    step = max(1, len(rows) // most) if most else 1
    small = {}
    for place, image in store.readable(rows[::step]):
        square = Image.fromarray(preprocess.finish(image))
        small[place * step] = np.asarray(square.resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
    return small


def show_mistakes(
    measured: ValidationMeasured, store: PixelStore, preprocess: Preprocess, rows: npt.NDArray[np.intp]
) -> MistakesSeen:
    """Return the surest mistakes with their images; ``rows`` are the positions in the store of what was measured."""
    wrong = np.flatnonzero(measured.predicted != measured.labels)
    wrong = wrong[np.argsort(-measured.confidence[wrong], kind="stable")][:_MISTAKES]
    found = [(wrong[place], preprocess.finish(image)) for place, image in store.readable(rows[wrong])]
    side = preprocess.size
    images = np.stack([image for _, image in found]) if found else np.zeros((0, side, side, 3), np.uint8)
    chosen = np.array([place for place, _ in found], np.intp)
    columns = (measured.labels[chosen], measured.predicted[chosen], measured.confidence[chosen])
    return MistakesSeen(measured.epoch, images, *columns)
