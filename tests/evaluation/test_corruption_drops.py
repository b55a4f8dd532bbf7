"""What a change costs: the counts, McNemar's mid-p by scipy's exact test, Holm's correction as R does it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from sightline.evaluation.corruption_drops import CorruptionDrop, Robustness, measure_drops
from sightline.evaluation.intervals import proportion, wilson
from sightline.evaluation.paired import holm


def flipped(before: np.ndarray, lost: int, gained: int) -> np.ndarray:
    after = before.copy()
    after[np.flatnonzero(before)[:lost]] = False
    after[np.flatnonzero(~before)[:gained]] = True
    return after


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (5, 5), (9, 2), (2, 9), (40, 0), (17, 10)])
def test_counts_points_and_chance(lost, gained):
    before = np.arange(100) < 60
    drop = measure_drops(before, [flipped(before, lost, gained)])[0]
    assert (drop.lost, drop.gained) == (lost, gained)
    assert drop.points == pytest.approx((lost - gained) / 100)
    assert drop.accuracy == wilson(60 - lost + gained, 100)
    n = lost + gained
    exact = binomtest(lost, n, 0.5).pvalue - binom.pmf(lost, n, 0.5) if n else 1.0
    assert drop.p == pytest.approx(1.0 if lost == gained else exact)


def test_chances_are_corrected_for_their_number():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R: p.adjust(., "holm")
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    before = np.arange(100) < 60
    alone = measure_drops(before, [flipped(before, 9, 2)])[0]
    among = measure_drops(before, [flipped(before, 9, 2), before, before])
    assert among[0].p == pytest.approx(3 * alone.p) and among[1].p == 1


def test_it_is_json_able():
    fields = measure_drops(np.ones(3, bool), [np.zeros(3, bool)])[0].to_dict()
    assert fields["drop"] == 1 and fields["accuracy"]["n"] == 3 and fields["lost"] == 3


def test_robustness_is_read_back_as_it_was_written() -> None:
    before = np.arange(20) < 18
    drops = measure_drops(before, [np.arange(20) < 10, before])
    rows = tuple(CorruptionDrop("blur", s, f"blurred {s}", drop) for s, drop in enumerate(drops, 1))
    found = Robustness("test", 20, 40, 1, ("bad.png",), 0, "a.png", proportion(before), rows)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Robustness.from_dict(written) == found
    assert written["rows"][0].items() >= {"corruption": "blur", "severity": 1, "drop": 0.4, "lost": 8}.items()
