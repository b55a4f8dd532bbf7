"""The head alone beside the fine-tuned network: counted in pairs, by groups, said in words, kept as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.evaluation.frozen_head import FrozenHead, compare_frozen_head

BEFORE = np.array([True, False, False, True, False, False, False])
AFTER = np.array([False, True, True, True, False, True, True])


def test_predictions_that_changed_are_counted_in_pairs() -> None:
    found = compare_frozen_head(BEFORE, AFTER)
    assert (found.corrected, found.newly_wrong) == (4, 1)
    assert found.accuracy.value == pytest.approx(BEFORE.mean()) and found.accuracy.n == 7
    assert found.p == pytest.approx(2 * (1 / 32 + 0.5 * 5 / 32))  # of 5 coins 4 or more heads, half of 4 alone


def test_a_group_counts_once() -> None:
    grouped = compare_frozen_head(BEFORE, AFTER, np.array([0, 1, 1, 2, 3, 4, 4]))
    assert grouped.p > compare_frozen_head(BEFORE, AFTER).p and "3 groups" not in grouped.accuracy.method


def test_it_is_read_back_from_metrics_and_said_in_words() -> None:
    found = compare_frozen_head(BEFORE, AFTER)
    metrics = json.loads(json.dumps({"frozen_head": found.to_dict()}))
    assert FrozenHead.of(metrics) == found and FrozenHead.of({}) is None
    assert found.words().endswith("more right than the head alone, which can be chance (p = 0.22).")


def test_a_head_that_is_better_than_the_network_is_said_to_be() -> None:
    before, after = np.ones(40, bool), np.arange(40) >= 9
    worse = compare_frozen_head(before, after).words()
    assert "fewer right than the head alone, by more than chance" in worse and "--epochs 0" in worse
    better = compare_frozen_head(after, before).words()
    assert "more right than the head alone, by more than chance" in better and "--epochs 0" not in better
    assert compare_frozen_head(before, before).words().endswith("as many right as before.")
