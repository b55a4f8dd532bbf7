"""What a network learns about itself from images that it was not trained on: temperature, and what is new to it."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.data.split import calibration_rows
from sightline.data.units import number_units
from sightline.evaluation.abstain import (
    IMAGES_FOR_CONFIDENCE,
    IMAGES_FOR_NOVELTY,
    KEPT,
    TARGET_ERROR,
    Novelty,
    choose_confidence,
    count_witnesses,
    fit_novelty,
    new_shares,
)
from sightline.evaluation.calibration import Calibration, cool, fit_temperature
from sightline.evaluation.conformal import choose_mass
from sightline.evaluation.intervals import Units
from sightline.evaluation.shift import LabelledPredictions
from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.pipeline.trained import Trained
from sightline.pipeline.workbench import Workbench
from sightline.planning.ending import LEAST_REFERENCES, MOST_REFERENCES, SHARE_OF_TIME
from sightline.planning.plan import Plan

__all__ = ["Calibrated", "calibrate"]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What was found.

    Attributes:
        calibration: the temperature, and whether it helped.
        novelty: how far features are from those of the training.
        max_novelty: above it an image is called new; None where validation is too small to say so.
        min_confidence: from which on answers are wrong rarely enough; None where there is none.
        set_mass: up to which classes join a set of them; None where validation is too small.
        rows: ``[R]``, positions in the samples of the training images that were looked at.
        features: ``[R, D]`` of these.
        validation: what the calibrated network predicts for the validation images.
        validation_rows: ``[V]``, positions in the samples of these.
        validation_features: ``[V, D]`` of these.
    """

    calibration: Calibration
    novelty: Novelty
    max_novelty: float | None
    min_confidence: float | None
    set_mass: float | None
    rows: npt.NDArray[np.intp]
    features: npt.NDArray[np.float32]
    validation: LabelledPredictions
    validation_rows: npt.NDArray[np.intp]
    validation_features: npt.NDArray[np.float32]


def calibrate(trained: Trained, plan: Plan, workbench: Workbench) -> Generator[Event, None, Calibrated]:
    """Fit temperature, thresholds and the measure of novelty; the test images have no say in it.

    Args:
        trained: the network of the best epoch.
        plan, workbench: of its training.
    """
    samples, split, store = workbench.samples, workbench.split, workbench.store
    yield StageStarted("Calibrating", "temperature and thresholds, on validation images")
    start = time.monotonic()
    bad = {*store.errors, *samples.errors}
    val, train = (
        np.array([row for row in rows if row not in bad], np.intp)
        for rows in (calibration_rows(split, samples.labels), split.rows("train"))
    )
    random = np.random.default_rng(plan.settings.seed)
    train = random.permutation(train)[:MOST_REFERENCES]
    total = len(val) + len(train)
    seen = yield from trained.extract(workbench, val, total, 0)
    until = start + SHARE_OF_TIME * plan.settings.time if plan.settings.time else math.inf
    first, rest = np.split(train, [LEAST_REFERENCES])
    known = yield from trained.extract(workbench, first, total, len(val))
    if len(rest):
        more = yield from trained.extract(workbench, rest, total, len(val) + len(first), until)
        known = np.concatenate([known, more])
    if len(known) < len(train):
        message = f"novelty and nearest images rest on {len(known):,} of {len(train):,} training images"
        yield Warned("calibration.few-images", f"{message}, to keep the time limit", "give more time")
    train = train[: len(known)]
    logits, labels = trained.logits(seen), samples.labels[val]
    units = number_units(samples, val)
    calibration = fit_temperature(logits, labels, units, seed=plan.settings.seed)
    probabilities = cool(_softmax(logits), calibration.temperature)
    hits = probabilities.argmax(1) == labels
    least = choose_confidence(probabilities.max(1), hits, units=units)
    novelty = fit_novelty(known, samples.labels[train], len(samples.classes), seen, units)
    shares = new_shares(count_witnesses(len(val), units))
    answers = LabelledPredictions(labels, probabilities.argmax(1), probabilities.max(1), units)
    limit, mass = None if shares is None else 1.0, choose_mass(labels, probabilities)
    found = Calibrated(calibration, novelty, limit, least, mass, train, known, answers, val, seen)
    yield StageEnded("Calibrating", _describe(calibration), time.monotonic() - start)
    yield Noted(describe_confidence(least, TARGET_ERROR, hits))
    yield Noted(describe_novelty(shares, len(val), units))
    return found


def _describe(found: Calibration) -> str:
    losses = (
        f"log-loss {found.loss_before:.3f} without, {found.loss_after:.3f} with it, cross-fitted on {found.count:,}"
    )
    if found.temperature == 1:
        return f"no temperature: {found.fitted:.2f} would not help ({losses})"
    return f"temperature {found.temperature:.2f} ({losses})"


def describe_confidence(least: float | None, target: float, hits: npt.NDArray[np.bool_]) -> str:
    """Return what a threshold of confidence did on validation, in words.

    Args:
        least: the threshold; None: there is none.
        target: share of wrong answers that it was chosen for.
        hits: ``[N] bool`` of the validation images.
    """
    if least is None:
        if 1 - hits.mean() <= target or len(hits) < IMAGES_FOR_CONFIDENCE:
            few = f"{len(hits):,} validation images are too few to promise at most {target:.0%} wrong answers"
            return f"{few}: {IMAGES_FOR_CONFIDENCE} are needed at least, all of them right, and more with mistakes."
        return f"No confidence threshold promises at most {target:.0%} wrong answers, by the validation images."
    if least == 0:
        return f"All images can be answered: at most {target:.0%} of the answers are wrong, in 19 of 20 cases."
    words = f"at most {target:.0%} of the answers are wrong, in 19 of 20 cases"
    return f"From a confidence of {least:.2f} on, {words} (sightline predict MODEL IMAGES --min-confidence auto)."


def describe_novelty(shares: tuple[float, float] | None, count: int, units: Units | None = None) -> str:
    """Return what the limit of novelty promises, in words.

    Args:
        shares: as of ``new_shares``.
        count: validation images.
        units: of these; None: they are independent.
    """
    kind = "validation images" if units is None else f"validation images in {len(np.unique(units)):,} groups"
    if shares is None:
        few = f"{count:,} {kind} are too few for a limit of novelty: {IMAGES_FOR_NOVELTY} are needed"
        few += "" if units is None else f", and these count as {count_witnesses(count, units):,}"
        return f"{few}; no image is called new (sightline predict MODEL IMAGES --max-novelty NUMBER sets a limit)."
    low, high = (100 * share for share in shares)
    words = f"{low:.1f} to {high:.1f} of 100 are called new, in 9 of 10 cases"
    return f"Of images like the {count:,} {kind}, {words}; the aim is {100 * (1 - KEPT):.0f} or fewer."


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    shares: npt.NDArray[np.float32] = raised / raised.sum(1, keepdims=True)
    return shares
