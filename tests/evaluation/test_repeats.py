"""Several trainings together: against scikit-learn and the statistics module."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy.stats import norm, t
from sklearn.metrics import accuracy_score, f1_score

from sightline.evaluation.intervals import proportion, wilson
from sightline.evaluation.metrics import METRICS
from sightline.evaluation.repeats import average_metrics, describe_spread, pool_folds, spread_of
from sightline.evaluation.result import evaluate_rows
from sightline.runtime.predictions import Predictions

CLASSES = ("ant", "bee", "cat")


def fold(seed: int, count: int = 30) -> tuple[Predictions, np.ndarray, dict]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    probabilities = random.dirichlet([1, 1, 1], count).astype(np.float32)
    names = tuple(f"{seed}-{k}" for k in range(count))
    said = Predictions(CLASSES, names, probabilities, np.zeros((count, 0), np.float32), (None,) * count)
    evaluation = evaluate_rows(said, labels).with_part("test")
    hits = int(random.integers(0, count))
    return said, labels, {**evaluation.metrics, "baselines": {"majority_class": wilson(hits, count).to_dict()}}


@pytest.fixture(scope="module")
def folds():
    return [fold(seed, 20 + 5 * seed) for seed in range(4)]


def test_pooled_figures_are_those_of_all_images_at_once(folds):
    metrics = pool_folds(*zip(*folds, strict=True))
    labels = np.concatenate([labels for _, labels, _ in folds])
    predicted = np.concatenate([said.probabilities.argmax(1) for said, _, _ in folds])
    assert metrics["accuracy"]["value"] == pytest.approx(accuracy_score(labels, predicted))
    assert metrics["macro_f1"]["value"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metrics["accuracy"]["n"] == metrics["count"] == 20 + 25 + 30 + 35
    hits = sum(round(one["baselines"]["majority_class"]["value"] * one["count"]) for _, _, one in folds)
    assert metrics["baselines"]["majority_class"] == wilson(hits, 110).to_dict()


def test_the_spread_is_that_of_the_trainings(folds):
    values = [one["accuracy"]["value"] for _, _, one in folds]
    spread = spread_of([one for _, _, one in folds])["accuracy"]
    assert spread.mean == pytest.approx(statistics.mean(values))
    assert spread.standard_deviation == pytest.approx(statistics.stdev(values))
    assert (spread.min, spread.max, spread.values) == (min(values), max(values), tuple(values))
    assert spread_of([folds[0][2]])["accuracy"].standard_deviation is None


def test_seeds_on_the_same_images_are_averaged_and_are_no_more_images():
    metrics = [fold(seed)[2] for seed in range(3)]
    together = average_metrics(metrics)
    for end in ("value", "low", "high"):
        expected = statistics.mean(one["accuracy"][end] for one in metrics)
        assert together["accuracy"][end] == pytest.approx(expected)
    assert together["accuracy"]["n"] == 30
    assert together.keys() & METRICS.keys() == together["spread"].keys() == metrics[0].keys() & METRICS.keys()
    assert "confusion" not in together


def test_figures_beside_the_accuracy_are_pooled_and_averaged_too(folds):
    said, labels, plain = zip(*folds, strict=True)
    hits = [11, 12, 20, 33]
    beside = [
        {**one, "accuracy_with_views": wilson(k, one["count"]).to_dict(), "count_views": 6}
        for one, k in zip(plain, hits, strict=True)
    ]
    pooled = pool_folds(said, labels, beside)
    assert pooled["accuracy_with_views"] == wilson(sum(hits), 110).to_dict() and pooled["count_views"] == 6
    assert "accuracy_with_views" not in pool_folds(said, labels, [*beside[1:], plain[0]])
    leaky = [{**one, "accuracy_with_leaks": wilson(k, 40).to_dict()} for one, k in zip(beside, hits, strict=True)]
    together = average_metrics(leaky)
    assert together["accuracy_with_leaks"]["value"] == pytest.approx(statistics.mean(hits) / 40)
    shares = [k / one["count"] for k, one in zip(hits, plain, strict=True)]
    assert together["accuracy_with_views"]["value"] == pytest.approx(statistics.mean(shares))
    assert together["count_views"] == 6
    assert "accuracy_with_leaks" not in average_metrics(beside)


def test_the_spread_in_words_has_its_numbers():
    spread = {"mean": 0.9, "standard_deviation": 0.01, "min": 0.89, "max": 0.91, "values": [0.89, 0.9, 0.9, 0.9, 0.91]}
    metrics = {"spread": {"accuracy": spread}}
    said = describe_spread(metrics, "seeds")
    for part in ("89.0 to 91.0 %", "5 seeds", "mean 90.0 %", "deviation 1.0 points", "up to 3.9 points"):
        assert part in said
    assert "chance in which images" in describe_spread(metrics, "folds")
    two = {"spread": {"accuracy": spread | {"values": [0.89, 0.91]}}}
    assert "two seeds are too few" in describe_spread(two, "seeds")


def test_two_seeds_of_one_recipe_seldom_differ_by_more_than_is_called_chance():
    """Of pairs of trainings that differ by chance alone, 5 % may differ by more than what five others suggest."""
    random = np.random.default_rng(0)
    draws = random.normal(0.9, 0.01, (2_000, 7))
    deviations = draws[:, :5].std(1, ddof=1)
    reaches = []
    for deviation in deviations[:200]:
        spread = {"mean": 0.9, "standard_deviation": float(deviation), "min": 0, "max": 1, "values": [0.9] * 5}
        said = describe_spread({"spread": {"accuracy": spread}}, "seeds")
        reaches.append(float(said.rsplit("up to ", 1)[1].split()[0]) / 100)
    factor = np.median(np.array(reaches) / deviations[:200])
    outside = np.abs(draws[:, 5] - draws[:, 6]) > factor * deviations
    assert 0.03 < outside.mean() < 0.07


def test_groups_widen_what_folds_say_together() -> None:
    folds = [fold(seed, 40) for seed in range(3)]
    said, labels, metrics = zip(*folds, strict=True)
    count = sum(map(len, labels))
    alone, together = (pool_folds(said, labels, metrics, units) for units in (None, np.arange(count) // 10))
    assert together["count_groups"] == count // 10
    assert "groups" in together["accuracy"]["method"]
    assert together["accuracy"]["value"] == alone["accuracy"]["value"]


def test_groups_widen_baselines_and_averaged_views_of_folds() -> None:
    """Each fold has seven patients of ten images, of whom all are right or none."""
    folds = [fold(seed, 70) for seed in range(3)]
    right = np.random.default_rng(0).random((3, 7)) < 0.6
    units = np.repeat(np.arange(7), 10)
    for (_, _, metrics), patients in zip(folds, right, strict=True):
        share = proportion(np.repeat(patients, 10), units).to_dict()
        metrics |= {"baselines": {"majority_class": share}, "accuracy_with_views": share, "count_views": 2}
    pooled = pool_folds(*zip(*folds, strict=True), np.repeat(np.arange(21), 10))
    few = 21 / (t.ppf(0.975, 20) / norm.ppf(0.975)) ** 2 * 20 / 21  # a variance of 21 patients is estimated
    for found in (pooled["baselines"]["majority_class"], pooled["accuracy_with_views"]):
        assert (found["n"], found["n_effective"]) == (210, 21)
        for end in (found["low"], found["high"]):  # Wilson's ends are those that a score test just accepts
            assert abs(end - right.mean()) == pytest.approx(norm.ppf(0.975) * math.sqrt(end * (1 - end) / few))
