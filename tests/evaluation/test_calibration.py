"""Temperatures that are known, errors of calibration by their definition, and what chance alone shows."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.evaluation.calibration import (
    calibration_error,
    cool,
    describe_calibration,
    fit_temperature,
    reliability,
)


def draw(n: int, truth: float, *, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are ``truth`` times too large, and labels drawn from what they should say."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (shares.cumsum(1) > random.random((n, 1))).argmax(1)
    return (logits * truth).astype(np.float32), labels


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return (raised / raised.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("truth", [0.5, 1.7, 3.0])
def test_a_known_temperature_is_found(truth: float) -> None:
    found = fit_temperature(*draw(4_000, truth))
    assert found.temperature == pytest.approx(truth, rel=0.08)
    assert found.loss_after < found.loss_before


def test_the_fit_is_where_the_loss_is_lowest() -> None:
    logits, labels = draw(500, 1.5)
    grid = np.geomspace(0.25, 4, 2_001)
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / t).astype(np.float64)[rows, labels]).mean() for t in grid]
    assert fit_temperature(logits, labels).fitted == pytest.approx(grid[int(np.argmin(losses))], rel=0.005)


def test_a_temperature_that_does_not_help_elsewhere_is_not_used() -> None:
    kept = [fit_temperature(*draw(60, 1.0, seed=seed)) for seed in range(40)]
    unused = [found for found in kept if found.temperature == 1]
    assert len(unused) >= 15
    assert all(found.loss_after >= found.loss_before for found in unused)
    assert any(found.fitted != 1 for found in unused)


def test_few_images_are_held_back() -> None:
    logits, labels = draw(30, 4.0)
    some = fit_temperature(logits, labels).fitted
    many = fit_temperature(np.tile(logits, (20, 1)), np.tile(labels, 20)).fitted
    assert 1 < some < many


def test_images_of_one_unit_are_never_on_both_sides() -> None:
    logits, labels = draw(100, 2.0)
    one = fit_temperature(logits, labels, np.zeros(100, np.int64))
    assert one.temperature == 1  # a single unit can't show that a temperature helps elsewhere


def test_cooling_is_dividing_the_logits() -> None:
    logits, _ = draw(50, 1.0)
    np.testing.assert_allclose(cool(softmax(logits), 2.5), softmax(logits / 2.5), atol=1e-5)
    np.testing.assert_allclose(cool(cool(softmax(logits), 2.5), 1 / 2.5), softmax(logits), atol=1e-4)


def test_the_plain_error_is_torchmetrics_where_bins_agree() -> None:
    """Bins of equal width and of equally many images are the same for confidences spread evenly."""
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    confidence = (np.arange(3_000) + 0.5) / 3_000
    hits = np.random.default_rng(0).random(3_000) < confidence**1.5
    given = torch.from_numpy(confidence), torch.from_numpy(hits.astype(int))
    wanted = float(binary_calibration_error(*given, n_bins=15, norm="l1"))
    assert calibration_error(confidence, hits)[0] == pytest.approx(wanted, abs=1e-9)


def test_chance_is_taken_out_of_the_debiased_error() -> None:
    random = np.random.default_rng(1)
    plain, debiased = [], []
    for _ in range(200):
        confidence = random.uniform(0.5, 1, 300)
        found = calibration_error(confidence, random.random(300) < confidence)
        plain.append(found[0])
        debiased.append(found[1] ** 2)
    assert np.mean(plain) > 0.06  # a perfect model, and yet
    assert np.mean(debiased) < np.mean(np.square(plain)) / 3


def test_the_band_of_chance_holds_a_perfect_model() -> None:
    inside = 0
    for seed in range(40):
        logits, labels = draw(400, 1.0, seed=seed)
        after = describe_calibration(labels, softmax(logits), 1.0)["after"]
        low, high = after["ece_chance"]
        inside += low <= after["ece"] <= high
    assert inside >= 34


def test_before_is_without_the_temperature() -> None:
    logits, labels = draw(1_000, 2.0)
    told = describe_calibration(labels, softmax(logits / 2), 2.0)
    plain = softmax(logits)[np.arange(1_000), labels]
    assert told["before"]["log_loss"] == pytest.approx(-np.log(plain).mean(), rel=1e-3)
    assert told["after"]["log_loss"] < told["before"]["log_loss"]
    assert told["after"]["ece"] < told["before"]["ece"]


def test_below_200_images_no_error_of_calibration_is_told() -> None:
    logits, labels = draw(199, 1.0)
    assert describe_calibration(labels, softmax(logits), 1.0)["after"]["ece"] is None


def test_reliability_holds_every_image_once() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.3, 1, 137)
    rows = reliability(confidence, random.random(137) < confidence)
    assert sum(row["n"] for row in rows) == 137
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)


def test_the_error_does_not_depend_on_the_order_of_equal_confidences() -> None:
    hits = np.arange(600) < 540  # class by class: the wrong ones together
    error, _ = calibration_error(np.full(600, 0.9), hits)
    assert error < 0.04
    assert reliability(np.full(600, 0.9), hits)[0]["accuracy"] == pytest.approx(0.9, abs=0.1)


def test_groups_widen_what_chance_gives() -> None:
    random = np.random.default_rng(1)
    units = np.repeat(np.arange(30), 20)
    confidence = random.uniform(0.6, 0.95, 600)
    said = np.stack([confidence, 1 - confidence], 1).astype(np.float32)
    labels = np.where(units < 10, 1, 0)  # a group is right or wrong as a whole
    alone, together = (describe_calibration(labels, said, 1.0, one)["after"] for one in (None, units))
    assert together["ece"] == alone["ece"] > alone["ece_chance"][1]
    assert together["ece_chance"][1] > together["ece"]
    assert together["reliability"][0]["low"] < alone["reliability"][0]["low"]
