"""The third step of a training without torch: a head is fitted on the features of a frozen network."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np

from sightline.data.split import selection_rows
from sightline.events import (
    HEAD_FITTED,
    CheckpointSaved,
    EpochEnded,
    Event,
    Noted,
    Progressed,
    StageEnded,
    StageStarted,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.networks.frozen import build_frozen
from sightline.pipeline.frozen_trained import FrozenTrained
from sightline.pipeline.keeper import Keeper
from sightline.pipeline.rehearse import rehearse_finish
from sightline.pipeline.trained import Features
from sightline.pipeline.workbench import Session, Workbench
from sightline.pixels.limits import squares_at_once
from sightline.planning.budget import too_short
from sightline.planning.plan import Plan
from sightline.steps import Steps
from sightline.training.logistic import HeadFit, fit_part, mixed_order

__all__ = ["fit_head_alone"]


def fit_head_alone(plan: Plan, workbench: Workbench, session: Session) -> Generator[Event, None, Plan]:
    """Fit a head on frozen features, as the first stage of a training with torch does; it is in the run's folder then.

    Args:
        plan: of the training.
        workbench: the images and the weights; no test image is in reach.
        session: of this training.

    Returns:
        The plan, as it was.

    Raises:
        InputError: if too little time is left.
    """
    weights, settings = workbench.weights, plan.settings
    assert weights is not None, "a head alone needs pretrained features"
    classes = len(workbench.samples.classes)
    network = build_frozen(settings, classes, weights.path, is_run=weights.rows is not None)
    trained = FrozenTrained(network, plan)
    until = math.inf
    if not math.isinf(session.ends):
        closing = yield from rehearse_finish(session.writer.run, plan, workbench, trained)
        until = session.ends - closing
        _refuse_too_short(trained, workbench, until)
    yield StageStarted("Training", f"a head on features of {settings.model}")
    start = time.monotonic()
    keeper = Keeper(plan, workbench, session)
    yield from keeper.relay(_fit(trained, workbench, session, until))
    yield StageEnded("Training", keeper.describe_gain(), time.monotonic() - start)
    return plan


def _refuse_too_short(trained: FrozenTrained, workbench: Workbench, until: float) -> None:
    """Raise ``InputError`` where there is no time for a head; what is in the cache takes none."""
    settings, costs = trained.plan.settings, workbench.costs
    assert costs is not None
    left = until - time.monotonic()
    train, val = (trained.count_missing(workbench, workbench.split.rows(part)) for part in ("train", "val"))
    least = (val + min(train, squares_at_once(settings.size))) * costs.feature + costs.fit
    if left < least:
        raise too_short(settings.time, left, least)


def _fit(trained: FrozenTrained, workbench: Workbench, session: Session, until: float) -> Generator[Event, None, None]:
    """Compute features, fit the head, and save it; the events are those of ``train_network`` without epochs."""
    from scipy.special import softmax

    start, settings = time.monotonic(), trained.plan.settings
    samples, split, run = workbench.samples, workbench.split, session.writer.run
    train, val = split.rows("train"), selection_rows(split, samples.labels)
    order = np.arange(len(train))
    if not math.isinf(until):  # where time ends early, the images that were seen are of all classes
        order = mixed_order(samples.labels[train])
    total = len(train) + len(val)
    known: list[int] = []  # how many features the cache had, of validation and of training
    val_features = yield from _noting(known, trained.extract(workbench, val, total, 0), 0)
    fit_until = until - (workbench.costs.fit if workbench.costs else 0.0)
    extracting = trained.extract(workbench, train[order], total, len(val), fit_until)
    features = yield from _noting(known, extracting, len(val))
    computed = len(val_features) + len(features) - sum(known)
    if sum(known):
        yield Noted(f"Features: {sum(known):,} of {total:,} images are in the cache, and were not computed again.")
    labels, even, groups = samples.labels, settings.imbalance != "none", trained.network.feature_groups
    how = HeadFit(len(samples.classes), even, groups, settings.head_strength)
    head, metrics = yield from fit_part(features, labels[train], order, val_features, labels[val], how)
    trained = replace(trained, network=trained.network.with_head(head.weight, head.bias, head.scale))
    if not session.is_trial:
        trained.save(run, *metrics[2:])
    answers = softmax(head.logits(val_features), axis=1)
    yield ValidationMeasured(0, labels[val], answers.argmax(1), answers.max(1))
    seconds = time.monotonic() - start
    yield EpochEnded(0, 0, *metrics, 0.0, seconds, computed / max(1e-9, seconds), True)
    yield CheckpointSaved(str(run.best_checkpoint), 0, metrics[2])
    yield TrainingStopped(HEAD_FITTED, 0, seconds)


def _noting(
    known: list[int], extracting: Generator[Progressed, None, Features], done: int
) -> Generator[Event, None, Features]:
    """Pass events on, and add to ``known`` how many features the first one says are there already."""
    steps = Steps(extracting)
    for place, event in enumerate(steps):
        if place == 0:
            known.append(event.done - done)
        yield event
    return steps.result
