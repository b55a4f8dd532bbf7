"""Sets hold the truth as often as promised, by simulation; ties and the size of sets by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.evaluation.conformal import SETS_FROM, PredictionSets, choose_mass, describe_sets, mass_before
from sightline.runtime.predictions import Predictions


def draw(n: int, *, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that are ``sharpness`` times too sure."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (n, 5))
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (truth.cumsum(1) > random.random((n, 1))).argmax(1)
    said = np.exp(logits * sharpness) / np.exp(logits * sharpness).sum(1, keepdims=True)
    return labels, said.astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_coverage_holds_whatever_the_probabilities_are_worth(sharpness: float) -> None:
    covered = []
    for seed in range(60):
        mass = choose_mass(*draw(300, seed=2 * seed, sharpness=sharpness))
        assert mass is not None
        told = describe_sets(*draw(500, seed=2 * seed + 1, sharpness=sharpness), mass, 300)
        covered.append(told.coverage.value)
    assert 0.89 <= np.mean(covered) <= 0.925


def test_the_band_is_that_of_so_many_validation_images() -> None:
    labels, said = draw(50, seed=0)
    low, high = describe_sets(labels, said, 0.5, 1_000).band
    assert (round(low, 3), round(high, 3)) == (0.884, 0.915)  # as published


def test_few_images_promise_nothing() -> None:
    assert choose_mass(*draw(SETS_FROM - 1, seed=0)) is None


def test_a_set_takes_classes_until_the_mass_is_full() -> None:
    said = np.array([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.4, 0.4, 0.2]], np.float32)
    assert mass_before(np.array([2, 1, 1]), said) == pytest.approx(
        [0.8, 0.9, 0.4]
    )  # of equal ones the first class is first
    told = describe_sets(np.array([2, 0, 1]), said, 0.6, 300)
    assert told.sizes == (1, 2, 0, 0, 0)  # two, one and two classes
    assert told.mean_size == pytest.approx(5 / 3)
    assert told.coverage.value == pytest.approx(2 / 3)
    assert PredictionSets.from_dict(json.loads(json.dumps(told.to_dict()))) == told


def test_equal_probabilities_promise_no_more_than_they_hold() -> None:
    random = np.random.default_rng(0)
    said = np.full((600, 2), 0.5, np.float32)
    mass = choose_mass(random.integers(0, 2, 300), said[:300])
    assert mass is not None
    told = describe_sets(random.integers(0, 2, 300), said[300:], mass, 300)
    sets = Predictions(("a", "b"), ("x",) * 300, said[300:], np.zeros((300, 1), np.float32), (None,) * 300).sets(mass)
    assert told.coverage.value == 1 and told.mean_size == 2 == len(sets[0])
