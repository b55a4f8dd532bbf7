"""Which images are measured, and which mistakes are shown after an epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import sightline
from finished import write_colours
from sightline.evaluation.result import evaluate_rows
from sightline.events import StageEnded, ValidationMeasured
from sightline.measuring.evaluate import count_evaluations, evaluate_source, show_mistakes
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.predictions import Predictions
from sightline.steps import result_of


class Store:
    """Images of one grey each, their position; one can't be read."""

    def __init__(self, unreadable: int = -1) -> None:
        self.unreadable = unreadable

    def readable(self, rows):
        for place, row in enumerate(rows):
            if row != self.unreadable:
                yield place, np.full((8, 8, 3), row, np.uint8)


def test_the_same_answers_are_those_of_one_classifier(table) -> None:
    samples, rows, labels = table([0, 1, 0]), np.arange(3), np.array([0, 1, 0])
    one = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)

    def count(probabilities: np.ndarray, order: np.ndarray = rows) -> int:
        said = Predictions(("a", "b"), tuple("xyz"), probabilities[order], np.zeros((3, 0), np.float32), (None,) * 3)
        evaluation = evaluate_rows(said, labels[order])
        return result_of(count_evaluations(evaluation, samples, order)).metrics["count_evaluations"]

    assert count(one) == 1
    assert count(one + np.float32(1e-7)) == 1  # another file with the same network: a threshold or a date differs
    assert count(one, np.array([2, 0, 1])) == 1
    assert count(one[:, ::-1]) == 2


def measured(count: int) -> ValidationMeasured:
    labels = np.zeros(count, np.int64)
    predicted = np.arange(count) % 2  # every other one is wrong
    return ValidationMeasured(3, labels, predicted, (np.arange(count) / 100).astype(np.float32))


def test_the_surest_mistakes_come_first_with_their_own_images():
    rows = np.arange(100, 140)
    shown = show_mistakes(measured(40), Store(), Preprocess(size=8, resize=8), rows)
    assert shown.epoch == 3 and shown.images.shape == (16, 8, 8, 3)
    assert shown.images[:, 0, 0, 0].tolist() == [139 - 2 * k for k in range(16)]
    assert (shown.predicted == 1).all() and (shown.labels == 0).all()
    assert np.allclose(shown.confidence, [0.39 - 0.02 * k for k in range(16)])


def test_one_that_can_not_be_read_any_more_is_left_out():
    shown = show_mistakes(measured(6), Store(unreadable=3), Preprocess(size=8, resize=8), np.arange(6))
    assert shown.images[:, 0, 0, 0].tolist() == [5, 1]
    assert np.allclose(shown.confidence, [0.05, 0.01])


def test_without_a_mistake_there_is_no_image():
    said = measured(1)
    shown = show_mistakes(said, Store(), Preprocess(size=8, resize=8), np.arange(1))
    assert shown.images.shape == (0, 8, 8, 3) and len(shown.confidence) == 0


def test_of_given_parts_the_test_part_is_measured(finished_run, tmp_path):
    for seed, (part, count) in enumerate({"train": 2, "val": 3, "test": 4}.items()):
        write_colours(tmp_path / "new" / part, count, seed=20 + seed)
    found = sightline.evaluate(finished_run.folder, tmp_path / "new", out=tmp_path / "kept", quiet=True)
    assert found.accuracy.n == 12
    assert {path.partition("/")[0] for path in found.predictions.paths} == {"test"}


def test_without_a_limit_of_novelty_none_is_said_to_be_recognised_as_new(finished_run, colours, tmp_path):
    classifier = finished_run.classifier()
    classifier.bundle = replace(classifier.bundle, max_novelty=None)
    events = list(evaluate_source(classifier, str(colours), unknown=colours / "red", out=tmp_path / "kept"))
    (said,) = [event.detail for event in events if isinstance(event, StageEnded) and "as new" in event.detail]
    assert said.startswith("none can be recognised as new") and "%" not in said
