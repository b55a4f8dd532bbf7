"""What else is found out about a classifier: calibration, novelty, nearest training images, doubtful labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.evaluation.abstain import leave_one_out
from sightline.evaluation.conformal import describe_sets
from sightline.evaluation.label_errors import find_label_errors
from sightline.evaluation.result import Evaluation
from sightline.evaluation.slices import find_slices
from sightline.measuring.columns import slice_columns
from sightline.measuring.evaluate import describe_trust
from sightline.pipeline.calibrate import Calibrated
from sightline.pixels.non_images import NON_IMAGES, make_non_images
from sightline.runtime.classifier import Classifier

__all__ = ["judge_evaluation", "reject_non_images"]

_NEIGHBOURS = 10
_BLOCK = 2_048  # images that are compared at once
_BATCH = 4  # non-images at once
_DOUBTS = 100  # doubtful labels that are named

Features = npt.NDArray[np.float32]


def judge_evaluation(
    evaluation: Evaluation,
    calibrated: Calibrated,
    classifier: Classifier,
    samples: Samples,
    rows: npt.NDArray[np.intp],
) -> Evaluation:
    """Return the evaluation with calibration, thresholds, nearest training images and doubtful labels added.

    Args:
        evaluation: of the exported classifier on images that had no say in it.
        calibrated: what was fitted on validation.
        classifier: the exported one.
        samples: that training and measured images are of.
        rows: positions in ``samples`` of the measured images.
    """
    evaluation = describe_trust(evaluation, classifier)
    used, predictions = evaluation.used, evaluation.predictions
    labels, probabilities = evaluation.labels[used], predictions.probabilities[used]
    calibration = {"validation": calibrated.calibration.to_dict(), **evaluation.metrics["calibration"]}
    unknown = dict(evaluation.metrics["unknown"])
    distances = calibrated.novelty.distances(predictions.features[used])
    unknown["leave_one_out"] = leave_one_out(distances, labels)
    unknown["non_images"] = reject_non_images(classifier)
    nearest, votes = _find_nearest(predictions.features, calibrated, samples)
    places = np.flatnonzero(used)
    doubts = find_label_errors(probabilities, votes[used], labels)
    doubtful = [
        {"path": predictions.paths[places[place]], "suggested": predictions.classes[label], "score": float(score)}
        for place, label, score in zip(doubts.rows, doubts.suggested, doubts.scores, strict=True)
    ][:_DOUBTS]
    found = find_slices(evaluation.hits, slice_columns(samples, rows[used]), units=evaluation.used_units)
    mass, count = classifier.bundle.set_mass, calibrated.calibration.count
    sets = None if mass is None else describe_sets(labels, probabilities, mass, count, evaluation.used_units).to_dict()
    counted = {"doubtful_labels": doubtful, "count_doubtful": len(doubts.rows)}
    judged = evaluation.with_values(
        calibration=calibration, unknown=unknown, slices=found.to_dict(), sets=sets, **counted
    )
    return judged.with_nearest(nearest)


def reject_non_images(classifier: Classifier) -> dict[str, dict[str, Any]]:
    """Return kind of non-image -> how many there are, and how many are called new, or are less sure than asked.

    This shows that the thresholds work at all; it is no evidence for other photos.
    """
    least = classifier.bundle.min_confidence
    found = {}
    for kind in NON_IMAGES:
        squares = make_non_images(kind, classifier.preprocess.size)
        answers = [classifier.run(squares[i : i + _BATCH]) for i in range(0, len(squares), _BATCH)]
        probabilities, _, novelty = (np.concatenate(column) for column in zip(*answers, strict=True))
        confidence = probabilities.max(1)
        found[kind] = {
            "n": len(squares),
            "new": int((novelty > classifier.bundle.novelty_limit).sum()),
            "unsure": None if least is None else int((confidence < least).sum()),
            "novelty": float(np.median(novelty)),
            "confidence": float(np.median(confidence)),
        }
    return found


def _find_nearest(features: Features, calibrated: Calibrated, samples: Samples) -> tuple[tuple[str, ...], Features]:
    """Return the path of the training image nearest to each by the cosine of features, and the ten nearest's votes."""
    known, classes = _units(calibrated.features), len(samples.classes)
    count = min(_NEIGHBOURS, len(known))
    labels = samples.labels[calibrated.rows]
    paths: list[str] = []
    votes = np.zeros((len(features), classes), np.float32)
    for start in range(0, len(features), _BLOCK):
        some = features[start : start + _BLOCK]
        ok = np.array(np.isfinite(some).all(axis=1), bool)
        cosines = _units(np.where(ok[:, None], some, 0)) @ known.T
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        np.add.at(votes, (np.arange(start, start + len(some))[:, None], labels[best]), np.float32(1 / count))
        nearest = calibrated.rows[cosines.argmax(1)]
        paths += [str(samples.paths[row]) if fine else "" for row, fine in zip(nearest, ok, strict=True)]
    return tuple(paths), votes


def _units(features: Features) -> Features:
    lengths: Features = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    return features / lengths
