"""Averaged weights: an exponential moving average of the network, which is evaluated and kept instead of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from sightline.networks.network import Network

__all__ = ["Average"]


class Average:
    """The running average of a network's weights and of its batch norms' statistics: torch's ``AveragedModel``.

    The decay of a step is at most ``(1 + n) / (10 + n)`` after n steps, so that the initial weights are soon forgotten
    (the rule of TensorFlow's ``ExponentialMovingAverage(num_updates)``); the first step copies.

    Args:
        network: the one that is trained.
        decay: share of the average that a step keeps; 0 means no averaging.

    Example:
        ``average = Average(network, 0.999); optimizer.step(); average.update(); average.network(images)``
    """

    def __init__(self, network: Network, decay: float) -> None:
        self._source = network
        self._decay = decay
        self._averaged: AveragedModel | None = None

    @property
    def network(self) -> Network:
        """The averaged one; the one that learns while there is nothing to average."""
        return self._source if self._averaged is None else cast(Network, self._averaged.module)

    @property
    def count(self) -> int:
        """Number of steps averaged so far."""
        return 0 if self._averaged is None else int(self._averaged.n_averaged)  # a number on the CPU

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights; none where there is no average yet."""
        return self.network.state_dict() if self.count else {}

    def load(self, weights: dict[str, Tensor], count: int) -> None:
        """Restore the values of ``state`` and ``count``."""
        self._averaged = self._begin() if count else None
        if self._averaged is not None:
            self.network.load_state_dict(weights)
            self._averaged.n_averaged.fill_(count)

    def update(self) -> None:
        """Add the current weights to the average."""
        if not self._decay:
            return
        if self._averaged is None:
            self._averaged = self._begin()
        self._averaged.update_parameters(self._source)

    def _begin(self) -> AveragedModel:
        return AveragedModel(self._source, multi_avg_fn=self._follow, use_buffers=True).requires_grad_(False)

    @torch.no_grad()
    def _follow(self, mine: Sequence[Tensor], theirs: Sequence[Tensor], _: Tensor | int) -> None:
        """Follow tensors of one type on one device."""
        if mine[0].is_floating_point():
            share = 1 - min(self._decay, (1 + self.count) / (10 + self.count))
            torch._foreach_lerp_(list(mine), list(theirs), share)
        else:  # batch norms count their batches
            torch._foreach_copy_(list(mine), list(theirs))
