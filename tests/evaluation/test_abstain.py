"""When to say ``unknown``: distances by their definition, promises by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sightline.evaluation.abstain import (
    choose_confidence,
    describe_unknown,
    fit_novelty,
    leave_one_out,
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
        return (values - np.median(of)) / (np.quantile(of, 0.975) - np.median(of))

    def plain(asked: np.ndarray) -> np.ndarray:
        angles = [(1 - unit(some) @ means.T).min(1) for some in (asked, val)]
        lengths = [-np.log(np.linalg.norm(some, axis=1)) for some in (asked, val)]
        return np.maximum(np.maximum(usual(*angles), usual(*lengths)), 0)

    test, _ = draw_features(60, seed=2)
    test[:20] *= 0.3
    wanted = plain(test) / np.quantile(plain(val), 0.95 * 101 / 100, method="higher")
    np.testing.assert_allclose(found.of(test), wanted, rtol=1e-3, atol=1e-4)


def test_one_keeps_95_of_100_images_like_the_validation() -> None:
    kept = []
    for seed in range(30):
        train, labels = draw_features(300, seed=3 * seed)
        val, _ = draw_features(200, seed=3 * seed + 1)
        test, _ = draw_features(400, seed=3 * seed + 2)
        kept.append((fit_novelty(train, labels, 3, val).of(test) <= 1).mean())
    assert 0.94 <= np.mean(kept) <= 0.97


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


def test_a_chosen_confidence_keeps_its_promise_on_new_images() -> None:
    """Of a classifier whose confidence is right the answers above the threshold are wrong rarely enough."""
    random, broken, tried = np.random.default_rng(0), 0, 0
    for _ in range(100):
        confidence = random.uniform(0.4, 1, 1_400)
        hits = random.random(1_400) < confidence
        chosen = choose_confidence(confidence[:400], hits[:400], 0.1)
        if chosen is None:
            continue
        answered = confidence[400:] >= chosen
        tried += 1
        broken += (~hits[400:][answered]).mean() > 0.13
    assert tried >= 50
    assert broken < 0.1 * tried


def test_a_threshold_is_the_lowest_that_the_interval_allows() -> None:
    confidence = np.linspace(0.99, 0.3, 300)
    hits = np.arange(300) < 200
    chosen = choose_confidence(confidence, hits, 0.05)
    assert chosen is not None
    answered = confidence >= chosen
    assert wilson(int((~hits[answered]).sum()), int(answered.sum())).high <= 0.05
    more = confidence >= confidence[answered.sum()]
    assert wilson(int((~hits[more]).sum()), int(more.sum())).high > 0.05


def test_no_threshold_is_promised_where_none_holds() -> None:
    assert choose_confidence(np.linspace(0.5, 1, 100), np.arange(100) % 2 == 0, 0.05) is None
    assert choose_confidence(np.ones(10), np.ones(10, bool), 0.05) is None  # too few to promise anything


def test_all_may_be_answered_where_all_are_right() -> None:
    assert choose_confidence(np.linspace(0.5, 1, 300), np.ones(300, bool), 0.05) == 0


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
