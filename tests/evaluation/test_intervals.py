"""Intervals against scipy, and what they promise: that the truth lies inside."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from sightline.evaluation.intervals import Figure, bootstrap_macro, wilson
from sightline.evaluation.metrics import MACRO_METRICS


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case: tuple[int, int]) -> None:
    hits, n = case
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    figure = wilson(hits, n)
    assert (figure.low, figure.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert (figure.value, figure.n) == (hits / n, n)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 12345])
def test_wilson_reaches_exactly_0_and_1_at_the_ends(n: int) -> None:
    assert wilson(0, n).low == 0.0
    assert wilson(n, n).high == 1.0
    assert 0 < wilson(n, n).low < 1


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(hits, n)


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(0.93, 0.86, 0.97, 100, ""), "93 % (86 to 97, n=100)"),
        (Figure(0.9312, 0.9213, 0.9402, 12_345, ""), "93.1 % (92.1 to 94.0, n=12,345)"),
        (Figure(0.93125, 0.93011, 0.93212, 9, ""), "93.12 % (93.01 to 93.21, n=9)"),
        (Figure(1.0, 0.929, 1.0, 50, ""), "100 % (93 to 100, n=50)"),
    ],
)
def test_a_figure_shows_the_digits_that_its_interval_allows(figure: Figure, text: str) -> None:
    assert str(figure) == text


def test_a_figure_is_json() -> None:
    fields = json.loads(json.dumps(wilson(3, 4).to_dict()))
    assert Figure(**fields) == wilson(3, 4)
    assert "Wilson" in fields["method"]


def accuracy(counts: np.ndarray) -> float:
    return float(counts[0].sum() / counts[1].sum())


def test_the_bootstrap_counts_hits_support_and_predictions() -> None:
    labels, said = np.array([2, 0, 0, 1, 0]), np.array([2, 0, 1, 1, 2])
    seen = []
    bootstrap_macro(labels, said, 4, {"x": lambda counts: float(seen.append(counts) or 0)}, draws=20)
    assert any((counts == [[1, 1, 1, 0], [3, 1, 1, 0], [1, 2, 2, 0]]).all() for counts in seen)
    for counts in seen:
        assert counts[1].tolist() == [3, 1, 1, 0]  # stratified: as many of each class as there are
        assert counts[2].sum() == 5
        assert (counts[0] <= counts[1]).all()
        assert counts[0, 1] == counts[0, 2] == 1  # a class of one image can only be drawn as it is


def test_the_bootstrap_depends_on_its_seed_alone_and_not_on_the_order() -> None:
    random = np.random.default_rng(0)
    labels, said = random.integers(0, 4, 200), random.integers(0, 4, 200)
    first = bootstrap_macro(labels, said, 4, MACRO_METRICS, seed=1)
    assert bootstrap_macro(labels, said, 4, MACRO_METRICS, seed=1) == first
    assert bootstrap_macro(labels, said, 4, MACRO_METRICS, seed=2) != first


def test_a_classifier_that_is_always_right_has_no_spread() -> None:
    labels = np.repeat(np.arange(3), 20)
    for figure in bootstrap_macro(labels, labels, 3, MACRO_METRICS).values():
        assert (figure.low, figure.value, figure.high, figure.n) == (1, 1, 1, 60)


def test_the_bootstraps_interval_is_about_that_of_the_normal_distribution() -> None:
    """Recall of one class, 400 images, 75 % right: half the width is 1.96 times the standard error."""
    labels = np.zeros(400, np.int64)
    said = np.r_[np.zeros(300, np.int64), np.ones(100, np.int64)]
    figure = bootstrap_macro(labels, said, 2, {"accuracy": accuracy}, draws=4000)["accuracy"]
    spread = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (figure.low, figure.value, figure.high) == pytest.approx((0.75 - spread, 0.75, 0.75 + spread), abs=0.006)


def test_the_bootstraps_interval_holds_the_truth_about_95_times_in_100() -> None:
    """Two classes with recall 0.9 and 0.7; 150 data sets; 95 % of 150 is 142."""
    random = np.random.default_rng(5)
    labels = np.repeat([0, 1], [120, 80])
    inside = 0
    for _ in range(150):
        right = random.random(200) < np.where(labels == 0, 0.9, 0.7)
        said = np.where(right, labels, 1 - labels)
        recall = {"recall": MACRO_METRICS["macro_recall"]}
        figure = bootstrap_macro(labels, said, 2, recall, draws=200)["recall"]
        inside += figure.low <= 0.8 <= figure.high
    assert 132 <= inside <= 149
