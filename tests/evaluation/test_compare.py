"""Paired comparisons against scipy, scikit-learn, enumeration of all signs, and closed testing."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, f1_score
from sklearn.metrics import log_loss as sklearn_log_loss

from sightline.errors import DataError
from sightline.evaluation.compare import Change, Comparison, compare_predictions, compare_several
from sightline.evaluation.metrics import METRICS, OfRanking
from sightline.evaluation.paired import holm, mid_p

COUNT = st.integers(0, 60)


def units(fixed: int, broken: int) -> np.ndarray:
    return np.array([1] * fixed + [-1] * broken + [0, 0], np.int64)


@given(COUNT, COUNT)
def test_mid_p_is_the_exact_binomial_less_half_of_what_was_seen(fixed: int, broken: int) -> None:
    n = fixed + broken
    if not n:
        assert mid_p(units(0, 0)) == 1
        return
    exact = stats.binomtest(fixed, n, 0.5).pvalue
    seen = float(stats.binom.pmf(fixed, n, 0.5))
    # Of two tails the exact one takes both points; where both are one point, all of it.
    wanted = exact - seen if fixed != broken else 1.0
    assert mid_p(units(fixed, broken)) == pytest.approx(wanted, abs=1e-12)


def test_mid_p_is_the_published_one() -> None:
    """Fagerland, Lydersen and Laake (2013), table 1: airway hyper-responsiveness, 1 and 7 discordant pairs."""
    assert mid_p(units(1, 7)) == pytest.approx(0.0391, abs=5e-5)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_mid_p_of_groups_is_that_of_all_signs(differences: list[int]) -> None:
    values = np.array(differences, np.int64)
    sums = np.array([sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in SIGNS[len(differences)]])
    seen = abs(int(values.sum()))
    wanted = float((np.abs(sums) > seen).mean()) + float((np.abs(sums) == seen).mean()) / 2
    assert mid_p(values) == pytest.approx(1.0 if seen == 0 else wanted, abs=1e-12)


SIGNS = {n: list(itertools.product((1, -1), repeat=n)) for n in range(1, 10)}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p: list[float]) -> None:
    every = range(len(p))
    sets = [chosen for size in range(1, len(p) + 1) for chosen in itertools.combinations(every, size)]
    closed = [
        max(min(1.0, len(chosen) * min(p[k] for k in chosen)) for chosen in sets if mine in chosen) for mine in every
    ]
    assert holm(p) == pytest.approx(closed, abs=1e-12)


# -- the figures ------------------------------------------------------------------------------------------------


def make(n: int = 300, classes: int = 4, *, seed: int = 0, gain: float = 0.1) -> tuple[np.ndarray, ...]:
    """Return labels, and probabilities of two classifiers; ``gain`` of the images the second alone has right."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    first, second = (random.dirichlet(np.ones(classes), n) for _ in range(2))
    for array, share in ((first, 0.6), (second, 0.6 + gain)):
        right = random.random(n) < share
        array[right, labels[right]] += 1
    return labels, *((array / array.sum(1, keepdims=True)).astype(np.float32) for array in (first, second))


COMPARED = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier")
NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, ...]:
    return make()


@pytest.fixture(scope="module")
def comparison(case: tuple[np.ndarray, ...]) -> Comparison:
    return compare_predictions(*case, NAMES, draws=200)


def oracle(labels: np.ndarray, said: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    predicted, every = said.argmax(1), list(range(said.shape[1]))
    wide = said.astype(np.float64)
    wide /= wide.sum(1, keepdims=True)
    return {
        "accuracy": accuracy_score(labels, predicted, sample_weight=weights),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted, sample_weight=weights),
        "macro_f1": f1_score(labels, predicted, average="macro", sample_weight=weights, labels=every),
        "log_loss": sklearn_log_loss(labels, wide, sample_weight=weights, labels=every),
        "brier": brier_score_loss(labels, wide, sample_weight=weights, labels=every, scale_by_half=False),
    }


def test_the_figures_are_scikit_learns(case: tuple[np.ndarray, ...], comparison: Comparison) -> None:
    labels, *both = case
    first, second = (oracle(labels, said) for said in both)
    ranked = {name for name, metric in METRICS.items() if isinstance(metric.compute, OfRanking)}
    assert list(comparison.metrics) == [name for name in METRICS if name not in {*ranked, "top_5"}]
    for name, change in comparison.metrics.items():
        if name not in first:
            continue
        assert (change.first, change.second) == pytest.approx((first[name], second[name]), abs=1e-6), name
        assert change.difference == change.second - change.first
        assert change.low <= change.difference <= change.high


def test_the_interval_is_that_of_resampled_images_of_each_class(case: tuple[np.ndarray, ...]) -> None:
    """Drawn again, another way and with other numbers: the ends agree as far as chance in the draws lets them."""
    labels, first, second = case
    found = compare_predictions(labels, first, second, NAMES, draws=1_000)
    random = np.random.default_rng(99)
    of_class = [np.flatnonzero(labels == label) for label in range(4)]
    truth = np.eye(4)[labels]
    squares = ((second - truth) ** 2 - (first - truth) ** 2).sum(1)
    drawn = []
    for _ in range(250):
        rows = np.concatenate([random.choice(own, len(own)) for own in of_class])
        before, after = (
            [measure(labels[rows], said[rows].argmax(1)) for measure in (balanced_accuracy_score, macro_f1_score)]
            for said in (first, second)
        )
        drawn.append([after[0] - before[0], after[1] - before[1], squares[rows].mean()])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    for place, name in enumerate(("balanced_accuracy", "macro_f1", "brier")):
        change = found.metrics[name]
        assert (change.low, change.high) == pytest.approx((low[place], high[place]), abs=0.15 * (high - low)[place])


def test_small_classes_do_not_make_the_interval_too_narrow() -> None:
    """Rao and Wu: of a class of 8 images 7 are drawn, so that the variance is that of a sample, not of 8 numbers."""
    labels = np.zeros(8, np.int64)
    first = np.full((8, 2), 0.5, np.float32)
    second = np.stack([np.linspace(0.1, 0.9, 8), 1 - np.linspace(0.1, 0.9, 8)], 1).astype(np.float32)
    change = compare_predictions(labels, first, second, ("a", "b"), draws=20_000).metrics["brier"]
    squares = 2 * (1 - second[:, 0].astype(np.float64)) ** 2 - 0.5
    drawn = np.random.default_rng(4).choice(squares, (20_000, 7)).mean(1)
    assert (change.low, change.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=0.015)
    assert change.high - change.low > 1.04 * np.subtract(
        *np.quantile(np.random.default_rng(5).choice(squares, (20_000, 8)).mean(1), (0.975, 0.025))
    )


def test_every_class_keeps_its_weight_in_every_draw() -> None:
    """All images of a class change alike: whatever is drawn, the difference is the same, if classes keep their size."""
    labels = np.repeat([0, 1, 2], [2, 7, 40])
    first = np.eye(3, dtype=np.float32)[labels] * 0.4 + 0.2
    second = np.eye(3, dtype=np.float32)[labels] * np.array([0.7, 0.4, 0.1], np.float32)[labels, None]
    second += (1 - second.sum(1, keepdims=True)) / 3
    found = compare_predictions(labels, first, second, ("a", "b", "c"), draws=50)
    for name in ("log_loss", "brier"):
        change = found.metrics[name]
        assert (change.low, change.high) == pytest.approx((change.difference, change.difference), abs=1e-12)


def macro_f1_score(labels: np.ndarray, predicted: np.ndarray) -> float:
    return f1_score(labels, predicted, average="macro")


def test_the_interval_of_accuracy_is_the_published_one() -> None:
    """Fagerland, Lydersen and Laake (2014): 21 children, 7 and 1 discordant; -0.508 to -0.013."""
    labels = np.zeros(21, np.int64)
    first, second = (np.tile(np.array([0.9, 0.1], np.float32), (21, 1)) for _ in range(2))
    first[0] = second[1:8] = (0.1, 0.9)
    change = compare_predictions(labels, first, second, ("a", "b"), draws=10).metrics["accuracy"]
    assert (change.low, change.high) == pytest.approx((-0.508, -0.013), abs=5e-4)


def test_intervals_hold_the_truth() -> None:
    """Of pairs that are equally good, about 95 in 100 intervals hold zero."""
    inside = dict.fromkeys(COMPARED, 0)
    for seed in range(100):
        found = compare_predictions(*make(150, 3, seed=seed, gain=0), ("a", "b", "c"), draws=150, seed=seed)
        for name in COMPARED:
            change = found.metrics[name]
            inside[name] += change.low <= 0 <= change.high
    assert all(88 <= count <= 100 for count in inside.values()), inside


def test_counts_and_rows_are_those_of_the_images(case: tuple[np.ndarray, ...], comparison: Comparison) -> None:
    labels, first, second = case
    before, after = first.argmax(1) == labels, second.argmax(1) == labels
    assert comparison.corrected_rows == tuple(np.flatnonzero(~before & after))
    assert comparison.newly_wrong_rows == tuple(np.flatnonzero(before & ~after))
    assert (
        comparison.both_right + comparison.both_wrong + comparison.corrected + comparison.newly_wrong
        == comparison.n
        == 300
    )


def test_a_class_that_alone_got_worse_is_found() -> None:
    labels = np.repeat(np.arange(4), 60)
    first = np.eye(4, dtype=np.float32)[labels] * 0.8 + 0.05
    second = first.copy()
    second[60:72] = np.roll(second[60:72], 1, axis=1)  # bee
    second[200] = np.roll(second[200], 1)  # dog: one image is chance
    rows = {row.name: row for row in compare_predictions(labels, first, second, NAMES, draws=20).classes}
    assert [name for name, row in rows.items() if row.is_significant] == ["bee"]
    assert (rows["bee"].corrected, rows["bee"].newly_wrong, rows["bee"].n) == (0, 12, 60)
    assert (rows["bee"].first, rows["bee"].second) == (1.0, 0.8)
    assert rows["bee"].p == pytest.approx(2 * 0.5**12 - 0.5**12)
    assert rows["bee"].p_adjusted == pytest.approx(4 * rows["bee"].p)


def test_a_class_without_images_is_left_out() -> None:
    labels, first, second = make(100, 4)
    labels = np.minimum(labels, 2)
    assert [row.name for row in compare_predictions(labels, first, second, NAMES, draws=5).classes] == list(NAMES[:3])


# -- groups -----------------------------------------------------------------------------------------------------


def test_images_of_a_group_are_one_witness() -> None:
    """Ten images of each patient go one way together: eight patients, not eighty images."""
    labels = np.tile([0, 1], 100)
    first = np.eye(2, dtype=np.float32)[labels] * 0.8 + 0.1
    second = first.copy()
    first[:20], second[20:80] = first[:20, ::-1], second[20:80, ::-1]
    groups = np.arange(200) // 10
    alone = compare_predictions(labels, first, second, ("a", "b"), draws=200)
    grouped = compare_predictions(labels, first, second, ("a", "b"), groups=groups, draws=200)
    assert alone.is_significant and not grouped.is_significant
    assert (alone.units, grouped.units) == (200, 20)
    assert grouped.p == pytest.approx(stats.binomtest(2, 8).pvalue - stats.binom.pmf(2, 8, 0.5))
    wide, narrow = (one.metrics["accuracy"] for one in (grouped, alone))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert "groups" in wide.method


def test_groups_without_a_change_are_not_taken_for_certainty() -> None:
    """A bootstrap of groups would say from 0 to 0; as many single images are known not to show that."""
    labels = np.tile([0, 1], 50)
    said = np.eye(2, dtype=np.float32)[labels] * 0.8 + 0.1
    alone = compare_predictions(labels, said, said, ("a", "b"), draws=20).metrics["accuracy"]
    pairs = compare_predictions(labels, said, said, ("a", "b"), groups=np.arange(100) // 2, draws=20).metrics[
        "accuracy"
    ]
    one = compare_predictions(
        labels, said, said, ("a", "b"), groups=np.where(np.arange(100) < 2, 7, -1), draws=20
    ).metrics["accuracy"]
    assert pairs.high == -pairs.low > alone.high > 0.02
    assert one.high == -one.low == pytest.approx(alone.high, rel=0.1)


@pytest.mark.parametrize(
    ("groups", "images", "changed"), [(20, 1, 0.02), (100, 1, 0.05), (10, 20, 0.05), (30, 10, 0.1)]
)
def test_the_interval_of_few_changed_groups_holds_the_truth(groups: int, images: int, changed: float) -> None:
    """Three of four changes are for the better, and a tenth of the groups goes one way as a whole."""
    random = np.random.default_rng(groups)
    up, down = 0.75 * changed, 0.25 * changed
    unit = np.arange(groups * images) // images
    labels, held = np.zeros(len(unit), np.int64), []
    for _ in range(200):
        drawn = random.choice([1, -1, 0], (2, len(unit)), p=[up, down, 1 - changed])
        gain = np.where(random.random(groups)[unit] < 0.1, drawn[0][unit * images], drawn[1])
        right = np.array([[0.1, 0.9], [0.9, 0.1]], np.float32)
        before = np.where(gain == 0, 1, (gain < 0).astype(int))
        one, other = right[before], right[before + gain]
        found = compare_predictions(labels, one, other, ("a", "b"), groups=unit, draws=2).metrics["accuracy"]
        held.append(found.low <= up - down <= found.high)
    assert np.mean(held) > 0.9


def test_images_without_a_group_stand_for_themselves(case: tuple[np.ndarray, ...], comparison: Comparison) -> None:
    none = compare_predictions(*case, NAMES, groups=np.full(300, -1), draws=200)
    assert (none.p, none.units) == (comparison.p, 300)
    assert none.metrics["macro_f1"].low == comparison.metrics["macro_f1"].low
    some = compare_predictions(*case, NAMES, groups=np.where(np.arange(300) < 10, 3, -1), draws=5)
    assert some.units == 291


# -- several, words, JSON ---------------------------------------------------------------------------------------


def test_several_are_corrected_for_how_many_they_are() -> None:
    labels, first, second = make(400, 4, gain=0.07)
    third = make(400, 4, seed=5, gain=0)[1]
    pairs = compare_several(labels, [first, second, third, first], NAMES)
    assert [pair.p_adjusted for pair in pairs] == holm([pair.p for pair in pairs])
    assert pairs[0].p_adjusted > pairs[0].p
    assert pairs[2].p_adjusted == 1 and not pairs[2].corrected + pairs[2].newly_wrong


def test_the_verdict_is_in_plain_words() -> None:
    labels = np.zeros(100, np.int64)
    right = np.tile(np.array([0.9, 0.1], np.float32), (100, 1))

    def without(*rows: int) -> np.ndarray:
        said = right.copy()
        said[list(rows)] = said[list(rows), ::-1]
        return said

    def verdict(first: np.ndarray, second: np.ndarray) -> str:
        return compare_predictions(labels, first, second, ("x", "y"), draws=5).verdict("a", "b")

    assert verdict(without(*range(9)), without(9)).startswith("b is better: of 100 images b is right on 9")
    assert verdict(without(9), without(*range(9))).startswith("b is worse: of 100 images b is right on 1")
    chance = verdict(without(1, 2), without(3))
    assert (
        chance.startswith("No significant difference in accuracy: of")
        and "right on 2 that a gets wrong, and wrong on 1" in chance
    )
    assert verdict(right, right) == "No significant difference in accuracy: b and a are right on the same images."


def test_probabilities_that_differ_clearly_are_told_where_the_accuracy_does_not() -> None:
    labels = np.zeros(200, np.int64)
    sure, unsure = (np.tile(np.array([p, 1 - p], np.float32), (200, 1)) for p in (0.95, 0.6))
    sure[:10], unsure[:10] = [0.3, 0.7], [0.3, 0.7]
    better = compare_predictions(labels, unsure, sure, ("x", "y"), draws=200).verdict("a", "b")
    assert better.startswith("No significant difference in accuracy")
    before, after = (sklearn_log_loss(labels, said, labels=[0, 1]) for said in (unsure, sure))
    assert "log-loss is clearly lower with b: better" in better and f"({before:.4f}, then {after:.4f}" in better
    worse = compare_predictions(labels, sure, unsure, ("x", "y"), draws=200).verdict("a", "b")
    assert "log-loss is clearly higher with b: worse" in worse


def test_a_comparison_is_json(comparison: Comparison) -> None:
    fields = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert fields["corrected"] == len(fields["corrected_rows"])
    assert fields["metrics"]["brier"]["low"] == comparison.metrics["brier"].low
    assert fields["is_significant"] is comparison.is_significant
    assert [row["is_significant"] for row in fields["classes"]] == [row.is_significant for row in comparison.classes]


@pytest.mark.parametrize("labels", [np.zeros(0, np.int64), np.zeros(3, np.int64)])
def test_what_does_not_fit_together_is_refused(labels: np.ndarray) -> None:
    said = np.full((2, 2), 0.5, np.float32)
    with pytest.raises(ValueError, match="labels"):
        compare_predictions(labels, said, said, ("a", "b"))


def test_classes_of_one_image_are_not_called_different_by_chance() -> None:
    random, clear = np.random.default_rng(0), 0
    for _ in range(40):
        first, second = (random.dirichlet(np.ones(20), 20).astype(np.float32) for _ in range(2))
        found = compare_predictions(np.arange(20), first, second, tuple(map(str, range(20))), draws=200)
        clear += found.metrics["log_loss"].is_clear
    assert clear <= 6


def test_one_group_alone_is_not_compared() -> None:
    said = np.full((5, 2), 0.5, np.float32)
    with pytest.raises(DataError) as caught:
        compare_predictions(np.zeros(5, np.int64), said, said, ("a", "b"), groups=np.zeros(5, np.intp))
    assert caught.value.code == "compare.too-few"


def test_several_comparisons_have_wider_intervals() -> None:
    labels, random = np.arange(300) % 2, np.random.default_rng(0)
    said = [random.dirichlet([2, 1], 300).astype(np.float32) for _ in range(4)]
    alone = compare_several(labels, said[:2], ("a", "b"))[0].metrics
    among = compare_several(labels, said, ("a", "b"))[0].metrics
    for name, change in alone.items():
        assert among[name].low < change.low and change.high < among[name].high
    assert "98.3 %" in among["brier"].method


def test_an_interval_that_ends_at_zero_because_one_image_changed_is_not_shown():
    few = Change(0.9, 0.92, 0.02, 0.0, 0.06, "")
    assert few.cells("macro_f1")[2] == "+2.0 points (too few changed images for an interval)"
    assert "too few" not in Change(0.9, 0.9, 0.0, 0.0, 0.0, "").cells("macro_f1")[2]
