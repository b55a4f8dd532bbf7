"""Intervals against scipy, and what they promise: that the truth lies inside."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest
from statsmodels.stats.proportion import confint_proportions_2indep

from sightline.evaluation.intervals import (
    Interval,
    draw_weights,
    effective_count,
    join_units,
    macro_intervals,
    mean_interval,
    newcombe,
    pool_shares,
    proportion,
    wilson,
)
from sightline.evaluation.metrics import METRICS, OfCounts, balanced_accuracy


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case: tuple[int, int]) -> None:
    hits, n = case
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    figure = wilson(hits, n)
    assert (figure.low, figure.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert (figure.value, figure.n) == (hits / n, n)


OF_COUNTS = {name: one.compute.of for name, one in METRICS.items() if isinstance(one.compute, OfCounts)}


@pytest.mark.parametrize("n", [1, 2, 7, 100, 12345])
def test_wilson_reaches_exactly_0_and_1_at_the_ends(n: int) -> None:
    assert wilson(0, n).low == 0.0
    assert wilson(n, n).high == 1.0
    assert 0 < wilson(n, n).low < 1


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="is not a proportion"):
        wilson(hits, n)


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Interval(0.93, 0.86, 0.97, 100, ""), "93 % (86 to 97, n=100)"),
        (Interval(0.9312, 0.9213, 0.9402, 12_345, ""), "93.1 % (92.1 to 94.0, n=12,345)"),
        (Interval(0.93125, 0.93011, 0.93212, 9, ""), "93.12 % (93.01 to 93.21, n=9)"),
        (Interval(1.0, 0.929, 1.0, 50, ""), "100 % (93 to 100, n=50)"),
    ],
)
def test_a_figure_shows_the_digits_that_its_interval_allows(figure: Interval, text: str) -> None:
    assert str(figure) == text


def test_a_figure_is_json() -> None:
    fields = json.loads(json.dumps(wilson(3, 4).to_dict()))
    assert Interval(**fields) == wilson(3, 4)
    assert "Wilson" in fields["method"]


def accuracy(counts: np.ndarray) -> np.ndarray:
    return counts[..., 0, :].sum(-1) / counts[..., 1, :].sum(-1)


def matrix_of(labels: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(labels * classes + said, minlength=classes * classes).reshape(classes, classes)


def test_macro_figures_are_drawn_with_the_support_that_there_is() -> None:
    matrix = matrix_of(np.array([2, 0, 0, 1, 0]), np.array([2, 0, 1, 1, 2]), 4)
    seen = []

    def note(counts: np.ndarray) -> np.ndarray:
        seen.extend(counts.reshape(-1, 3, 4))
        return np.zeros(counts.shape[:-2])

    macro_intervals(matrix, {"x": note}, draws=20)
    assert len(seen) == 21
    assert any((counts == [[1, 1, 1, 0], [3, 1, 1, 0], [1, 2, 2, 0]]).all() for counts in seen)
    for counts in seen:
        assert counts[1].tolist() == [3, 1, 1, 0]
        assert counts[2].sum() == pytest.approx(5)
        assert (counts[0] <= counts[1] + 1e-9).all()


def test_macro_intervals_depend_on_their_seed_alone() -> None:
    random = np.random.default_rng(0)
    matrix = matrix_of(random.integers(0, 4, 200), random.integers(0, 4, 200), 4)
    first = macro_intervals(matrix, OF_COUNTS, seed=1)
    assert macro_intervals(matrix, OF_COUNTS, seed=1) == first
    assert macro_intervals(matrix, OF_COUNTS, seed=2) != first


@pytest.mark.parametrize("count", [2, 5, 20])
def test_a_classifier_without_a_mistake_is_not_taken_for_perfect(count: int) -> None:
    """Jeffreys' lower end for all n right is about the truth that all n right would be rare for."""
    jeffreys = stats.beta.ppf(0.025, 3 * count + 0.5, 0.5)
    for name, figure in macro_intervals(np.diag([count] * 3), OF_COUNTS).items():
        assert (figure.value, figure.high, figure.n) == (1, 1, 3 * count)
        low = (
            1 - (1 - figure.low) * 2 / 3 if METRICS[name].least < 0 else figure.low
        )  # of three classes chance is a third
        assert jeffreys - 0.35 / count < low < jeffreys + 0.05 / count, name


def test_answers_that_are_all_one_class_leave_a_wide_interval() -> None:
    for figure in macro_intervals(np.array([[3, 0], [3, 0]]), OF_COUNTS).values():
        assert figure.low < figure.value < figure.high
        assert figure.high - figure.low > 0.1


def test_the_interval_of_one_class_is_about_that_of_the_normal_distribution() -> None:
    """Recall of one class, 400 images, 75 % right: half the width is 1.96 times the standard error."""
    figure = macro_intervals(np.array([[300, 100], [0, 0]]), {"accuracy": accuracy}, draws=4000)["accuracy"]
    spread = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (figure.low, figure.value, figure.high) == pytest.approx((0.75 - spread, 0.75, 0.75 + spread), abs=0.006)


@pytest.mark.parametrize(
    ("counts", "recalls"), [([120, 80], [0.9, 0.7]), ([15] * 5, [0.97] * 5), ([100, 10, 10], [0.95, 0.8, 0.9])]
)
def test_macro_intervals_hold_the_truth_about_95_times_in_100(counts: list[int], recalls: list[float]) -> None:
    """200 data sets each. Three classes, two of them with 10 images, are held in 90 of 100: 180, deviation 4.2."""
    random = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        hits = random.binomial(counts, recalls)
        matrix = np.diag(hits) + np.roll(np.diag(np.array(counts) - hits), 1, axis=1)
        figure = macro_intervals(matrix, {"recall": balanced_accuracy}, draws=200)["recall"]
        inside += figure.low <= np.mean(recalls) <= figure.high
    assert 171 <= inside <= 200


def test_classes_of_one_image_are_drawn_together() -> None:
    random = np.random.default_rng(0)
    held = 0
    for seed in range(80):
        figure = mean_interval(random.exponential(1.0, 60), np.arange(60), seed=seed)
        held += figure.low <= 1 <= figure.high
    assert held >= 70
    two_and_one = list(draw_weights(np.array([0, 0, 1]), rounds=200, seed=0))
    assert all(weights.sum() == pytest.approx(3) for weights in two_and_one)
    assert len({tuple(weights) for weights in two_and_one}) > 2  # the single one varies with the others


def test_one_image_alone_has_no_interval() -> None:
    figure = mean_interval(np.array([0.5108]), np.array([0]))
    assert figure.plain() == "0.51 (no interval, n=1)"
    of_one_group = mean_interval(np.array([0.5, 0.7]), np.array([0, 1]), np.array([3, 3]))
    assert "no interval" in of_one_group.plain()


def test_few_images_in_most_classes_are_said() -> None:
    thin, enough = (macro_intervals(np.diag([count] * 5), OF_COUNTS)["macro_f1"].method for count in (9, 10))
    assert "too narrow" in thin and "too narrow" not in enough


def test_the_interval_of_a_difference_is_newcombes() -> None:
    for hits, n, others, m in ((40, 50, 80, 90), (0, 20, 30, 60), (25, 25, 40, 50)):
        wanted = confint_proportions_2indep(hits, n, others, m, method="newcomb", compare="diff")
        assert newcombe(hits, n, others, m) == pytest.approx(wanted, abs=1e-9)


def cluster_robust_count(values: np.ndarray, units: np.ndarray, n: int) -> float:
    """statsmodels gives the variance of a mean with and without clusters; their ratio is how many images are worth."""
    from statsmodels.api import OLS

    model = OLS(values.astype(float), np.ones(len(units)))
    clustered = model.fit(cov_type="cluster", cov_kwds={"groups": units, "use_correction": False}).bse[0]
    return float(n * (model.fit(cov_type="HC0").bse[0] / clustered) ** 2)


@pytest.mark.parametrize("is_share", [True, False])
def test_the_effective_count_is_that_of_cluster_robust_variances(is_share: bool) -> None:
    """Of a share where a thousand units hold mistakes and hits, so that two units more don't matter."""
    random, count = np.random.default_rng(0), 1_500 if is_share else 40
    units = np.repeat(np.arange(count), random.integers(1, 9, count))
    level = random.normal(size=count)[units] + random.normal(0, 1.5, len(units))
    values = level > 0 if is_share else level
    wanted = cluster_robust_count(values, units, len(units))
    assert wanted < 0.8 * len(units)
    assert effective_count(values, units) == round(wanted)


@pytest.mark.parametrize("wrong", [[], [0], [0, 1, 30], [*range(20), 45, 81, 117]])
@pytest.mark.parametrize("is_turned", [False, True])
def test_few_mistakes_are_judged_with_a_unit_wholly_right_and_one_wholly_wrong(wrong, is_turned) -> None:
    """And few hits: statsmodels with the two units beside the sixteen."""
    hits, units = np.ones(320, bool), np.repeat(np.arange(16), 20)
    hits[wrong] = False
    hits ^= is_turned
    with_two = np.concatenate([hits, np.repeat([True, False], 20)])
    wanted = cluster_robust_count(with_two, np.repeat(np.arange(18), 20), 320)
    assert effective_count(hits, units) == round(wanted)


def test_one_wrong_image_does_not_make_forty_originals_twelve_hundred_witnesses() -> None:
    units, hits = np.repeat(np.arange(40), 30), np.ones(1_200, bool)
    right = proportion(hits, units)
    for row in (100, 400, 700, 1_000):
        hits[row] = False
        found = proportion(hits, units)
        assert found.low < right.low + 0.01 and found.independent < 50


@pytest.mark.parametrize(
    ("count", "size", "by_unit", "by_image"),
    [(40, 30, 0.04, 0.005), (71, 35, 0.03, 0.005), (20, 20, 0.05, 0.01), (100, 10, 0.03, 0.005), (40, 10, 0, 0.1)],
)
def test_intervals_hold_the_truth_where_mistakes_come_by_units_and_one_by_one(count, size, by_unit, by_image) -> None:
    """In 95 of 100, less three deviations: a unit is wrong as a whole, or an image alone."""
    random, held, units = np.random.default_rng(0), 0, np.repeat(np.arange(count), size)
    truth = (1 - by_unit) * (1 - by_image)
    for _ in range(400):
        hits = ~((random.random(count) < by_unit)[units] | (random.random(len(units)) < by_image))
        found = proportion(hits, units)
        held += found.low <= truth <= found.high
    assert held >= 367


@pytest.mark.parametrize(
    ("count", "size", "right", "alike"), [(40, 10, 0.8, 0.1), (100, 10, 0.95, 0.3), (60, 8, 0.9, 0.6)]
)
def test_intervals_over_units_are_honest_and_not_needlessly_wide(count, size, right, alike) -> None:
    """Units with a share of their own: the truth is held, by intervals at most 15 % wider than shares vary."""
    random, held, units = np.random.default_rng(0), 0, np.repeat(np.arange(count), size)
    widths, values = [], []
    for _ in range(400):
        own = random.beta(right * (1 / alike - 1), (1 - right) * (1 / alike - 1), count)
        found = proportion(random.random(len(units)) < own[units], units)
        held += found.low <= right <= found.high
        widths.append(found.high - found.low)
        values.append(found.value)
    assert held >= 367
    assert np.mean(widths) < 1.15 * 2 * 1.96 * np.std(values)


def test_versions_of_few_originals_are_worth_as_many_images_as_there_are_originals() -> None:
    random = np.random.default_rng(0)
    right, count = random.random(71) < 0.8, 35
    hits, units = np.repeat(right, count), np.repeat(np.arange(71), count)
    found, alone = proportion(hits, units), wilson(int(right.sum()), 71)
    assert (found.n, found.n_effective) == (71 * count, 71)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.05)  # Student's quantile for 71 units
    assert found.counted == "n=2,485, effective n=71" and "effective n=71" in str(found)
    assert "effective n=71" in mean_interval(np.repeat(random.random(71), count), units * 0, units).plain()
    assert proportion(np.ones(len(units), bool), units).n_effective == 71


def test_independent_images_have_no_effective_count() -> None:
    found = proportion(np.arange(50) < 40, np.arange(50))
    assert found == wilson(40, 50) and "n_effective" not in found.to_dict()
    assert Interval(**found.to_dict()) == found


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=2, max_size=30), st.integers(1, 29))
def test_shares_of_sets_are_pooled_as_if_they_had_been_one(units: list[tuple[int, bool]], cut: int) -> None:
    sizes, right = zip(*units, strict=True)
    numbers, hits = np.repeat(np.arange(len(units)), sizes), np.repeat(right, sizes)
    first = numbers < min(cut, len(units) - 1)
    pooled = pool_shares([proportion(hits[part], numbers[part]) for part in (first, ~first)], len(units))
    assert (pooled.value, pooled.n) == (hits.mean(), len(hits))
    assert pooled.low <= pooled.value <= pooled.high
    assert pooled.independent <= len(hits)
    if all(size == 1 for size in sizes):
        assert pooled == wilson(int(hits.sum()), len(hits))


def test_a_pooled_interval_is_about_that_of_all_groups_together() -> None:
    random = np.random.default_rng(0)
    units = np.repeat(np.arange(200), 5)
    hits = np.repeat(random.random(200) < 0.8, 5)
    parts = np.array_split(np.arange(1000), 5)
    pooled, whole = pool_shares([proportion(hits[part], units[part]) for part in parts], 200), proportion(hits, units)
    assert pooled.independent == pytest.approx(whole.independent, rel=0.05)
    assert pooled.high - pooled.low == pytest.approx(whole.high - whole.low, rel=0.05)


def test_a_set_that_is_pooled_alone_keeps_its_interval_and_few_groups_hold_the_truth() -> None:
    """500 cross-validations of five folds of five patients: 475 are due, 457 would be chance in 19 of 20 of those."""
    units = np.repeat(np.arange(6), 10)
    alone = proportion(np.repeat([True, True, True, False, True, True], 10), units)
    pooled = pool_shares([alone], 6)
    assert (pooled.low, pooled.high) == pytest.approx((alone.low, alone.high))
    random, held, units = np.random.default_rng(0), 0, np.repeat(np.arange(5), 10)
    for _ in range(500):
        folds = [proportion((random.random(5) < 0.8)[units], units) for _ in range(5)]
        pooled = pool_shares(folds, 25)
        held += pooled.low <= 0.8 <= pooled.high
    assert held >= 465


def test_units_are_joined_where_any_of_them_joins() -> None:
    assert join_units() is None and join_units(None, None) is None
    only = np.array([0, 1, 1])
    assert join_units(None, only) is only
    joined = join_units(np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3]))
    assert joined.tolist() == [0, 0, 0, 1, 2]
