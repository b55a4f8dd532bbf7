"""What a search keeps of its time for the end, and when a trial is worth beginning."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sightline.errors import InputError
from sightline.tuning.budget import Budget, shorter_trials
from sightline.tuning.outcome import Outcome


def budget(limit: float, *, before: float = 0.0, plain: float = 10.0, closing: float = 20.0) -> Budget:
    return Budget(time.monotonic(), limit, before, plain, closing)


PLAIN = Outcome(0, "complete", is_plain=True, score=0.5, seconds=12.0)
BEST = Outcome(1, "complete", score=0.7, seconds=30.0)
SLOW = Outcome(2, "complete", score=0.6, seconds=90.0)


def test_the_end_is_the_plain_recipe_and_the_best_and_what_follows_both() -> None:
    made = budget(1000)
    assert made.reserve([]) == pytest.approx(1.2 * (10 + 40))
    assert made.reserve([PLAIN, BEST, SLOW]) == pytest.approx(1.2 * (12 + 30 + 40))  # the slow one is not the best
    assert made.reserve([PLAIN, BEST], running=100) == pytest.approx(1.2 * (12 + 100 + 40))  # it may become the best


def test_a_trial_is_begun_where_there_is_time_for_most_of_one() -> None:
    assert budget(0).has_time_for([PLAIN, BEST, SLOW]) and math.isinf(budget(0).left())
    assert budget(20).has_time_for([])  # the plain recipe always
    need = 1.2 * (12 + 30 + 40) + 0.6 * 21
    assert budget(need + 5).has_time_for([PLAIN, BEST])
    assert not budget(need - 5).has_time_for([PLAIN, BEST])


def test_a_trial_that_runs_is_stopped_where_its_own_end_would_come_too_late() -> None:
    made = budget(200)
    assert not made.is_over([PLAIN, BEST], 50)
    assert made.is_over([PLAIN, BEST], 120)


def test_time_before_a_stop_counts() -> None:
    assert budget(100, before=60).left() == pytest.approx(40, abs=1)


def test_too_short_a_time_is_refused_with_one_that_is_enough() -> None:
    with pytest.raises(InputError, match=r"30 s are too short for a search: .* a trial takes about 10 s") as caught:
        budget(30).refuse_too_short("--size 96")
    assert caught.value.code == "tune.time" and "--time 3m" in caught.value.cure
    assert caught.value.cure.endswith("or make trials shorter: --size 96")
    with pytest.raises(InputError) as caught:
        budget(30).refuse_too_short("")
    assert caught.value.cure == "give --time 3m"
    budget(180).refuse_too_short("")
    budget(30, before=1).refuse_too_short("")  # a search that goes on has trials to end with
    budget(0).refuse_too_short("")


def test_a_busy_moment_is_no_reason_to_refuse() -> None:
    """A training of 100 s takes 10 where nothing else runs: two trials and the end may fit into 90 s."""
    with pytest.raises(InputError, match="a trial takes about 1 min 40 s"):
        Budget(time.monotonic(), 90, 0.0, 100.0, 20.0).refuse_too_short("")
    Budget(time.monotonic(), 90, 0.0, 100.0, 20.0, least=10.0).refuse_too_short("")
    with pytest.raises(InputError):
        Budget(time.monotonic(), 60, 0.0, 100.0, 20.0, least=10.0).refuse_too_short("")


def test_a_trial_over_folds_is_several_trainings_and_the_end_two() -> None:
    made = Budget(time.monotonic(), 1000, 0.0, 10.0, 20.0, folds=5)
    assert made.reserve([]) == pytest.approx(1.2 * (10 + 40))
    done = [replace(PLAIN, seconds=60.0), replace(BEST, seconds=150.0)]
    assert made.reserve(done) == pytest.approx(1.2 * (12 + 30 + 40))
    with pytest.raises(InputError, match="a trial takes about 50 s"):
        Budget(time.monotonic(), 60, 0.0, 10.0, 5.0, folds=5).refuse_too_short("")


@pytest.mark.parametrize(
    ("engine", "epochs", "size", "share", "option"),
    [
        ("torch", 12, 224, 1.0, "--epochs 1"),
        ("torch", 1, 224, 1.0, "--size 128"),
        ("torch", 0, 224, 1.0, "--size 128"),
        ("onnxruntime", 0, 288, 1.0, "--size 192"),
        ("onnxruntime", 0, 64, 1.0, "--size 32"),
        ("torch", 1, 32, 1.0, "--set train_share=0.5"),
        ("torch", 1, 32, 0.4, ""),
    ],
)
def test_the_option_that_makes_trials_shorter(engine: str, epochs: int, size: int, share: float, option: str) -> None:
    """Fewer epochs are none for a head."""
    assert shorter_trials(SimpleNamespace(engine=engine, epochs=epochs, size=size, train_share=share)) == option  # type: ignore[arg-type]
