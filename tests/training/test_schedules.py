"""Schedules beside torch's own over whole trainings."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler as torchs

from sightline.training.schedules import SCHEDULES, Course, count_plateaus, learning_rate_at, momentum_at

EPOCHS, EACH = 10, 5
STEPS = EPOCHS * EACH


def optimizer(rate: float = 0.3) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)


def run(scheduler, steps: int) -> tuple[list[float], list[float]]:
    """Return what torch's scheduler sets for each step."""
    rates, momenta = [], []
    for _ in range(steps):
        group = scheduler.optimizer.param_groups[0]
        rates.append(group["lr"])
        momenta.append(group["momentum"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates, momenta


def mine(settings, steps: int = STEPS) -> list[float]:
    return [learning_rate_at(settings, Course(step, steps, EACH)) for step in range(steps)]


AFTER_WARMUP = {
    "cosine": lambda steps: torchs.CosineAnnealingLR(optimizer(), steps),
    "linear": lambda steps: torchs.LinearLR(optimizer(), 1.0, 0.0, total_iters=steps),
    "constant": lambda steps: torchs.ConstantLR(optimizer(), 1.0),
}


@pytest.mark.parametrize("schedule", AFTER_WARMUP)
@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_schedules_after_a_warmup(plan_settings, schedule, warmup):
    warm = round(STEPS * warmup)
    rates = mine(plan_settings(schedule=schedule, warmup=warmup, learning_rate=0.3))
    wanted, _ = run(AFTER_WARMUP[schedule](STEPS - warm), STEPS - warm)
    assert rates[warm:] == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    assert rates[:warm] == pytest.approx([0.3 * (k + 1) / warm for k in range(warm)])


@pytest.mark.parametrize(("every", "unit", "steps"), [(3, "epochs", 15), (7, "steps", 7), (0.6, "epochs", 3)])
def test_a_staircase_and_a_smooth_fall(plan_settings, every, unit, steps):
    chosen = {"decay_every": every, "decay_unit": unit, "decay_factor": 0.5, "warmup": 0.0, "learning_rate": 0.3}
    wanted, _ = run(torchs.StepLR(optimizer(), steps, 0.5), STEPS)
    assert mine(plan_settings(schedule="step", **chosen)) == pytest.approx(wanted)
    wanted, _ = run(torchs.ExponentialLR(optimizer(), 0.5 ** (1 / steps)), STEPS)
    assert mine(plan_settings(schedule="exponential", **chosen)) == pytest.approx(wanted)


def test_a_staircase_is_warmed_up_too(plan_settings):
    settings = plan_settings(schedule="step", decay_every=1, decay_factor=0.5, warmup=0.2, learning_rate=1.0)
    rates = mine(settings)
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert rates[5:10] == pytest.approx([0.3, 0.35, 0.4, 0.45, 0.5])
    assert rates[10:15] == pytest.approx([0.25] * 5)


@pytest.mark.parametrize("warmup", [0.3, 0.1, 0.5])
@pytest.mark.parametrize("steps", [STEPS, 7, 1000])
def test_one_cycle_with_its_momentum(plan_settings, warmup, steps):
    settings = plan_settings(schedule="one-cycle", warmup=warmup, learning_rate=0.3, momentum=0.95)
    wanted, momenta = run(torchs.OneCycleLR(optimizer(), 0.3, total_steps=steps, pct_start=warmup), steps)
    assert mine(settings, steps) == pytest.approx(wanted, rel=1e-6)
    assert [momentum_at(settings, Course(k, steps, EACH)) for k in range(steps)] == pytest.approx(momenta)


def test_the_last_steps(plan_settings):
    def last(schedule: str) -> float:
        settings = plan_settings(schedule=schedule, warmup=0.2, learning_rate=1.0)
        return learning_rate_at(settings, Course(STEPS - 1, STEPS, EACH))

    assert last("linear") == pytest.approx(1 / 40)
    assert last("cosine") == pytest.approx(0.5 * (1 + math.cos(math.pi * 39 / 40)))
    assert last("one-cycle") == pytest.approx(1 / 25 / 1e4)
    assert last("constant") == 1.0


@given(st.lists(st.floats(0.01, 5), max_size=40), st.integers(1, 5), st.booleans())
def test_plateaus_are_counted_as_torch_counts_them(figures, wait, is_loss):
    mode = "min" if is_loss else "max"
    scheduler = torchs.ReduceLROnPlateau(optimizer(1.0), mode, factor=0.5, patience=wait - 1, eps=0)
    for figure in figures:
        scheduler.step(figure)
    rate = scheduler.optimizer.param_groups[0]["lr"]
    assert 0.5 ** count_plateaus(figures, wait, is_loss=is_loss) == pytest.approx(rate)


def test_a_plateau_lowers_the_rate_of_what_follows(plan_settings):
    settings = plan_settings(schedule="plateau", decay_every=2, decay_factor=0.1, warmup=0.0, learning_rate=1.0)
    rates = [learning_rate_at(settings, Course(9, STEPS, EACH, [0.5, 0.4, 0.4, 0.4][:k])) for k in range(5)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_every_rate_is_a_positive_number_up_to_the_highest(plan_settings, schedule, steps, warmup):
    rates = mine(plan_settings(schedule=schedule, warmup=warmup, learning_rate=0.3), steps)
    assert all(0 < rate <= 0.3 + 1e-9 for rate in rates)


def test_one_cycle_of_a_single_step_learns(plan_settings):
    settings = plan_settings(schedule="one-cycle", warmup=0.3, learning_rate=0.3)
    assert learning_rate_at(settings, Course(0, 1, 1)) == pytest.approx(0.3)
