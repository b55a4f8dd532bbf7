"""The lead of a search's winner: against all resamples written out, searches with a known truth, and properties."""

from __future__ import annotations

import itertools
from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy import stats

from sightline.evaluation.compare import compare_predictions
from sightline.evaluation.intervals import draw_weights
from sightline.evaluation.search_luck import Lead, judge_lead


def draw_scores(random: np.random.Generator, accuracies: np.ndarray, images: int) -> np.ndarray:
    """Trials that agree on nine of ten images or so: each is right where an image is easy for it."""
    difficulty, own = random.standard_normal(images), random.standard_normal((len(accuracies), images))
    return np.sqrt(0.85) * difficulty + np.sqrt(0.15) * own < stats.norm.ppf(accuracies)[:, None]


def draw_leads(accuracies: np.ndarray, images: int, searches: int) -> list[tuple[Lead, float]]:
    """The leads of searches, each with its winner's true one."""
    random, found = np.random.default_rng(3), []
    for seed in range(searches):
        scores = draw_scores(random, accuracies, images)
        winner = scores.sum(1).argmax()
        found.append((judge_lead(scores, seed=seed), float(accuracies[winner] - accuracies[0])))
    return found


def lead_left_out(scores: np.ndarray, counts: np.ndarray) -> float:
    """By loops: the lead over the first, on images that are not in a resample, of the trial that is best in it."""
    trials, images = range(len(scores)), range(scores.shape[1])
    totals = [sum(round(counts[i]) * scores[t][i] for i in images) for t in trials]
    best = totals.index(max(totals))
    outside = [scores[best][i] - scores[0][i] for i in images if counts[i] == 0]
    return float(sum(outside) / len(outside))


def test_expected_is_the_mean_over_all_resamples():
    scores = np.array([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 0, 1]], float)
    draws = itertools.product(range(5), repeat=4)  # one image fewer than there are
    leads = [lead_left_out(scores, np.bincount(draw, minlength=5)) for draw in draws]
    lead = judge_lead(scores)
    assert lead.observed == pytest.approx(0.4)
    assert lead.expected == pytest.approx(np.mean(leads), abs=4 * np.std(leads) / np.sqrt(500))
    assert lead.luck == pytest.approx(lead.observed - lead.expected) and lead.luck > 0.1


@pytest.mark.parametrize("units", [None, np.repeat(np.arange(6), [1, 2, 3, 4, 1, 1])])
def test_it_is_the_loop_over_the_same_resamples(units):
    scores = (np.random.default_rng(4).random((5, 12)) < 0.6).astype(float)
    scores[0] = 0
    drawn = draw_weights(np.zeros(12, np.int64), units, rounds=500, seed=7)
    count = 12 if units is None else 6
    wanted = np.mean([lead_left_out(scores, counts * (count - 1) / count) for counts in drawn])
    lead = judge_lead(scores, units=units, seed=7)
    assert lead.expected == pytest.approx(wanted, abs=1e-12) and lead.expected < lead.observed


def test_the_upper_end_is_that_of_a_paired_interval():
    random = np.random.default_rng(0)
    hits = random.random((2, 300)) < np.array([[0.7], [0.9]])
    lead = judge_lead(hits)
    first, second = (np.stack([one, ~one], 1).astype(np.float32) for one in hits)
    pair = compare_predictions(np.zeros(300, np.int64), first, second, ("ant", "bee"), draws=2).metrics["accuracy"]
    wider = stats.t.ppf(0.975, 299) / stats.norm.ppf(0.975)
    assert lead.high - lead.observed == pytest.approx(wider * (pair.high - pair.low) / 2, rel=1e-9)
    assert lead.expected - lead.low == pytest.approx(lead.high - lead.observed, rel=1e-9)


@pytest.mark.parametrize(("trials", "images", "left"), [(5, 200, 0.4), (40, 100, 0.25), (20, 12, 0.25)])
def test_equal_trials_are_not_called_better(trials, images, left):
    leads = [lead for lead, _ in draw_leads(np.full(trials, 0.85), images, 120)]
    observed, expected = (np.array([getattr(lead, name) for lead in leads]) for name in ("observed", "expected"))
    assert observed.mean() > 0.015  # all of it is luck
    assert abs(expected.mean()) < left * observed.mean()
    assert sum(lead.is_better for lead in leads) <= 6  # of 120
    assert sum(lead.low <= 0 <= lead.high for lead in leads) >= 114


def test_a_true_lead_is_found_and_held():
    accuracies = np.full(20, 0.85)
    accuracies[13] = 0.90
    leads = draw_leads(accuracies, 600, 30)
    assert sum(lead.is_better for lead, _ in leads) >= 24
    assert sum(lead.low <= true <= lead.high for lead, true in leads) >= 27
    assert np.mean([lead.expected - true for lead, true in leads]) == pytest.approx(0, abs=0.01)


def test_trials_that_differ_are_held():
    accuracies = 0.85 + 0.02 * np.random.default_rng(5).standard_normal(30)
    leads = draw_leads(accuracies, 200, 50)
    assert sum(lead.low <= true <= lead.high for lead, true in leads) >= 46
    off = np.mean([(lead.observed - true, lead.expected - true) for lead, true in leads], 0)
    assert off[0] > 0.01 and abs(off[1]) < off[0] / 2


def test_more_equal_trials_mean_more_luck():
    scores = draw_scores(np.random.default_rng(0), np.full(100, 0.85), 200)
    few, many = judge_lead(scores[:4]), judge_lead(scores)
    assert many.luck > few.luck and many.observed > few.observed


def test_the_order_of_the_others_and_a_constant_an_image_change_nothing():
    random = np.random.default_rng(2)
    losses = -random.gamma(1, 0.5, (12, 80)) + 0.1 * np.arange(12)[:, None]
    lead = judge_lead(losses)
    assert lead.observed > 0
    order = np.array([0, *random.permutation(np.arange(1, 12))])
    assert astuple(judge_lead(losses[order])) == pytest.approx(astuple(lead), abs=1e-12)
    assert astuple(judge_lead(np.roll(losses, 5, 0), plain=5)) == pytest.approx(astuple(lead), abs=1e-12)
    moved = losses + random.standard_normal(80)
    assert astuple(judge_lead(moved))[:3] == pytest.approx(astuple(lead)[:3], abs=1e-12)
    assert astuple(judge_lead(3 * losses))[:5] == pytest.approx([3 * value for value in astuple(lead)[:5]])


def test_rounding_breaks_no_tie():
    hits = np.random.default_rng(1).random((30, 50)) < 0.8
    constant = np.random.default_rng(2).standard_normal(50) / 3
    assert astuple(judge_lead(hits + constant))[:3] == pytest.approx(astuple(judge_lead(hits))[:3], abs=1e-12)


def test_copies_of_images_are_one_witness():
    scores = draw_scores(np.random.default_rng(0), np.array([0.8, 0.85, 0.85, 0.9]), 100)
    once, copies = judge_lead(scores), judge_lead(np.repeat(scores, 4, 1), units=np.repeat(np.arange(100), 4))
    assert astuple(replace(copies, images=100)) == pytest.approx(astuple(once), abs=1e-12)
    assert judge_lead(np.repeat(scores, 4, 1)).low > copies.low


def test_the_name_of_a_unit_means_nothing():
    scores = np.random.default_rng(0).random((6, 40)) < 0.7
    units = np.arange(40) // 3
    assert judge_lead(scores, units=9 * units - 50) == judge_lead(scores, units=units)


@pytest.mark.parametrize("scores", [[[1, 0, 1]], [[1, 1, 0], [0, 1, 0]], [[1, 0, 1], [0, 1, 1]]])
def test_the_plain_recipe_wins_alone_and_ties(scores):
    lead = judge_lead(np.array(scores, float))
    assert astuple(lead) == (0, 0, 0, 0, 0, len(scores), 3)
    assert not lead.is_better
    assert judge_lead(np.array(scores[::-1], float), plain=len(scores) - 1) == lead


@pytest.mark.parametrize(("images", "units"), [(1, None), (30, np.full(30, 7))])
def test_one_unit_tells_nothing(images, units):
    lead = judge_lead(np.array([[0.0], [1.0]]) * np.ones(images), units=units)
    assert astuple(lead) == (1, 0, 1, -1, 1, 2, images)
    assert not lead.is_better


@pytest.mark.parametrize("images", [2, 3])
def test_a_few_images_alone_are_no_proof(images):
    lead = judge_lead(np.array([[0.0], [1.0]]) * np.ones(images))
    assert (lead.observed, lead.high) == (1, 1)
    assert lead.low < 0 and not lead.is_better


@pytest.mark.parametrize(
    ("scores", "options", "says"),
    [
        ([[1.0, 0.0], [np.nan, 1.0], [1.0, np.inf]], {}, r"trials \[1, 2\] are not finite"),
        ([[1.0, 0.0]], {"plain": 1}, "one of 1 trials"),
        ([[1.0, 0.0]], {"plain": -1}, "one of 1 trials"),
        ([[1.0, 0.0]], {"units": np.array([0])}, "units are one an image"),
        ([1.0, 0.0], {}, "at least one of each"),
        (np.zeros((2, 0)), {}, "at least one of each"),
        (np.zeros((0, 2)), {}, "at least one of each"),
    ],
)
def test_what_does_not_fit_is_refused(scores, options, says):
    with pytest.raises(ValueError, match=says):
        judge_lead(np.array(scores), **options)
