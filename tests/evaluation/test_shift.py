"""Recall on validation and test: planted changes are found, chance is not; scipy and statsmodels are the oracles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from sightline.evaluation.shift import LabelledPredictions, compare_recalls

CLASSES = 4


def drawn(recalls: list[float], count: int, seed: int, units: np.ndarray | None = None) -> LabelledPredictions:
    """Return predictions of ``count`` images a class, right with the class's recall."""
    random, labels = np.random.default_rng(seed), np.repeat(np.arange(len(recalls)), count)
    right = random.random(len(labels)) < np.repeat(recalls, count)
    predicted = np.where(right, labels, (labels + 1) % len(recalls))
    return LabelledPredictions(labels, predicted, np.full(len(labels), 0.9, np.float32), units)


def test_each_class_is_compared_as_scipy_and_statsmodels_do() -> None:
    validation, test = drawn([0.9, 0.8, 0.7, 0.95], 60, 0), drawn([0.9, 0.5, 0.75, 0.9], 80, 1)
    rows = {row.label: row for row in compare_recalls(validation, test)}
    p = []
    for label in range(CLASSES):
        counts = [
            (int((one.predicted == label)[one.labels == label].sum()), int((one.labels == label).sum()))
            for one in (test, validation)
        ]
        p.append(fisher_exact([[hits, n - hits] for hits, n in counts]).pvalue)
        row = rows[label]
        assert (row.n_test, row.n_validation) == (80, 60)
        assert (row.test, row.validation) == tuple(hits / n for hits, n in counts)
        wanted = confint_proportions_2indep(*counts[0], *counts[1], method="newcomb", compare="diff")
        assert (row.low, row.high) == pytest.approx(wanted, abs=1e-9) and row.p == pytest.approx(p[-1])
    adjusted = multipletests(p, method="holm")[1]
    assert [rows[label].p_adjusted for label in range(CLASSES)] == pytest.approx(adjusted.tolist())


def test_a_class_that_got_worse_is_first_and_alone() -> None:
    first, *others = compare_recalls(drawn([0.95] * 4, 100, 0), drawn([0.95, 0.95, 0.6, 0.95], 100, 1))
    assert first.label == 2 and first.is_significant and first.high < 0
    assert not any(row.is_significant for row in others)
    assert [abs(row.difference) for row in others] == sorted((abs(row.difference) for row in others), reverse=True)


def test_chance_is_rarely_called_a_change() -> None:
    found = sum(
        compare_recalls(drawn([0.8] * 6, 40, seed), drawn([0.8] * 6, 40, seed + 1000))[0].is_significant
        for seed in range(100)
    )
    assert found <= 10  # at most 5 are expected


def test_groups_count_as_groups() -> None:
    """Whole bursts of 20 images are right or wrong: few bursts tell little, however many images they have."""
    bursts = np.repeat(np.arange(24), 20)
    right = np.repeat(np.arange(24) % 4 > 0, 20), np.repeat(np.arange(24) % 2 > 0, 20)
    labels = np.zeros(480, np.int64)
    sides = [LabelledPredictions(labels, np.where(hits, 0, 1), np.ones(480, np.float32), bursts) for hits in right]
    alone = [LabelledPredictions(one.labels, one.predicted, one.confidence) for one in sides]
    assert compare_recalls(*alone)[0].is_significant
    grouped = compare_recalls(*sides)[0]
    assert not grouped.is_significant and grouped.high - grouped.low > 2 * 0.11


def test_classes_without_images_on_one_side_are_left_out() -> None:
    validation, test = drawn([0.9] * 4, 30, 0), drawn([0.9] * 3, 30, 1)
    assert {row.label for row in compare_recalls(validation, test)} == {0, 1, 2}
    few = LabelledPredictions(*(np.zeros(8, np.int64),) * 2, np.ones(8, np.float32), np.repeat([0, 1], 4))
    assert compare_recalls(few, few) == []
