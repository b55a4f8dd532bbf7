"""Optimisers over groups of weights, each a function and a row of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sightline.networks.network import Network
from sightline.planning.own_networks import SMALL_NETWORK
from sightline.planning.settings import Settings
from sightline.training.layer_groups import layer_groups

__all__ = ["OPTIMIZERS", "make_optimizer", "set_rate", "weight_groups"]

Groups = list[dict[str, Any]]

# Largest change of a bias in one step of Muon's SGD, whose rate may be very high where gradients are rounding errors.
_MOST_OF_A_STEP = 0.1


def weight_groups(network: Network, settings: Settings) -> Groups:
    """Return the trainable weights in groups with the same settings.

    Returns:
        A dict for each group: ``params``; ``weight_decay``, 0 for norms, biases and weights that the network excludes,
        unless ``decay_norms``; ``scale``, the factor on the learning rate, of ``bias_rate``, ``head_rate`` and
        ``layer_decay``;
        ``kind``, ``"muon"`` for filters and matrices of the body, else ``"sgd"``. Frozen weights are
        left out.

    References:
        Rates by depth as in BEiT (H. Bao et al., arXiv 2106.08254) and timm's ``param_groups_layer_decay``: a factor
        for each group below the head, which has the full rate.
    """
    depth = dict.fromkeys(("head.weight", "head.bias"), 0)
    if settings.layer_decay < 1:
        names = reversed(layer_groups(network, coarse=False))
        depth = {name: below for below, group in enumerate(names) for name in group}
    spared = {f"body.{name}" for name in getattr(network.body, "no_weight_decay", set)()}
    groups: dict[tuple[float, float, str], list[torch.nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        if not weight.requires_grad:
            continue
        is_flat = weight.ndim <= 1
        is_spared = is_flat or name in spared
        decay = 0.0 if is_spared and not settings.decay_norms else settings.weight_decay
        is_head = name.startswith("head.")
        scale = settings.head_rate if is_head else settings.bias_rate if is_flat else 1.0
        scale *= settings.layer_decay ** depth.get(name, 0)
        kind = "sgd" if is_spared or is_head else "muon"
        groups.setdefault((decay, scale, kind), []).append(weight)
    return [
        {"params": weights, "weight_decay": decay, "scale": scale, "kind": kind}
        for (decay, scale, kind), weights in groups.items()
    ]


def _sgd(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, nesterov=momentum > 0)


def _adam(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=settings.learning_rate, betas=(settings.momentum, 0.999))


def _adamw(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(settings.momentum, 0.999))


def _rmsprop(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=settings.learning_rate, momentum=settings.momentum)


def _muon(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    from sightline.training.muon import Muon

    # Decay takes the same share of every weight, whatever its rate; the scale of filters before a norm has no effect.
    groups = [group | {"weight_decay": group["weight_decay"] / group["scale"]} for group in groups]
    normalize = settings.model == SMALL_NETWORK
    return Muon(groups, settings.learning_rate, settings.momentum, normalize=normalize, limit=_MOST_OF_A_STEP)


# A new optimiser is one function, one row, and its name in ``Settings.optimizer``.
OPTIMIZERS: dict[str, Callable[[Groups, Settings], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
    "muon": _muon,
}


def make_optimizer(network: Network, settings: Settings) -> torch.optim.Optimizer:
    """Return the planned optimiser over the trainable weights.

    Example:
        ``optimizer = make_optimizer(network, plan.settings); set_rate(optimizer, 0.01, 0.9); optimizer.step()``
    """
    optimizer = OPTIMIZERS[settings.optimizer](weight_groups(network, settings), settings)
    set_rate(optimizer, settings.learning_rate, settings.momentum)
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, rate: float, momentum: float) -> None:
    """Set the learning rate (times each group's own factor) and the momentum (the first beta of the Adams)."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum
