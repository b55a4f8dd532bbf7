"""The gap between validation and test: against scipy, on honest splits of real features, and planted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from statsmodels.stats.proportion import confint_proportions_2indep

from sightline.evaluation.gap import LEVEL, Gap, PartFacts, compare_ranks, find_gap, nearest_distances
from sightline.evaluation.shift import LabelledPredictions

NOTHING = PartFacts(None, {}, {})
NAMES = tuple("0123456789")


def part(labels, predicted, units=None) -> LabelledPredictions:
    return LabelledPredictions(np.asarray(labels), np.asarray(predicted), np.ones(len(labels), np.float32), units)


def of(right: int, n: int) -> LabelledPredictions:
    return part(np.zeros(n, np.int64), np.repeat([0, 1], [right, n - right]))


def gap_of(validation, test, facts=(NOTHING, NOTHING)) -> Gap:
    found = find_gap(validation, test, facts, NAMES)
    assert found is not None
    return found


@pytest.mark.parametrize(("right", "n", "others", "m"), [(95, 100, 70, 100), (50, 60, 40, 60), (300, 300, 255, 300)])
def test_the_difference_is_tested_as_by_scipy_with_newcombes_interval(right, n, others, m) -> None:
    found = gap_of(of(right, n), of(others, m))
    assert found.p == pytest.approx(stats.fisher_exact([[others, m - others], [right, n - right]]).pvalue)
    wanted = confint_proportions_2indep(others, m, right, n, compare="diff", method="newcomb")
    assert (found.low, found.high) == pytest.approx(wanted)
    assert found.difference == pytest.approx(others / m - right / n)
    assert Gap.of({"validation_gap": json.loads(json.dumps(found.to_dict()))}) == (found if found.p < LEVEL else None)


def test_it_is_said_which_way_and_with_what_is_effective() -> None:
    units = np.repeat(np.arange(40), 5)
    worse = gap_of(of(190, 200), part(np.zeros(200, int), np.repeat(np.arange(40) >= 25, 5).astype(int), units))
    assert "worse on the test than on validation" in worse.sentence() and "effective n=40" in worse.sentence()
    assert "better on the test" in gap_of(of(60, 100), of(95, 100)).sentence()


def test_groups_are_what_is_counted() -> None:
    """Twenty patients of ten images, of whom 18 and 13 are right in all: images alone would be clear."""
    units = np.repeat(np.arange(20), 10)
    sides = [np.repeat(np.arange(20) >= right, 10).astype(np.int64) for right in (18, 13)]
    alone, together = (gap_of(*(part(np.zeros(200, np.int64), said, each) for said in sides)) for each in (None, units))
    assert alone.is_significant and not together.is_significant
    patients = [side[::10] == 0 for side in sides]
    assert together.p >= stats.fisher_exact([[18, 2], [13, 7]]).pvalue > LEVEL > alone.p
    assert together.p >= stats.ttest_ind(*map(np.asarray, patients), equal_var=False).pvalue - 0.01
    four = np.repeat(np.arange(4), 50)
    assert find_gap(part(np.zeros(200, int), sides[0], four), of(100, 200), (NOTHING, NOTHING), NAMES) is None


@pytest.mark.parametrize(("right", "counts"), [(0.97, (43, 280)), (0.9, (40, 40)), (0.8, (25, 100))])
def test_groups_that_are_nearly_all_right_seldom_raise_an_alarm(right: float, counts: tuple[int, int]) -> None:
    """A part without a mistake varies too, which a t-test alone would not see: it calls a fifth of such parts other."""
    random, alarms = np.random.default_rng(0), 0
    for _ in range(200):
        sides = []
        for count in counts:
            units = np.repeat(np.arange(count), random.integers(1, 4, count))
            sides.append(part(np.zeros(len(units), int), (random.random(count) >= right)[units].astype(int), units))
        alarms += gap_of(*sides).is_significant
    assert alarms < 10


@pytest.mark.parametrize("is_tied", [False, True])
def test_ranks_are_compared_as_by_brunner_and_munzel(is_tied: bool) -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 80), random.normal(0.4, 2, 120)
    if is_tied:
        one, other = one.round(), other.round()
    inside = np.repeat([False, True], [80, 120])
    p, area = compare_ranks(np.concatenate([one, other]), inside)
    wanted = stats.mannwhitneyu(other, one).statistic / (80 * 120)
    assert area == pytest.approx(wanted)
    assert p == pytest.approx(stats.brunnermunzel(one, other).pvalue, rel=0.5)


def test_the_nearest_image_is_scipys() -> None:
    random = np.random.default_rng(0)
    features, known = (random.normal(size=(n, 7)).astype(np.float32) for n in (50, 30))
    assert nearest_distances(features, known) == pytest.approx(cdist(features, known, "cosine").min(1), abs=1e-5)


@pytest.fixture(scope="module")
def digits():
    """Real images as features: 8 x 8 pixels of handwritten digits, and three versions of each with noise."""
    from sklearn.datasets import load_digits

    found = load_digits()
    noise = np.random.default_rng(0).normal(0, 1, (4, *found.data.shape)) * [[[0]], [[1]], [[1]], [[1]]]
    return (found.data + noise).astype(np.float32), found.target.astype(np.int64)


def measured(features, labels, rows, units=None):
    """Return the gap of a nearest-neighbour classifier fitted on the first rows, with the nearness of both parts."""
    train, *parts = rows
    known = features[train]
    sides, facts = [], []
    for row in parts:
        nearest = cdist(features[row], known, "cosine").argmin(1)
        own = None if units is None else units[row]
        sides.append(part(labels[row], labels[train][nearest], own))
        facts.append(PartFacts(nearest_distances(features[row], known), {}, {}))
    return gap_of(sides[0], sides[1], tuple(facts))


def test_honest_splits_seldom_raise_an_alarm_and_planted_versions_do(digits) -> None:
    """Under 5 of 100 honest splits; validation of versions of training images is found, with nearness as its cause."""
    versions, labels = digits
    random, count = np.random.default_rng(0), 300
    alarms = 0
    for _ in range(200):
        rows = np.split(random.permutation(len(labels))[:count], [120, 210])
        alarms += measured(versions[0], labels, rows).is_significant
    assert alarms < 10
    flat, every = versions.reshape(-1, 64), np.tile(labels, 4)
    original = np.tile(np.arange(len(labels)), 4)
    found = []
    for _ in range(10):
        order = random.permutation(len(labels))
        mixed = random.permutation(np.flatnonzero(np.isin(original, order[:30])))
        others = np.flatnonzero(np.isin(original, order[40:240]))
        found.append(measured(flat, every, (mixed[:70], mixed[70:], others), original))
    assert sum(one.is_significant and one.difference < 0 for one in found) >= 8
    causes = [cause for one in found if one.is_significant for cause in one.causes]
    assert {cause.kind for cause in causes} == {"nearness"}
    assert all("--group" in cause.cure and "--resplit" in cause.cure for cause in causes)


def test_other_shares_of_classes_are_named_with_what_they_would_explain() -> None:
    random = np.random.default_rng(0)

    def draw(shares):
        labels = random.choice(2, 400, p=shares)
        return part(labels, np.where(random.random(400) < np.where(labels == 0, 0.97, 0.6), labels, 1 - labels))

    validation, test = draw([0.9, 0.1]), draw([0.3, 0.7])
    (cause,) = gap_of(validation, test).causes
    assert cause.kind == "classes" and "'0'" in cause.words
    weights = np.bincount(test.labels) / 400
    recalls = [(validation.predicted == validation.labels)[validation.labels == label].mean() for label in (0, 1)]
    assert f"would be right for {weights @ recalls:.0%}" in cause.words


def test_other_cameras_and_formats_are_named_and_what_is_alike_is_not() -> None:
    random = np.random.default_rng(0)
    facts = [
        PartFacts(
            random.random(200),
            {"brightness": random.normal(middle, 0.1, 200), "sharpness": random.random(200)},
            {"format": random.choice(np.array(["JPEG", "PNG"], object), 200, p=[share, 1 - share])},
        )
        for middle, share in ((0.6, 0.9), (0.4, 0.2))
    ]
    (cause,) = gap_of(of(190, 200), of(140, 200), tuple(facts)).causes
    assert cause.kind == "appearance"
    assert "median brightness" in cause.words and "format JPEG" in cause.words and "sharpness" not in cause.words


def test_copies_and_groups_in_training_are_named() -> None:
    facts = [PartFacts(None, {}, {}, np.arange(200) < related) for related in (150, 10)]
    (cause,) = gap_of(of(190, 200), of(140, 200), tuple(facts)).causes
    assert cause.kind == "related" and "75% of the validation images, and of 5% of the test images" in cause.words
    assert gap_of(of(190, 200), of(140, 200)).causes == ()
    assert gap_of(of(190, 200), of(188, 200), tuple(facts)).causes == ()  # without a gap there is nothing to explain


def test_the_clearest_gap_and_its_cause_are_no_chance_where_images_come_in_groups() -> None:
    """All of validation right, and related to training; all of the test wrong, and none related."""
    units = np.repeat(np.arange(20), 10)
    right, wrong = np.zeros(200, np.int64), np.ones(200, np.int64)
    facts = [PartFacts(None, {}, {}, np.full(200, is_related)) for is_related in (True, False)]
    found = gap_of(part(right, right, units), part(right, wrong, units), tuple(facts))
    assert found.p < 1e-6 and found.high < -0.5
    assert [cause.kind for cause in found.causes] == ["related"]


@pytest.mark.parametrize(
    ("counts", "size", "by_unit", "by_image"), [((20, 100), 20, 0.08, 0.01), ((15, 60), 35, 0.1, 0.01)]
)
def test_mistakes_by_whole_groups_and_one_by_one_seldom_raise_an_alarm(counts, size, by_unit, by_image) -> None:
    random, alarms = np.random.default_rng(0), 0
    for _ in range(100):
        sides = []
        for count in counts:
            units = np.repeat(np.arange(count), size)
            wrong = (random.random(count) < by_unit)[units] | (random.random(len(units)) < by_image)
            sides.append(part(np.zeros(len(units), int), wrong.astype(int), units))
        alarms += gap_of(*sides).is_significant
    assert alarms <= 5
