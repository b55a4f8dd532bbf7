"""The number of steps follows from the time, on a clock that the test turns."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sightline.planning.budget import Costs, Widths
from sightline.training import pace
from sightline.training.pace import Pace
from sightline.training.schedules import Course, learning_rate_at
from sightline.training.update import side_at


@pytest.fixture
def clock(monkeypatch):
    """Return a list with the time; a test changes it."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_without_a_deadline_all_planned_steps_are_made(plan_settings, clock):
    made = Pace(plan_settings(epochs=3), 10)
    assert made.steps(Course(0, 0, 10)) == made.steps(Course(29, 30, 10)) == 30
    clock[0] = 1e9
    assert not made.is_over(Course(29, 30, 10))


def run(made: Pace, clock: list[float], step_seconds, validation: float, epoch_steps: int) -> tuple[int, list[int]]:
    """Train by the clock; returns (steps made, how many the training was thought to have before each)."""
    course, thought = Course(0, 0, epoch_steps), []
    step = 0
    while course.step == 0 or not made.is_over(course):
        thought.append(made.steps(course))
        if course.step >= thought[-1]:
            break
        course = course.stretched(thought[-1])
        seconds = step_seconds(course)
        clock[0] += seconds
        made.add_step(course, seconds)
        course = replace(course, step=course.step + 1)
        step = course.step
        if step % epoch_steps == 0:
            clock[0] += validation
            made.add_validation(validation)
    clock[0] += validation
    return step, thought


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7, 4.0])  # how wrong the measurement before was
def test_it_ends_in_time_however_wrong_the_estimate_was(plan_settings, clock, factor):
    settings = plan_settings(epochs=1000, early_sizes=(), early_share=0.0)
    made = Pace(settings, 50, deadline=160.0, step_seconds=0.1, validation_seconds=1.0)
    steps, _ = run(made, clock, lambda course: 0.1 * factor, factor, 50)
    assert clock[0] <= 160.0 and clock[0] > 160.0 - 3 * factor
    assert steps == pytest.approx(60 / (0.12 * factor), rel=0.15)


def test_a_machine_that_gets_busier_is_noticed_while_it_runs(plan_settings, clock):
    settings = plan_settings(epochs=1000, early_sizes=(), early_share=0.0)
    made = Pace(settings, 50, deadline=200.0, step_seconds=0.1, validation_seconds=0.5)
    steps, thought = run(made, clock, lambda course: 0.1 if clock[0] < 150 else 0.4, 0.5, 50)
    assert 197 < clock[0] <= 200.5
    assert (thought[10] == pytest.approx(900, rel=0.1) and thought[-1] == steps) or thought[-1] == steps + 1


def test_smaller_early_images_are_counted_as_what_they_cost(plan_settings, clock):
    settings = plan_settings(epochs=1000, size=16, early_sizes=(8,), early_share=0.5)
    made = Pace(settings, 50, deadline=200.0, step_seconds=0.4, validation_seconds=0.0)
    first = made.steps(Course(0, 0, 50))
    assert first == pytest.approx(100 / (0.4 * 0.625), rel=0.05)  # half of the steps cost a quarter
    steps, _ = run(made, clock, lambda course: 0.1 if side_at(settings, course) == 8 else 0.4, 0.0, 50)
    assert steps == pytest.approx(first, rel=0.05) and 198 < clock[0] <= 200.5


def test_it_is_never_longer_than_planned(plan_settings, clock):
    made = Pace(plan_settings(epochs=2), 10, deadline=1e9, step_seconds=0.1, validation_seconds=0.1)
    assert made.steps(Course(0, 0, 10)) == 20


@pytest.mark.parametrize("factors", [(4.0, 1.0), (1.0, 4.0), (3.0, 0.5), (1.0, 1.0)])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "one-cycle"])
def test_the_schedule_closes_at_the_deadline_and_never_jumps_back(plan_settings, clock, factors, schedule):
    """Of a machine that becomes faster or slower after a fifth of the time, and was measured at its first pace."""
    chosen = {"size": 16, "early_sizes": (8, 12), "early_share": 0.7, "learning_rate": 1.0, "schedule": schedule}
    settings = plan_settings(epochs=10_000, warmup=0.2, **chosen)
    made = Pace(settings, 50, deadline=200.0, step_seconds=0.1 * factors[0], validation_seconds=0.0)
    courses: list[Course] = []

    def step_seconds(course: Course) -> float:
        courses.append(course)
        return 0.1 * factors[clock[0] > 120] * (side_at(settings, course) / 16) ** 2

    run(made, clock, step_seconds, 0.0, 50)
    assert 198 < clock[0] <= 200.5
    rates = [learning_rate_at(settings, course) for course in courses]
    sides = [side_at(settings, course) for course in courses]
    assert sides == sorted(sides) and set(sides) == {8, 12, 16}
    assert [course.done for course in courses] == sorted(course.done for course in courses)
    assert max(rates) == pytest.approx(1.0, abs=0.05) and rates[-1] < 0.02
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)


def test_one_long_pause_does_not_close_the_schedule(plan_settings, clock):
    settings = plan_settings(epochs=10_000, early_sizes=(), early_share=0.0)
    made = Pace(settings, 50, deadline=300.0, step_seconds=0.1, validation_seconds=0.0)
    courses: list[Course] = []

    def step_seconds(course: Course) -> float:
        courses.append(course)
        return 20.0 if course.step == 100 else 0.1  # as when a lid is closed

    run(made, clock, step_seconds, 0.0, 50)
    assert courses[130].done == pytest.approx(0.08, abs=0.02)
    assert courses[-1].done > 0.99


def test_a_course_of_one_length_is_that_of_its_steps(plan_settings):
    course = Course(0, 0, 10)
    for step in range(100):
        course = replace(course, step=step).stretched(100)
        assert (course.place, course.length) == (step, 100)


@pytest.fixture
def driven(plan_settings, clock):
    """Return a function that makes steps of given seconds, of a training of 1,000: (pace, course after them)."""

    def drive(seconds: list[float], deadline: float = float("inf"), **chosen: object) -> tuple[Pace, Course]:
        settings = plan_settings(**{"epochs": 20, "patience": 0, **chosen})
        made, course = Pace(settings, 50, deadline, step_seconds=1.0, validation_seconds=0.0), Course(0, 1000, 50)
        for one in seconds:
            clock[0] += one
            made.add_step(course, one)
            course = replace(course, step=course.step + 1)
        return made, course

    return drive


def test_the_time_that_is_left_is_as_sure_as_the_last_steps_were_even(driven):
    made, course = driven([1.0] * 4)
    assert made.seconds_left(course) == (0.0, 0.0)
    made, course = driven([1.0] * 20)
    assert made.seconds_left(course) == pytest.approx((980, 980))
    made, course = driven([1.0] * 20 + [2.0] * 20)
    assert made.seconds_left(course) == pytest.approx((960, 1920))


def test_patience_may_end_it_earlier_and_a_time_limit_does(driven):
    made, course = driven([1.0] * 20, patience=3)
    assert made.seconds_left(course) == pytest.approx((0, 980))
    made, course = driven([1.0] * 20, deadline=440.0)
    assert made.seconds_left(course) == pytest.approx((300, 300))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1.3, ""),
        (3.0, "A step takes 3.0 s, 3.0 times as long as was expected .*: about 48 min left"),
        (0.5, "A step takes 0.5 s, 2.0 times less than was expected .*: about 8 min left"),
    ],
)
def test_an_estimate_that_was_far_off_is_reported_once(driven, seconds, said):
    made, course = driven([seconds] * 50)
    words = made.report(course)
    assert re.match(said, words) and bool(words) == bool(said)
    assert made.report(course) == ""


def test_with_a_time_limit_it_is_reported_how_many_epochs_fit(driven):
    made, course = driven([0.1] * 100, deadline=170.0)
    assert "about 13.9 epochs fit into the time limit" in made.report(course)


@pytest.fixture
def misfit(plan_settings, clock):
    """Return a function that makes steps for some seconds, of a width that was thought to take longer."""

    def drive(spent: float, expected: float, width: int = 32, step: float = 0.1) -> Pace:
        settings = plan_settings(model="small-fast", epochs=160, width=width, early_sizes=(), early_share=0.0)
        widths = Widths(settings, Costs(expected, 0.0, 0.0), 64, 16)
        made, course = Pace(settings, 4, 200.0, expected, 0.0, widths), Course(0, 0, 4)
        for _ in range(round(spent / step)):
            course = course.stretched(made.steps(course))
            clock[0] += step
            made.add_step(course, step)
            course = replace(course, step=course.step + 1)
            if made.fits_badly(course):
                break
        return made

    return drive


def test_a_faster_machine_gets_a_wider_network_early_on(misfit, clock):
    made = misfit(15.0, 0.5)
    assert made.width > 32 and made.factor == pytest.approx(0.2)
    assert 102 < clock[0] < 104  # after a fiftieth of the time


def test_a_slower_machine_gets_a_narrower_one(misfit):
    made = misfit(15.0, 0.05, width=192, step=1.0)
    assert 0 < made.width < 192 and made.factor == pytest.approx(20)


def test_what_is_as_fast_as_measured_goes_on(misfit):
    assert misfit(15.0, 0.08).width == 0


def test_late_in_the_training_nothing_starts_over(misfit, clock):
    clock[0] = 100.0
    made = misfit(1.0, 0.5)
    assert made.width == 0
    clock[0] = 130.0
    assert not made.fits_badly(Course(100, 1000, 4))
