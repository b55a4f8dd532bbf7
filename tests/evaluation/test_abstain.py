"""When to say ``unknown``: distances by their definition, promises by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from sightline.evaluation.abstain import (
    IMAGES_FOR_CONFIDENCE,
    IMAGES_FOR_NOVELTY,
    _rank_kept,
    choose_confidence,
    count_witnesses,
    describe_unknown,
    fit_novelty,
    leave_one_out,
    new_shares,
    risk_coverage,
    separation,
)
from sightline.evaluation.intervals import wilson


def draw_features(n: int, *, size: int = 12, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of classes apart from each other, as a ReLU leaves them."""
    random = np.random.default_rng(seed)
    means = np.random.default_rng(99).uniform(0, 2, (classes, size))
    labels = np.arange(n) % classes
    return np.maximum(means[labels] + random.normal(0, 0.3, (n, size)), 0).astype(np.float32), labels


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_novelty_is_the_more_unusual_of_angle_and_length() -> None:
    train, labels = draw_features(300)
    val, _ = draw_features(100, seed=1)
    found = fit_novelty(train, labels, 3, val)
    means = np.stack([unit(unit(train)[labels == k].mean(0)[None])[0] for k in range(3)])

    def usual(values: np.ndarray, of: np.ndarray) -> np.ndarray:
        return (values - np.median(of)) / (2 * (np.quantile(of, 0.84) - np.median(of)))

    def plain(asked: np.ndarray) -> np.ndarray:
        angles = [(1 - unit(some) @ means.T).min(1) for some in (asked, val)]
        lengths = [-np.log(np.linalg.norm(some, axis=1)) for some in (asked, val)]
        return np.maximum(np.maximum(usual(*angles), usual(*lengths)), 0)

    test, _ = draw_features(60, seed=2)
    test[:20] *= 0.3
    wanted = plain(test) / np.sort(plain(val))[-2] / 1.01  # of 100, 99 lie below what 95 % do in 9 of 10 cases
    np.testing.assert_allclose(found.of(test), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [45, 50, 100, 500, 2_000])
def test_at_most_5_of_100_images_are_called_new_in_9_of_10_draws_and_fewer_of_the_training(count: int) -> None:
    kept, broken_for_training, draws = 0, 0, 100 if count < 1_000 else 40
    for seed in range(draws):
        train, labels = draw_features(300, seed=3 * seed)
        found = fit_novelty(train, labels, 3, draw_features(count, seed=3 * seed + 1)[0])
        kept += (found.of(draw_features(4_000, seed=3 * seed + 2)[0]) > 1).mean() <= 0.05
        broken_for_training += (found.of(train) > 1).mean() > 0.05
    sure = 3 * math.sqrt(0.9 * 0.1 / draws)
    assert kept / draws >= 0.9 - sure
    assert broken_for_training / draws <= 0.1 + sure


@pytest.mark.parametrize("count", [45, 46, 100, 317, 2_000])
def test_the_rank_is_the_first_that_keeps_the_promise(count: int) -> None:
    """The r-th of n values has 95 % of all below it as often as fewer than r of n fall among them."""
    rank = _rank_kept(count)
    assert rank is not None
    assert binom.cdf(rank - 1, count, 0.95) >= 0.9 > binom.cdf(rank - 2, count, 0.95)
    ends = new_shares(count)
    assert ends is not None
    for end, wanted in zip(ends, (0.05, 0.95), strict=True):  # so often fewer are called new
        assert 1 - binom.cdf(rank - 1, count, 1 - end) == pytest.approx(1 - wanted)


def test_with_fewer_than_45_images_there_is_no_limit() -> None:
    assert IMAGES_FOR_NOVELTY == 45
    assert new_shares(45) and new_shares(44) is None and new_shares(1) is None


def test_images_of_few_groups_say_as_much_as_so_many_images() -> None:
    train, labels = draw_features(300)
    val, _ = draw_features(500, seed=1)
    alone = fit_novelty(train, labels, 3, val, np.arange(500))
    assert alone.scale == fit_novelty(train, labels, 3, val).scale
    grouped = fit_novelty(train, labels, 3, val, np.arange(500) // 10)  # fifty: the largest of all is the limit
    assert (grouped.of(val) <= 1).all() and grouped.scale < alone.scale


def test_large_groups_do_not_break_the_promise_of_novelty() -> None:
    """Groups of very unequal size, whose images are nearly one: their number alone broke it in 22 of 100 draws."""
    train, labels = draw_features(300)
    population, broken = draw_features(3_000, seed=1)[0], 0
    for seed in range(60):
        sizes = np.maximum(1, np.random.default_rng(seed).lognormal(np.log(6), 1.2, 200).round()).astype(int)
        units = np.repeat(np.arange(200), sizes)
        val = np.repeat(draw_features(200, seed=seed + 2)[0], sizes, axis=0)
        broken += (fit_novelty(train, labels, 3, val, units).of(population) > 1).mean() > 0.05
    assert broken <= 6
    assert count_witnesses(12, np.repeat([0, 1, 2], [2, 4, 6])) == round(12**2 / (2**2 + 4**2 + 6**2))


def test_features_that_are_shorter_than_usual_are_new() -> None:
    train, labels = draw_features(300)
    val, _ = draw_features(100, seed=1)
    found = fit_novelty(train, labels, 3, val)
    assert (found.of(val / 5) > 1).all()
    np.testing.assert_allclose(found.of(val * 5), found.distances(val * 5).min(1))
    assert (found.of(val * 5) <= found.of(val) + 1e-5).all()


def test_a_class_without_images_is_near_nothing() -> None:
    train, labels = draw_features(100)
    distances = fit_novelty(train, labels, 4, train).distances(train[:5])
    assert (distances[:, 3] > 1e6).all()
    assert np.isfinite(fit_novelty(train, labels, 4, train).of(train)).all()


def test_features_that_never_vary_are_no_fault() -> None:
    same = np.ones((30, 8), np.float32)
    found = fit_novelty(same, np.arange(30) % 2, 2, same)
    assert np.isfinite(found.of(np.concatenate([same, -same]))).all()


@pytest.mark.parametrize("wobble", [0, 1e-6, 1e-5])
def test_what_two_programs_compute_differently_is_no_novelty(wobble: float) -> None:
    """Flat colours: each class has one vector of features, but for rounding."""
    random = np.random.default_rng(0)
    clean = np.repeat(np.abs(random.normal(1, 1, (2, 16))), 60, axis=0)
    one, other = (clean * (1 + wobble * random.normal(0, 1, clean.shape)) for _ in range(2))
    labels = np.repeat([0, 1], 60)
    found = fit_novelty(one.astype(np.float32), labels, 2, one.astype(np.float32))
    np.testing.assert_allclose(found.of(one.astype(np.float32)), found.of(other.astype(np.float32)), atol=5e-3)
    assert (found.of(other.astype(np.float32)) <= 1).all()
    assert (found.of(clean[::-1].astype(np.float32) * 0.1) > 1).all()  # what differs is


def test_images_of_a_new_class_are_far() -> None:
    features, labels = draw_features(600, classes=4)
    known = labels < 3
    found = fit_novelty(features[known], labels[known], 3, draw_features(200, seed=5)[0])
    new = np.maximum(np.random.default_rng(1).normal(1, 0.6, (200, 12)), 0).astype(np.float32)
    assert separation(found.of(features[known]), found.of(new)) > 0.95


def test_separation_is_scikit_learns_area() -> None:
    random = np.random.default_rng(0)
    known, new = random.normal(0, 1, 50).round(1), random.normal(1, 1, 30).round(1)
    wanted = roc_auc_score(np.repeat([0, 1], [50, 30]), np.r_[known, new])
    assert separation(known, new) == pytest.approx(wanted)


def test_leaving_a_class_out_notices_one_that_stands_apart() -> None:
    apart = np.array([[0.2, 5, 5, 5], [5, 0.2, 1, 5], [5, 1, 0.2, 5], [5, 5, 5, 0.2]], np.float32)
    labels = np.arange(40) % 4
    found = leave_one_out(apart[labels], labels)
    assert found[0] == 1
    assert found[1] is not None
    assert found[1] <= 1
    assert leave_one_out(apart[labels][:, :2], labels % 2) == [None, None]


@pytest.mark.parametrize("count", [100, 500, 2_000])
def test_a_chosen_confidence_keeps_its_promise_though_many_are_tried(count: int) -> None:
    """The worst case: at every threshold a little more than the promised share is wrong, so what is found breaks it."""
    random, draws = np.random.default_rng(0), 400 if count < 1_000 else 150
    found = [choose_confidence(random.random(count), random.random(count) > 0.0501) is not None for _ in range(draws)]
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_a_classifier_that_is_good_enough_has_a_threshold_that_holds() -> None:
    random, broken, tried = np.random.default_rng(0), 0, 0
    for _ in range(60):
        confidence = random.uniform(0.4, 1, 4_000)
        chosen = choose_confidence(confidence, random.random(4_000) < confidence, 0.1)
        if chosen is not None:
            tried += 1
            broken += (1 - chosen) / 2 > 0.1  # the true share of wrong answers above it
    assert tried >= 40
    assert broken <= 0.05 * tried + 3 * math.sqrt(0.05 * 0.95 * tried)


def test_a_threshold_is_the_lowest_of_its_level_by_an_exact_test() -> None:
    confidence = np.linspace(0.99, 0.3, 300)
    hits = np.arange(300) < 200
    chosen = choose_confidence(confidence, hits, 0.05)
    assert chosen is not None
    count = int((confidence >= chosen).sum())
    part = 0.025 / 4  # of the four levels below all images
    chances = [binom.cdf((~hits[:number]).sum(), number, 0.05) for number in (count, count + 1)]
    assert chances[0] <= part < chances[1]


def test_groups_make_a_threshold_dearer() -> None:
    random = np.random.default_rng(3)
    confidence = random.random(600)
    hits = np.repeat(random.random(60) > 0.02 * (1 - confidence[::10]), 10)
    alone, grouped = (
        choose_confidence(confidence, hits),
        choose_confidence(confidence, hits, units=np.arange(600) // 10),
    )
    assert alone is not None and (grouped is None or grouped >= alone)


@pytest.mark.parametrize(("count", "size", "by_image"), [(40, 30, 0.005), (30, 40, 0.01)])
def test_a_threshold_keeps_its_promise_where_mistakes_come_by_groups_and_one_by_one(count, size, by_image) -> None:
    """Confidence says nothing, and 5.5 or 6 of 100 are wrong at every threshold: each that is found breaks it."""
    random, units, draws = np.random.default_rng(0), np.repeat(np.arange(count), size), 60
    found = 0
    for _ in range(draws):
        wrong = (random.random(count) < 0.05)[units] | (random.random(len(units)) < by_image)
        found += choose_confidence(random.random(len(units)), ~wrong, 0.05, units) is not None
    assert found <= 0.05 * draws


def test_no_threshold_is_promised_where_none_holds() -> None:
    assert choose_confidence(np.linspace(0.5, 1, 100), np.arange(100) % 2 == 0, 0.05) is None
    assert choose_confidence(np.ones(10), np.ones(10, bool), 0.05) is None  # too few to promise anything


def test_all_may_be_answered_where_all_are_right() -> None:
    assert choose_confidence(np.linspace(0.5, 1, 300), np.ones(300, bool), 0.05) == 0
    assert IMAGES_FOR_CONFIDENCE == 72
    assert choose_confidence(np.linspace(0.5, 1, 72), np.ones(72, bool), 0.05) == 0
    assert choose_confidence(np.linspace(0.5, 1, 71), np.ones(71, bool), 0.05) is None


def test_coverage_falls_and_holds_counts() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(200)
    rows = risk_coverage(confidence, random.random(200) < confidence)
    assert rows[0]["coverage"] == 1
    assert [row["n"] for row in rows] == sorted((row["n"] for row in rows), reverse=True)
    for row in rows[::10]:
        assert row["n"] == (confidence >= row["threshold"]).sum()


def test_what_thresholds_do_on_test_images_is_counted() -> None:
    said = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)
    told = describe_unknown(np.array([0, 1, 1, 0]), said, np.array([0.5, 2, 0.5, 0.5], np.float32), 0.65, 0.05)
    assert told["new"]["value"] == 0.25
    assert told["answered"]["value"] == 0.75
    assert told["wrong_answers"] == wilson(1, 3).to_dict()
