"""Learning curves: heads against scikit-learn, laws that are known, gains that come true, luck that is not sold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sightline.evaluation.learning_curve import (
    LearningCurve,
    _heads,
    _Sums,
    extrapolate,
    hold_out,
    measure_learning_curve,
)


def drawn(n: int, classes: int, size: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of classes whose means lie apart in a ball of noise, and the labels, class by class."""
    means = np.random.default_rng(99).normal(size=(classes, size)) * apart
    labels = np.sort(np.arange(n) % classes)
    return means[labels] + np.random.default_rng(seed).normal(size=(n, size)), labels


def test_a_head_is_scikit_learns_discriminant_analysis() -> None:
    features, labels = drawn(300, 4, 12, 0.7)
    asked, _ = drawn(80, 4, 12, 0.7, seed=5)
    sums = _Sums.of(features, labels, labels >= 0, 4)
    halves = [_Sums.of(features, labels, np.arange(300) % 2 == part, 4) for part in (0, 1)]
    whole = halves[0].plus(halves[1])
    for shrinkage, logits, of_halves in zip(
        (0.01, 0.03, 0.1, 0.3, 0.6, 0.9), _heads(sums, asked), _heads(whole, asked), strict=True
    ):
        assert np.allclose(logits, of_halves)
        within = sum(np.cov(features[labels == k].T, bias=True) * (labels == k).sum() for k in range(4)) / (300 - 4)
        shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / 12 * np.eye(12)
        oracle = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=_Given(shrunk)).fit(features, labels)
        wanted = oracle.decision_function(asked)
        assert np.allclose(logits - logits[:, :1], wanted - wanted[:, :1], atol=1e-8)


class _Given:
    """A covariance that is given, weighted as scikit-learn weights those of classes."""

    def __init__(self, covariance: np.ndarray) -> None:
        self.covariance_ = covariance

    def fit(self, _: np.ndarray) -> _Given:
        return self


def test_a_class_without_images_is_never_said() -> None:
    features, labels = drawn(60, 3, 5, 1.0)
    labels = labels * 2  # classes 0, 2, 4 of five
    for logits in _heads(_Sums.of(features, labels, labels >= 0, 5), features):
        assert set(logits.argmax(1)) <= {0, 2, 4}


@pytest.mark.parametrize(("law", "floor", "grade"), [(0, 0.0, -0.2), (0, 0.0, -0.9), (1, 0.1, -0.5), (2, 0.05, -1.0)])
def test_a_law_without_noise_is_found_again(law: int, floor: float, grade: float) -> None:
    counts, at = np.array([100.0, 200, 400, 800]), np.array([1600.0, 100])
    errors = np.stack([floor + 0.3 * (counts / 100) ** grade, counts / 2000])
    told = extrapolate(counts, errors, at)[law]
    assert told[0] == pytest.approx(floor + 0.3 * (at / 100) ** grade)
    assert told[1][0] == told[1][1]  # mistakes that rise with the images are no law: flat


def test_units_are_held_out_whole_and_everything_is_even() -> None:
    labels = np.sort(np.arange(400) % 4)
    units = np.arange(400) // 2
    folds, chunks = hold_out(labels, units, seed=1)
    assert (folds[::2] == folds[1::2]).all() and (chunks[::2] == chunks[1::2]).all()
    for label in range(4):
        assert np.bincount(folds[labels == label]).tolist() == [20] * 5
        assert (np.bincount(chunks[labels == label], minlength=8) > 0).all()


def test_what_twice_the_images_give_is_about_what_was_expected() -> None:
    features, labels = drawn(8_000, 5, 60, 0.16)
    some = np.random.default_rng(3).permutation(8_000)
    expected, given = [], []
    for start in (0, 1_000, 2_000, 3_000):
        half, whole = some[start : start + 1_000], some[start : start + 2_000]
        curve = measure_learning_curve(features[half], labels[half], np.arange(1_000), [*"abcde"], 1_000)
        assert curve and curve.gain.is_clear
        model = [LinearDiscriminantAnalysis().fit(features[rows], labels[rows]) for rows in (half, whole)]
        others = some[5_000:]
        now, doubled = (float(one.score(features[others], labels[others])) for one in model)
        expected.append(curve.gain.value)
        given.append(doubled - now)
    assert np.mean(expected) == pytest.approx(np.mean(given), abs=0.015)


def test_features_that_say_nothing_gain_nothing() -> None:
    clear = 0
    for seed in range(12):
        features = np.random.default_rng(seed).normal(size=(300, 20))
        curve = measure_learning_curve(features, np.arange(300) % 3, np.arange(300), [*"abc"], 300, seed=seed)
        assert curve is not None
        clear += curve.gain.is_clear
    assert clear <= 2


def test_the_class_that_is_hard_gains_most() -> None:
    features, labels = drawn(1_200, 4, 40, 0.9)
    hard = np.random.default_rng(2).normal(size=(300, 40)) * 0.16
    features[labels == 3] = features[labels == 2] + hard + 0.1  # looks like the one before it
    curve = measure_learning_curve(features, labels, np.arange(1_200), [*"abcd"], 1_200)
    assert curve is not None
    gains = [row.gain.value for row in curve.classes]
    assert max(gains[2:]) > max(gains[:2])
    assert [(row.name, row.support) for row in curve.classes] == [(name, 300) for name in "abcd"]


@pytest.mark.parametrize("n", [10, 39, 60])
def test_too_few_images_are_told_as_such(n: int) -> None:
    classes = 2 if n < 40 else 30
    features, labels = drawn(n, classes, 8, 1.0)
    assert measure_learning_curve(features, labels, np.arange(n), [str(k) for k in range(classes)], n) is None


@pytest.mark.parametrize(("n", "size"), [(200, 900), (900, 700), (600, 3)])
def test_wide_and_narrow_features_are_fine(n: int, size: int) -> None:
    features, labels = drawn(n, 3, size, 0.3)
    curve = measure_learning_curve(features.astype(np.float32), labels, np.arange(n), [*"abc"], n)
    assert curve is not None
    assert [round(point.fitted / n, 2) for point in curve.points] == pytest.approx([0.1, 0.2, 0.4, 0.8], abs=0.02)
    assert all(point.accuracy.n == n for point in curve.points)
    assert curve.gain.low <= curve.gain.value <= curve.gain.high
    assert LearningCurve.from_dict(json.loads(json.dumps(curve.to_dict(), allow_nan=False))) == curve


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-4])
def test_classes_whose_images_are_all_alike_are_fine(noise: float) -> None:
    """Rounding then makes the spread within classes negative, if nothing is done about it."""
    means = np.random.default_rng(0).normal(size=(3, 1280)).astype(np.float32) + 5
    labels = np.arange(75) % 3
    features = means[labels] + np.random.default_rng(1).normal(0, noise, (75, 1280)).astype(np.float32)
    curve = measure_learning_curve(features, labels, np.arange(75), ("a", "b", "c"), 60)
    assert curve is None or not curve.gain.is_clear


def test_no_class_is_expected_to_be_right_more_often_than_always() -> None:
    features, labels = drawn(80, 2, 40, 0.6, seed=2)  # the lines through its few mistakes fall below none
    curve = measure_learning_curve(features, labels, np.arange(80), ["a", "b"], 64)
    assert curve is not None
    for row in curve.classes:
        assert row.doubled <= 1
        assert row.gain.value == pytest.approx(row.doubled - row.now)


@pytest.mark.parametrize("persons", [3, 5, 10, 20])
def test_of_few_groups_no_share_without_images_is_fitted(persons: int) -> None:
    """An eighth of a few persons can be none, and a head that was fitted on no image has no number."""
    random = np.random.default_rng(0)
    labels, person = np.arange(80) % 2, np.arange(80) * persons // 80
    features = random.normal(size=(80, 5)) + labels[:, None]
    for seed in range(5):
        curve = measure_learning_curve(features, labels, person, ["cat", "dog"], 80, seed=seed)
        assert curve is None or (np.isfinite([*curve.gain]).all() and min(point.fitted for point in curve.points) > 0)
    assert measure_learning_curve(features, labels, np.arange(80), ["cat", "dog"], 80) is not None
