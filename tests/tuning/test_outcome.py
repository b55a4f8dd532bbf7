"""The record of a trial, and the files that others read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from sightline.planning.recipe import Recipe
from sightline.tuning.outcome import STATES, Outcome, completed, pack_hits, unpack_hits
from sightline.tuning.space import check_space
from sightline.tuning.table import read_trials, scores_of, write_best, write_trials
from sightline.tuning.verdict import judge


@given(some.lists(some.booleans(), min_size=1, max_size=70))
def test_hits_come_back(hits: list[bool]) -> None:
    assert unpack_hits(pack_hits(np.array(hits)), len(hits)).tolist() == hits
    with pytest.raises(ValueError, match="are not those of"):
        unpack_hits(pack_hits(np.array(hits)), len(hits) + 8)


def outcome(number: int, right: int, *, of: int = 100, plain: bool = False, state: str = "complete") -> Outcome:
    hits = np.arange(of) < right
    return Outcome(
        number,
        state,
        settings={} if plain else {"width": 16 * number, "flip": 0.5},
        is_plain=plain,
        score=right / of if state == "complete" else None,
        hits=pack_hits(hits) if state == "complete" else "",
        course=(0.5, right / of),
    )


def test_a_record_comes_back_from_the_storage() -> None:
    one = outcome(3, 50)
    assert Outcome.from_dict(one.to_dict()) == one
    assert one.state in STATES


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    outcomes = [outcome(1, 40), outcome(0, 50, plain=True), outcome(2, 0, state="failed"), outcome(4, 60)]
    write_trials(tmp_path, outcomes, check_space({"width": [16, 32], "flip": [0.0, 0.5]}), 100)
    found = read_trials(tmp_path)
    assert [(one.number, one.state, one.is_plain, one.score, one.settings, one.course) for one in found] == [
        (one.number, one.state, one.is_plain, one.score, dict(one.settings), one.course) for one in outcomes
    ]
    scores = np.load(tmp_path / "scores.npy", allow_pickle=False)
    assert scores.sum(1).tolist() == [50, 40, 60]  # the plain recipe first, failed ones left out
    assert [one.number for one in completed(outcomes)] == [0, 1, 4]


def test_the_best_recipe_is_one_that_train_takes(tmp_path: Path) -> None:
    write_best(tmp_path, {"width": 16, "early_sizes": [16, 24], "loss": {"focal": 1.0}}, "trial 3")
    assert Recipe.from_toml(tmp_path / "best.toml") == Recipe(width=16, early_sizes=[16, 24], loss="focal")


def test_the_plain_recipe_wins_where_none_is_better() -> None:
    verdict = judge([outcome(0, 60, plain=True), outcome(1, 60), outcome(2, 59)], 100, None)
    assert verdict is not None and verdict.best.is_plain and not verdict.ships_best
    assert "No better than the plain recipe: none of 2 other trials" in verdict.sentence()


def test_a_small_lead_is_not_called_better_and_a_large_one_is() -> None:
    small = judge([outcome(0, 60, plain=True), outcome(1, 62)], 100, None)
    large = judge([outcome(0, 60, plain=True), outcome(1, 90)], 100, None)
    assert small is not None and large is not None
    assert not small.ships_best and small.best.number == 1 and "may be the luck of the best of 2" in small.sentence()
    assert large.ships_best and large.sentence().startswith(
        "Better than the plain recipe: trial 1 leads by +30.0 points"
    )
    assert large.to_dict()["ships"] == "best"


def test_of_equals_the_earliest_wins_and_without_the_plain_recipe_there_is_no_verdict() -> None:
    verdict = judge([outcome(2, 80), outcome(0, 60, plain=True), outcome(1, 80)], 100, None)
    assert verdict is not None and verdict.best.number == 1
    assert judge([outcome(1, 60), outcome(0, 0, plain=True, state="failed")], 100, None) is None


@pytest.mark.parametrize("count", [9, 100])
def test_rows_of_scores_have_an_entry_an_image(count: int) -> None:
    assert scores_of([outcome(0, 5, of=count, plain=True)], count).shape == (1, count)
    assert scores_of([], count).shape == (0, count)
