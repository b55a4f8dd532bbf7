"""The gain of one recipe over another by several seeds: against a formula, and against trainings with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sightline.evaluation.over_seeds import compare_over_seeds


def test_seeds_that_change_nothing_leave_the_interval_of_the_images():
    """Bonett and Price's interval of a paired difference, with Student's quantile."""
    random = np.random.default_rng(1)
    first, second = random.random(300) < 0.7, random.random(300) < 0.75
    found = compare_over_seeds(np.stack([first] * 3), np.stack([second] * 3))
    gained, lost = (second & ~first).sum() + 1, (first & ~second).sum() + 1
    n = 302
    half = stats.t.ppf(0.975, n - 1) * math.sqrt((gained + lost - (gained - lost) ** 2 / n) / n**2)
    assert found.mean == pytest.approx((gained - lost) / 300)
    assert found.high - found.mean == pytest.approx(half, rel=1e-3) == found.mean - found.low
    assert found.values == pytest.approx([found.mean] * 3)


@pytest.mark.parametrize(("seeds", "luck"), [(2, 0.3), (3, 0.0), (3, 0.3), (5, 0.15)])
def test_the_interval_holds_the_truth_for_other_seeds_and_images(seeds, luck):
    """Each training is better or worse as a whole by luck, and each image is easy or hard for all."""
    random, held, rounds = np.random.default_rng(7), 0, 400
    share = [stats.norm.cdf(level / math.sqrt(1 + luck**2 + 0.5)) for level in (0.8, 1.0)]
    for _ in range(rounds):
        hard = random.standard_normal(150)
        hits = [
            level + luck * random.standard_normal((seeds, 1)) + math.sqrt(0.5) * random.standard_normal((seeds, 150))
            > hard
            for level in (0.8, 1.0)
        ]
        found = compare_over_seeds(*hits)
        held += found.low <= share[1] - share[0] <= found.high
    assert held / rounds >= 0.94


def test_copies_of_images_are_no_more_images():
    random = np.random.default_rng(2)
    first, second = random.random((3, 60)) < 0.7, random.random((3, 60)) < 0.8
    alone = compare_over_seeds(first, second)
    copied = compare_over_seeds(np.repeat(first, 4, 1), np.repeat(second, 4, 1), np.repeat(np.arange(60), 4))
    assert copied.mean == pytest.approx(alone.mean)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)


@pytest.mark.parametrize("shapes", [((1, 9), (1, 9)), ((2, 9), (2, 8)), ((3, 9), (2, 9)), ((2, 0), (2, 0))])
def test_what_does_not_fit_together_is_refused(shapes):
    with pytest.raises(ValueError, match=r"seeds|units"):
        compare_over_seeds(*(np.ones(shape, bool) for shape in shapes))
