"""The learning rate finder: it leaves no trace, is bounded, and finds the rate where a training works."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sightline.events import EpochEnded, Progressed, RateFound, StepEnded
from sightline.networks.build import build_network
from sightline.planning.budget import FINDER_STEPS
from sightline.training.find_rate import find_rate, suggest_rate
from sightline.training.loop import train_network


def search(network, batches, settings) -> tuple[list[Progressed], RateFound]:
    steps, seen = find_rate(network, batches, settings), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


@pytest.mark.parametrize("chosen", [{}, {"optimizer": "sgd", "ema": 0.9}, {"freeze_body": True}])
def test_weights_and_statistics_stay_bit_for_bit(plan_settings, make_batches, chosen):
    settings = plan_settings(find_rate=True, **chosen)
    network = build_network(settings, 2, None).train()
    before = copy.deepcopy(network.state_dict())
    seen, found = search(network, make_batches(64), settings)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert len(seen) == len(found.rates) == len(found.losses) <= FINDER_STEPS


def test_rates_rise_by_one_factor_around_the_planned_one_and_losses_end_high(plan_settings, make_batches):
    settings = plan_settings(optimizer="sgd", learning_rate=0.1)
    _, found = search(build_network(settings, 2, None), make_batches(64), settings)
    factors = np.diff(np.log(found.rates))
    assert found.rates[0] == pytest.approx(1e-4) and factors == pytest.approx(factors[0])
    assert found.rates[-1] <= 10 * 1.001
    assert found.rates[0] < found.rate < found.rates[-1]


def test_a_training_that_hardly_learns_at_the_planned_rate_does_at_the_one_that_was_found(
    plan_settings, make_batches, tmp_path
):
    def best_loss(*, find_rate: bool) -> float:
        settings = plan_settings(optimizer="sgd", epochs=8, learning_rate=1e-5, patience=0)
        settings = settings.model_copy(update={"find_rate": find_rate})
        network = build_network(settings, 2, None)
        parts = make_batches(64), make_batches(64, seed=1)
        events = list(train_network(network, *parts, settings, tmp_path / "best"))
        return min(event.val_loss for event in events if isinstance(event, EpochEnded) and event.epoch)

    assert best_loss(find_rate=True) < best_loss(find_rate=False) - 0.05


def test_a_planned_rate_that_diverges_is_replaced_by_one_that_does_not(plan_settings, make_batches):
    settings = plan_settings(optimizer="sgd", learning_rate=10.0)
    _, found = search(build_network(settings, 2, None), make_batches(64), settings)
    assert found.rate < 2 and len(found.rates) < FINDER_STEPS


def test_the_training_follows_as_if_the_rate_had_been_given(plan_settings, make_batches, tmp_path):
    settings = plan_settings(find_rate=True)
    network = build_network(settings, 2, None)
    events = list(train_network(network, make_batches(64), make_batches(16, seed=1), settings, tmp_path / "a"))
    found = next(event for event in events if isinstance(event, RateFound))
    assert max(event.learning_rate for event in events if isinstance(event, StepEnded)) == pytest.approx(found.rate)
    settings = plan_settings(learning_rate=found.rate)
    again = build_network(settings, 2, None)
    list(train_network(again, make_batches(64), make_batches(16, seed=1), settings, tmp_path / "b"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


@pytest.mark.parametrize("noise", [0.0, 0.003])
@pytest.mark.parametrize("steepest", [1e-3, 1e-2])
def test_the_rate_lies_between_the_steepest_fall_and_a_tenth_of_the_lowest_loss(steepest, noise):
    rates = np.geomspace(1e-5, 10, 97)
    losses = 2 - 1 / (1 + np.exp(-4 * np.log10(rates / steepest))) + rates**2
    lowest = rates[losses.argmin()]
    losses = losses + np.random.default_rng(0).normal(0, noise, len(rates))
    rate, reason = suggest_rate(rates.tolist(), losses.tolist(), 0.1)
    assert rate == pytest.approx(np.sqrt(steepest * lowest / 10), rel=0.5 if noise else 0.1)
    assert "fastest" in reason


@pytest.mark.parametrize("losses", [[], [1.0], np.linspace(1, 2, 40).tolist(), np.linspace(1, 0.95, 40).tolist()])
def test_where_the_loss_falls_nowhere_the_planned_rate_is_kept(losses):
    rate, reason = suggest_rate(np.geomspace(1e-3, 1, len(losses)).tolist(), losses, 0.05)
    assert rate == 0.05 and "kept" in reason


def test_all_its_steps_are_at_full_size(plan_settings, make_batches):
    settings = plan_settings(early_sizes=[8], early_share=0.5)
    network, sides = build_network(settings, 2, None).train(), set()
    network.body.register_forward_pre_hook(lambda module, inputs: sides.add(inputs[0].shape[-1]))
    search(network, make_batches(64), settings)
    assert sides == {16}
