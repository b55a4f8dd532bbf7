"""Averaged weights: an exponential moving average of the network, which is evaluated and kept instead of it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from sightline.networks.network import Network

__all__ = ["Average"]


class Average:
    """The running average of a network's weights and of its batch norms' statistics.

    The decay of a step is at most ``(1 + n) / (10 + n)`` after n steps, so that the initial weights are soon forgotten
    (the rule of TensorFlow's ``ExponentialMovingAverage(num_updates)``); otherwise as torch's ``AveragedModel`` with
    ``use_buffers=True``: the first step copies.

    Args:
        network: the one that is trained.
        decay: share of the average that a step keeps; 0 means no averaging.

    Attributes:
        network: the averaged one; the trained one while there is no average.

    Example:
        ``average = Average(network, 0.999); optimizer.step(); average.update(); average.network(images)``
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = network
        self._source = network
        self._decay = decay
        self._count = 0

    @property
    def count(self) -> int:
        """Number of steps averaged so far."""
        return self._count

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights; none where there is no average yet."""
        return self.network.state_dict() if self._count else {}

    def load(self, weights: dict[str, Tensor], count: int) -> None:
        """Restore the values of ``state`` and ``count``."""
        self._count = count
        self.network = copy.deepcopy(self._source).requires_grad_(False) if count else self._source
        if count:
            self.network.load_state_dict(weights)

    @torch.no_grad()
    def update(self) -> None:
        """Add the current weights to the average."""
        if not self._decay:
            return
        if not self._count:
            self.network = copy.deepcopy(self._source).requires_grad_(False)
        share = 1 - min(self._decay, (1 + self._count) / (10 + self._count))
        average, source = self.network.state_dict(), self._source.state_dict()
        floats = [name for name, value in average.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[name] for name in floats], [source[name] for name in floats], share)
        for name in average.keys() - set(floats):  # batch norms count their batches
            average[name].copy_(source[name])
        self._count += 1
