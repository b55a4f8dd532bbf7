"""Validation beside test after a training: a warning with causes, and the accuracy without groups that are torn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sightline.data.split import Split
from sightline.evaluation.gap import Gap
from sightline.evaluation.intervals import proportion
from sightline.evaluation.result import evaluate_rows
from sightline.evaluation.shift import LabelledPredictions
from sightline.events import Warned
from sightline.pipeline.validation_gap import compare_with_validation, without_torn_groups
from sightline.runtime.predictions import Predictions
from sightline.steps import Steps

COUNT = 80  # images of each part
PARTS = np.repeat(np.array(["train", "val", "test"], object), COUNT)
ROWS = np.arange(3 * COUNT).reshape(3, COUNT)


def run(table, wrong, groups=(), shift=0.0):
    """Return (evaluation, warnings): of a test with so many mistakes, whose features are shifted off the training's."""
    random = np.random.default_rng(0)
    samples = table([0, 1] * (3 * COUNT // 2), groups=list(groups) or [""] * 3 * COUNT, given=PARTS)
    split = Split(PARTS, 0, "as given", (), "test", np.zeros(3 * COUNT, bool))
    train, val, test = (random.normal(1, 0.2, (COUNT, 8)).astype(np.float32) for _ in range(3))
    test[:, 0] += shift
    labels = samples.labels[ROWS[2]]
    said = np.where(np.arange(COUNT) < wrong, 1 - labels, labels)
    shares = np.eye(2, dtype=np.float32)[said] * 0.8 + np.float32(0.1)
    paths = tuple(samples.paths[ROWS[2]])
    evaluation = evaluate_rows(Predictions(samples.classes, paths, shares, test, (None,) * COUNT), labels)
    known = samples.labels[ROWS[1]]
    calibrated = SimpleNamespace(
        validation=LabelledPredictions(known, known, np.ones(COUNT, np.float32)),
        validation_rows=ROWS[1],
        validation_features=val,
        features=train,
    )
    steps = Steps(compare_with_validation(evaluation, calibrated, samples, split))
    warnings = list(steps)
    return without_torn_groups(steps.result, samples, split), warnings


def test_a_gap_is_warned_of_with_its_cause_and_kept_in_the_metrics(table) -> None:
    evaluation, (warned,) = run(table, 20, shift=6.0)
    assert isinstance(warned, Warned) and warned.code == "evaluation.validation-gap"
    assert "worse on the test than on validation" in warned.message and "Thresholds" in warned.message
    assert "validation images are nearer to training images" in warned.message and "--resplit" in warned.cure
    gap = Gap.of(evaluation.metrics)
    assert [cause.kind for cause in gap.causes] == ["nearness"] and gap.test.value == 0.75


def test_what_can_be_chance_is_kept_and_not_warned_of(table) -> None:
    evaluation, warnings = run(table, 2, shift=6.0)
    assert not warnings and Gap.of(evaluation.metrics) is None
    assert evaluation.metrics["validation_gap"]["p"] > 0.05
    assert "torn_groups" not in evaluation.metrics


def test_a_gap_without_a_cause_says_so(table) -> None:
    _, (warned,) = run(table, 20)
    assert "no difference in nearness" in warned.message and "mistakes" in warned.cure


@pytest.mark.parametrize("both", [0, 30, COUNT])
def test_images_whose_group_is_elsewhere_are_left_out_of_a_second_accuracy(table, both) -> None:
    groups = np.array([f"person-{row}" for row in range(3 * COUNT)], object)
    groups[ROWS[2][:both]] = groups[ROWS[0][:both]]
    groups[ROWS[1][0]] = groups[ROWS[2][-1]]  # validation has a person of the test too
    found = run(table, 20, groups)[0].metrics["torn_groups"]
    fresh = slice(both, COUNT - 1)
    hits = (np.arange(COUNT) >= 20)[fresh]
    assert (found["images"], found["count"]) == (COUNT - len(hits), COUNT)
    assert found["groups"] == len(set(groups[ROWS[2]]) & set(groups[ROWS[:2].ravel()]))
    assert found["accuracy"] == (proportion(hits).to_dict() if len(hits) else None)
