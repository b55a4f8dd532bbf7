"""Optimisers and schedules: a function and a row of a table each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from sightline.planning.settings import Settings

__all__ = ["OPTIMIZERS", "SCHEDULES", "learning_rate_at", "make_optimizer"]


def _adamw(groups: list[dict[str, Any]], settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def _sgd(groups: list[dict[str, Any]], settings: Settings) -> torch.optim.Optimizer:
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, nesterov=momentum > 0)


# A new optimiser is one function, one row, and its name in ``Settings.optimizer``; likewise a schedule.
OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], Settings], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "sgd": _sgd,
}

# From the share of steps done after warm-up, 0 to 1, to the share of the highest rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the planned optimiser over the weights that learn; norms and biases get no weight decay."""
    weights = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[settings.optimizer](groups, settings)


def learning_rate_at(settings: Settings, step: int, steps: int) -> float:
    """Return the learning rate of a step (from 0) of a training of ``steps`` steps.

    Example:
        The first step is the first of the warm-up, the last one ends the decay; nothing in between depends on
        what was measured, so a resumed training continues on the same curve.
    """
    warm = round(settings.warmup * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return settings.learning_rate * SCHEDULES[settings.schedule](done)


def norm_layers(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers that keep running statistics of batches."""
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            yield layer
