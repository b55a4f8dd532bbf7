"""Optimisers and schedules beside torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.training.optim import OPTIMIZERS, SCHEDULES, learning_rate_at, make_optimizer


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_schedules_follow_torchs(plan_settings, schedule, warmup):
    settings = plan_settings(schedule=schedule, warmup=warmup, learning_rate=0.3)
    steps, warm = 50, round(50 * warmup)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    after = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warm),
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
    }[schedule]()
    wanted = []
    for _ in range(steps - warm):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        after.step()
    rates = [learning_rate_at(settings, step, steps) for step in range(steps)]
    assert rates[warm:] == pytest.approx(wanted, rel=1e-6)
    assert rates[:warm] == pytest.approx([0.3 * (k + 1) / warm for k in range(warm)])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_solves_a_small_problem(plan_settings, name):
    torch.manual_seed(0)
    x = torch.randn(200, 5)
    labels = (x[:, 0] > 0).long()
    network = nn.Linear(5, 2)
    optimizer = make_optimizer(network, plan_settings(optimizer=name, learning_rate=0.1))
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), labels).backward()
        optimizer.step()
    assert (network(x).argmax(1) == labels).float().mean() > 0.95


def test_norms_and_biases_get_no_weight_decay_and_every_weight_is_there_once(plan_settings):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decayed, free = make_optimizer(network, plan_settings(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(network[0].weight), id(network[3].weight)}
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


def test_frozen_weights_are_left_out(plan_settings):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    groups = make_optimizer(network, plan_settings()).param_groups
    assert sum(len(group["params"]) for group in groups) == 2
