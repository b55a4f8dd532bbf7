"""The rank correlation of two maps; scipy is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from sightline.evaluation.agreement import map_agreement, rank_correlation

PAIRS = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-3, 3), min_size=n, max_size=n) for _ in range(2)))
)


@given(PAIRS)
def test_it_is_scipys_with_ties(pair):
    one, two = pair
    found = rank_correlation(one, two)
    if len(set(one)) == 1 or len(set(two)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(one, two).statistic, abs=1e-12)


def test_maps_are_averaged_over_cells_first():
    random = np.random.default_rng(0)
    one, two = random.random((2, 12, 12)).astype(np.float32)
    coarse = [values.reshape(4, 3, 4, 3).mean((1, 3)) for values in (one, two)]
    assert map_agreement(one, two, 4) == pytest.approx(spearmanr(*(c.ravel() for c in coarse)).statistic)
    assert map_agreement(one, two, 99) == pytest.approx(rank_correlation(one, two))  # at most a cell a pixel


def test_cells_need_not_fit():
    rows = np.repeat(np.arange(10, dtype=np.float32)[:, None], 7, 1)
    assert map_agreement(rows, 2 * rows + 1, 4) == 1
    assert map_agreement(rows, rows[::-1], 4) == pytest.approx(-1)
