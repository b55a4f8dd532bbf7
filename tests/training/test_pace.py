"""The number of steps follows from the time, on a clock that the test turns."""

from __future__ import annotations

import pytest

from sightline.training import pace
from sightline.training.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    """Return a list with the time; a test changes it."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_without_a_deadline_all_planned_steps_are_made(plan_settings, clock):
    made = Pace(plan_settings(epochs=3), 10)
    assert made.steps(0) == made.steps(29) == 30
    clock[0] = 1e9
    assert not made.is_over(29)


def run(made: Pace, clock: list[float], step_seconds, validation: float, epoch_steps: int) -> tuple[int, list[int]]:
    """Train by the clock; returns (steps made, how many the training was thought to have before each)."""
    step, thought = 0, []
    while step == 0 or not made.is_over(step):
        thought.append(made.steps(step))
        if step >= thought[-1]:
            break
        seconds = step_seconds(step)
        clock[0] += seconds
        made.add_step(step, seconds)
        step += 1
        if step % epoch_steps == 0:
            clock[0] += validation
            made.add_validation(validation)
    clock[0] += validation
    return step, thought


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7, 4.0])  # how wrong the measurement before was
def test_it_ends_in_time_however_wrong_the_estimate_was(plan_settings, clock, factor):
    settings = plan_settings(epochs=1000, early_sizes=(), early_share=0.0)
    made = Pace(settings, 50, deadline=160.0, step_seconds=0.1, validation_seconds=1.0)
    steps, _ = run(made, clock, lambda step: 0.1 * factor, factor, 50)
    assert clock[0] <= 160.0 and clock[0] > 160.0 - 3 * factor
    assert steps == pytest.approx(60 / (0.12 * factor), rel=0.15)


def test_a_machine_that_gets_busier_is_noticed_while_it_runs(plan_settings, clock):
    settings = plan_settings(epochs=1000, early_sizes=(), early_share=0.0)
    made = Pace(settings, 50, deadline=200.0, step_seconds=0.1, validation_seconds=0.5)
    steps, thought = run(made, clock, lambda step: 0.1 if clock[0] < 150 else 0.4, 0.5, 50)
    assert 197 < clock[0] <= 200.5
    assert (thought[10] == pytest.approx(900, rel=0.1) and thought[-1] == steps) or thought[-1] == steps + 1


def test_smaller_early_images_are_counted_as_what_they_cost(plan_settings, clock):
    settings = plan_settings(epochs=1000, size=16, early_sizes=(8,), early_share=0.5)
    made = Pace(settings, 50, deadline=200.0, step_seconds=0.4, validation_seconds=0.0)
    first = made.steps(0)
    assert first == pytest.approx(100 / (0.4 * 0.625), rel=0.05)  # half of the steps cost a quarter
    steps, _ = run(made, clock, lambda step: 0.1 if step < first // 2 else 0.4, 0.0, 50)
    assert steps == pytest.approx(first, rel=0.05) and 198 < clock[0] <= 200.5


def test_it_is_never_longer_than_planned(plan_settings, clock):
    made = Pace(plan_settings(epochs=2), 10, deadline=1e9, step_seconds=0.1, validation_seconds=0.1)
    assert made.steps(0) == 20
