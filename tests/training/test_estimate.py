"""The estimate counts what a training will do; how long that takes is measured elsewhere."""

from __future__ import annotations

import pytest

from sightline import machine
from sightline.errors import InputError
from sightline.machine import Timing
from sightline.planning import budget
from sightline.planning.budget import FINDER_STEPS
from sightline.training import estimate
from sightline.training.estimate import measure_costs

ONE = Timing(1.0, 1.0, 1.0)

pytestmark = pytest.mark.usefixtures("timed_as_ever")


def estimate_seconds(settings, classes: int, train: int, val: int) -> float:
    return budget.estimate_seconds(settings, measure_costs(settings, classes, train, val), train, val)


@pytest.fixture
def one_second(monkeypatch):
    """Let a step of any size take one second, and an image's forward pass 1/128 of one."""
    monkeypatch.setattr(estimate, "_time", lambda run, images, *more: run(2) or ONE)


def test_steps_and_validation_are_counted(plan_settings, one_second):
    settings = plan_settings(epochs=3, batch_size=16)
    # 4 steps an epoch, validation after each and before the first
    assert estimate_seconds(settings, 2, 64, 128) == pytest.approx(3 * 4 + 4 * 1)
    assert estimate_seconds(settings, 2, 65, 128) == pytest.approx(3 * 5 + 4 * 1)


def test_the_finder_and_the_fitted_head_are_counted(plan_settings, one_second):
    settings = plan_settings(epochs=3, batch_size=16, find_rate=True)
    assert estimate_seconds(settings, 2, 64, 128) == pytest.approx(12 + FINDER_STEPS + 4)
    settings = plan_settings(epochs=0, batch_size=16, head_first=True)
    assert estimate_seconds(settings, 2, 64, 128) == pytest.approx((64 + 128) / 128)


def test_early_steps_cost_as_much_less_as_they_have_pixels(plan_settings, one_second):
    settings = plan_settings(epochs=4, batch_size=16, early_sizes=[8], early_share=0.25)
    assert estimate_seconds(settings, 2, 64, 128) == pytest.approx(4 / 4 + 12 + 5)


def test_parts_of_a_step_are_measured_as_large_as_they_will_be(plan_settings, monkeypatch):
    counts = []
    monkeypatch.setattr(estimate, "_time", lambda run, images, *more: counts.append(images) or ONE)
    settings = plan_settings(epochs=1, batch_size=32, accumulate=4)
    assert estimate_seconds(settings, 2, 64, 128) == pytest.approx(
        2 * 4 + 2 * 128 / 8
    )  # validation looks at a part too
    assert counts == [8, 8]


def test_every_run_is_repeated_and_the_median_counts(monkeypatch):
    clock, counts = [0.0], []
    waits = iter([5.0, 0.01, 0.3, 0.28, 0.32])

    def run(count: int) -> None:
        counts.append(count)
        clock[0] += next(waits)

    monkeypatch.setattr(machine.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(machine, "waited_seconds", lambda: 0.0)
    assert estimate._time(run, 32).seconds == pytest.approx(0.3)
    assert counts == [8, 8, 32, 32, 32]  # the first one warms up, the second tells how many


def test_where_a_step_is_slow_fewer_images_are_measured(monkeypatch):
    clock, counts = [0.0], []

    def run(count: int) -> None:
        counts.append(count)
        clock[0] += 0.1 * count

    monkeypatch.setattr(machine.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(machine, "waited_seconds", lambda: 0.0)
    assert estimate._time(run, 128, 1.5).seconds == pytest.approx(12.8)
    assert counts == [8, 8, 15]
    counts.clear()
    assert estimate._time(run, 128, 0.1).seconds == pytest.approx(12.8)
    assert counts == [4, 4]  # a short time limit: nothing is timed twice


def test_what_validation_and_the_head_compute_alike_is_timed_once(plan_settings, monkeypatch):
    """At 224 px on a CPU both are features in fp32 by one engine; it takes seconds to make."""
    made = []
    real = estimate.choose_engine
    monkeypatch.setattr(estimate, "choose_engine", lambda *some: made.append(some[1:]) or real(*some))
    monkeypatch.setattr(estimate, "_time", lambda run, images, *more: ONE)
    for precision, wanted in (("fp32", [(96, 96, "fp32")]), ("bf16", [(96, 96, "fp32"), (96, 96, "bf16")])):
        made.clear()
        settings = plan_settings(epochs=1, batch_size=16, size=96, head_first=True, precision=precision)
        costs = measure_costs(settings, 2, 64, 32)
        assert made == wanted
        assert costs.forward == costs.feature == pytest.approx(1 / 32)


def test_what_was_uneven_makes_the_estimate_a_range(plan_settings, monkeypatch):
    monkeypatch.setattr(estimate, "_time", lambda run, images, *more: Timing(2.0, 0.5, 3.0, 0.6))
    costs = measure_costs(plan_settings(epochs=3, batch_size=16), 2, 64, 128)
    assert (costs.sure, costs.waited) == ((0.25, 1.5), 0.6)


def test_a_network_that_can_not_take_the_early_size_is_named(plan_settings):
    settings = plan_settings(size=160, early_sizes=[24], early_share=0.5).model_copy(update={"model": "test_vit"})
    with pytest.raises(InputError, match="early_sizes = 24") as caught:
        estimate_seconds(settings, 2, 64, 16)
    assert caught.value.code == "model.size"
