"""Which version may replace a classifier: what is shown, not what seems to be."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from sightline.runs.versions_record import VersionRow, VersionsRecord
from sightline.shrinking.judging import choose_version, judge_version

CLASSES = ("ant", "bee", "cat")


def answers(labels: np.ndarray, wrong: list[int], sure: float = 0.9) -> np.ndarray:
    """Probabilities that are right but at some places."""
    predicted = labels.copy()
    predicted[wrong] = (labels[wrong] + 1) % 3
    said = np.full((len(labels), 3), (1 - sure) / 2, np.float32)
    said[np.arange(len(labels)), predicted] = sure
    return said


def judge(count: int, first: list[int], second: list[int], max_loss: float, sure: float = 0.88):
    labels = np.arange(count) % 3
    return judge_version(labels, answers(labels, first), answers(labels, second, sure), CLASSES, max_loss)


def test_the_same_answers_need_no_interval_however_few():
    cost = judge(3, [1], [1], 0.0, sure=0.9004)
    assert cost.is_within and cost.comparison is None and cost.verdict.startswith("gives the same answers")


def test_other_probabilities_on_few_images_show_nothing_though_no_decision_changes():
    assert not judge(100, [1], [1], 1.0).is_within  # the interval of no change among 100 is -2.7 to +2.7
    assert judge(400, [1], [1], 1.0).is_within


def test_one_pair_of_copies_makes_no_certainty_of_few_images():
    """With groups the interval was a bootstrap's: of no change from 0 to 0, so that anything passed."""
    labels, units = np.arange(100) % 3, np.maximum(np.arange(100), 1)
    cost = judge_version(labels, answers(labels, [5]), answers(labels, [5], 0.88), CLASSES, 1.0, units)
    assert not cost.is_within and "100 validation images can't show" in cost.verdict


def test_a_loss_beyond_the_limit_is_told_as_such():
    cost = judge(1000, [], list(range(100)), 1.0)
    assert not cost.is_within and cost.changed == 100 and cost.verdict.startswith("loses more than 1 point: -10.0")


@pytest.mark.parametrize("second", [[1, 2, 3, 8], [3, 8, 9], [5, 6, 7, 8]])
def test_the_limit_that_is_proposed_accepts_it_and_less_does_not(second):
    cost = judge(300, [1, 2, 3], second, 1.0)
    limit = float(re.search(r"--max-loss ([\d.]+)", cost.verdict)[1])
    assert "300 validation images can't show" in cost.verdict
    assert judge(300, [1, 2, 3], second, limit).is_within and not judge(300, [1, 2, 3], second, limit - 0.1).is_within


def row(name: str, alone: float, size: int, *, is_within: bool = True, accuracy: float = 0.9) -> VersionRow:
    return VersionRow(name, "", size, alone, alone, accuracy, 0.0, 0.0, 0.0, 0, 0, 0, is_within, "")


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([row("a", 5, 90), row("b", 4, 95)], "b"),  # the fastest
        ([row("a", 5, 90), row("b", 4, 95, is_within=False)], "a"),  # that loses little enough
        ([row("a", 9.9, 50), row("b", 9.8, 90)], "a"),  # none is faster: the smallest
        ([row("a", 9.9, 99)], ""),
        ([row("a", 1, 10, is_within=False)], ""),
    ],
)
def test_the_fastest_that_loses_little_enough_is_chosen(rows, chosen):
    name, reason = choose_version([row("float32", 10, 100), *rows])
    assert name == chosen and reason


def test_no_changed_decision_is_not_the_same_answer():
    same = row("a", 5.0, 50)
    assert same.answers_the_same and not replace(same, low=-0.139, high=0.139).answers_the_same


def test_the_front_is_what_no_other_beats_in_both():
    rows = [
        row("float32", 10, 100, accuracy=0.92),
        row("a", 5, 50, accuracy=0.91),
        row("b", 6, 50, accuracy=0.90),
        row("c", 2, 50, accuracy=0.80),
    ]
    record = VersionsRecord("2026-12-01T00:00:00+00:00", "0" * 64, "cpu", 1, 9, 1.0, tuple(rows), "a", "fast")
    assert record.front == ("float32", "a", "c")
    assert VersionsRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@pytest.mark.parametrize("change", [{"chosen": "z"}, {"rows": []}, {"rows": [{"name": "a"}]}, {"images": "9"}])
def test_a_record_that_was_changed_by_hand_is_refused(change):
    record = VersionsRecord("2026", "0" * 64, "cpu", 1, 9, 1.0, (row("float32", 10, 100),), "", "none")
    with pytest.raises(ValueError, match=r"."):
        VersionsRecord.from_dict({**json.loads(json.dumps(record.to_dict())), **change})
