"""Metrics of probabilities against scikit-learn; intervals by simulation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.evaluation.intervals import Interval, mean_interval, proportion
from sightline.evaluation.metrics import METRICS, OfImages, OfRanking
from sightline.evaluation.scores import (
    image_briers,
    log_loss,
    macro_roc_auc,
    rank_classes,
    rank_scores,
    true_ranks,
)


def cases(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random labels and probabilities: with ties, absent classes, and sets of one class."""
    random = np.random.default_rng(0)
    for number in range(count):
        classes, n = int(random.integers(2, 7)), int(random.integers(2, 60))
        labels = random.choice(random.integers(0, classes, random.integers(1, classes + 1)), n)
        said = random.dirichlet(np.ones(classes), n)
        if number % 2:
            said = np.round(said * 4) + 1  # many ties
        said /= said.sum(1, keepdims=True)
        yield labels, said.astype(np.float32)


def metrics_of(labels: np.ndarray, said: np.ndarray, *names: str) -> dict[str, Interval]:
    """Return these metrics of images and of ranking, or each of them, as far as they can be computed."""
    found = {}
    for name in names or METRICS:
        compute = METRICS[name].compute
        if isinstance(compute, OfRanking):
            found[name] = compute.of(labels, said, rank_classes(labels, said), None, 0)
        elif isinstance(compute, OfImages) and said.shape[1] >= compute.least_classes:
            values = compute.of(labels, said)
            found[name] = proportion(values) if values.dtype == bool else mean_interval(values, labels)
    return {name: interval for name, interval in found.items() if interval is not None}


def test_log_loss_is_scikit_learns() -> None:
    for labels, said in cases(200):
        exact = said.astype(np.float64)
        wanted = -np.log(np.clip(exact[np.arange(len(labels)), labels], 1e-7, 1)).mean()
        assert log_loss(labels, said) == pytest.approx(wanted, abs=1e-9)
        exact /= exact.sum(1, keepdims=True)
        names = range(said.shape[1])
        assert log_loss(labels, said) == pytest.approx(sk.log_loss(labels, exact, labels=names), abs=1e-6)


def test_log_loss_of_a_certain_mistake_is_large_and_finite() -> None:
    said = np.array([[1.0, 0.0]], np.float32)
    assert log_loss(np.array([1]), said) == pytest.approx(-np.log(1e-7))
    assert log_loss(np.array([0]), said) == 0


def test_the_brier_score_is_the_squared_distance_from_the_truth() -> None:
    for labels, said in cases(200):
        truth = np.eye(said.shape[1])[labels]
        np.testing.assert_allclose(image_briers(labels, said), ((said - truth) ** 2).sum(1), atol=1e-6)


def test_areas_and_average_precisions_are_scikit_learns_on_hundreds_of_cases() -> None:
    for labels, said in cases(300):
        rows = rank_classes(labels, said).rows
        for k, row in enumerate(rows):
            is_class = labels == k
            if is_class.all() or not is_class.any():
                assert row == {"roc_auc": None, "average_precision": None}
                continue
            assert row["roc_auc"] == pytest.approx(sk.roc_auc_score(is_class, said[:, k]), abs=1e-9)
            wanted = sk.average_precision_score(is_class, said[:, k])
            assert row["average_precision"] == pytest.approx(wanted, abs=1e-9)


def test_top_k_accuracy_is_scikit_learns_without_ties() -> None:
    random = np.random.default_rng(2)
    for _ in range(100):
        labels, said = random.integers(0, 8, 50), random.dirichlet(np.ones(8), 50)
        ranks = true_ranks(labels, said.astype(np.float32))
        for k in (1, 3, 5):
            wanted = sk.top_k_accuracy_score(labels, said, k=k, labels=range(8))
            assert (ranks < k).mean() == pytest.approx(wanted, abs=1e-9)


def test_of_equal_probabilities_the_first_class_wins_as_in_argmax() -> None:
    said = np.full((3, 3), 1 / 3, np.float32)
    assert true_ranks(np.array([0, 1, 2]), said).tolist() == [0, 1, 2]


def test_metrics_of_one_class_alone_have_no_area() -> None:
    figures = metrics_of(np.zeros(5, np.int64), np.full((5, 2), 0.5, np.float32))
    assert {"roc_auc", "average_precision"}.isdisjoint(figures)
    assert figures["brier"].value == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_perfect_ranking_is_not_taken_for_certain(name: str) -> None:
    labels = np.array([0] * 6 + [1] * 6)
    figure = metrics_of(labels, np.eye(2, dtype=np.float32)[labels])[name]
    assert figure.value == 1
    assert figure.low < 0.7


def test_the_error_of_an_area_is_delongs() -> None:
    """Against the variance by its definition: all pairs of images, in loops."""
    random = np.random.default_rng(3)
    is_class = np.array([True] * 12 + [False] * 9)
    scores = random.normal(is_class * 1.0, 1).round(1)
    area, _, parts = rank_scores(is_class, scores)
    yes, no = scores[is_class], scores[~is_class]
    wins = (yes[:, None] > no[None]) + 0.5 * (yes[:, None] == no[None])
    wanted = ((wins.mean(1) - area) ** 2).sum() / 12 / 11 + ((wins.mean(0) - area) ** 2).sum() / 9 / 8
    assert area == pytest.approx(wins.mean())
    assert (parts**2).sum() == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["log_loss", "brier", "roc_auc", "average_precision"])
def test_intervals_hold_the_truth_in_about_95_of_100_cases(name: str) -> None:
    """The truth is what a hundred times as many images say."""
    random = np.random.default_rng(4)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 3, n)
        logits = random.normal(0, 1, (n, 3))
        logits[np.arange(n), labels] += 1.5
        said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return labels, said.astype(np.float32)

    truth = metrics_of(*draw(60_000), name)[name].value
    held = [figure.low <= truth <= figure.high for figure in (metrics_of(*draw(150), name)[name] for _ in range(150))]
    assert 0.9 <= np.mean(held) <= 0.99


def test_no_warning_is_raised_for_extreme_probabilities() -> None:
    said = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics_of(np.array([0, 1, 2, 1]), said)


@pytest.mark.parametrize(("classes", "each"), [(20, 1), (20, 2), (10, 6)])
def test_the_area_of_few_images_a_class_is_as_unsure_as_it_is(classes: int, each: int) -> None:
    def drawn(each: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(classes), each)
        raised = np.exp(random.normal(size=(len(labels), classes)) + 1.5 * np.eye(classes)[labels])
        return labels, (raised / raised.sum(1, keepdims=True)).astype(np.float32)

    labels, said = drawn(1_000, np.random.default_rng(0))
    truth = np.mean([row["roc_auc"] for row in rank_classes(labels, said).rows])
    held = 0
    for seed in range(60):
        labels, said = drawn(each, np.random.default_rng(seed + 1))
        figure = macro_roc_auc(labels, said, rank_classes(labels, said))
        held += figure.low <= truth <= figure.high
    assert held >= 51
