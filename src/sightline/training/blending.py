"""Weights between those of the fitted head and those after fine-tuning, which are often better than either.

Fine-tuning a small set makes a network surer than it is right, and forgets some of what the pretraining knew. On the
straight line between the weights before and after it, both can be had (M. Wortsman et al., "Robust fine-tuning of
zero-shot models", arXiv 2109.01903). The ends of the line are looked at too, so that a network which fine-tuning made
worse does not ship.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sightline.evaluation.calibration import fit_temperature
from sightline.events import Progressed
from sightline.networks.network import Network
from sightline.training.batches import Batches
from sightline.training.logistic import mixed_order
from sightline.training.measure import predict_logits

__all__ = ["LOOKED_AT", "SHARES", "Blend", "blend", "choose_share", "count_validations", "measure_fit"]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way from the fitted head to the fine-tuned network
LOOKED_AT = 1_000  # validation images at most

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Blend:
    """A network between two.

    Attributes:
        share: of the way to the fine-tuned one; 0: the fitted head, 1: the fine-tuned network.
        loss: in nats, at the temperature that fits best.
        val_loss, val_accuracy: without a temperature; all three on at most ``LOOKED_AT`` validation images.
    """

    share: float
    loss: float
    val_loss: float
    val_accuracy: float

    def score(self, select_by: str) -> tuple[float, float]:
        """Return what is lowest for the best network, by ``loss`` or ``accuracy``; the loss decides between equals."""
        return (self.loss if select_by == "loss" else -self.val_accuracy), self.loss


def blend(start: Weights, end: Weights, share: float) -> dict[str, Tensor]:
    """Return the weights at a share of the way from one network to another of the same shape; counters are the end's.

    Example:
        >>> import torch
        >>> blend({"weight": torch.zeros(1)}, {"weight": torch.ones(1)}, 0.25)["weight"].item()
        0.25
    """
    return {
        name: start[name].to(value.device).lerp(value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }


def choose_share(
    network: Network, start: Weights, val: Batches, at_once: int, select_by: str = "loss"
) -> Generator[Progressed, None, tuple[Blend, dict[str, Tensor]]]:
    """Return the best blend of a fitted head with a fine-tuned network, and its weights.

    The lowest loss on validation wins, at the temperature that fits each candidate best, as what ships gets one too:
    without it a network that is right more often, but too sure, would lose. For the same loss the fitted head
    wins, then the candidate that is nearest to it.

    Args:
        network: the fine-tuned one; it is not changed.
        start: the weights with the fitted head.
        val: the images that choose; at most ``LOOKED_AT`` of them are looked at.
        at_once: images that go through the network at once, where the engine does not decide it.
        select_by: ``loss``, or ``accuracy``, of which the highest wins.
    """
    end = {name: value.detach().clone() for name, value in network.state_dict().items()}
    candidate, found = copy.deepcopy(network).requires_grad_(False), []
    for done, share in enumerate(SHARES, 1):
        candidate.load_state_dict(blend(start, end, share))
        found.append(measure_fit(candidate, val, at_once, share))
        yield Progressed(done, len(SHARES), "networks")
    best = min(found, key=lambda one: (one.score(select_by), one.share))
    return best, blend(start, end, best.share)


def count_validations(images: int) -> float:
    """Return what ``choose_share`` costs, in validations of so many images.

    Example:
        >>> count_validations(500), count_validations(4_000)
        (5.0, 1.25)
    """
    return len(SHARES) * min(1.0, LOOKED_AT / max(1, images))


def measure_fit(network: Network, val: Batches, at_once: int, share: float = 1.0) -> Blend:
    """Return how well a network does on validation; arguments as for ``choose_share``, and the network's share."""
    some = val.take(np.sort(mixed_order(val.labels)[:LOOKED_AT])) if len(val) > LOOKED_AT else val
    logits = predict_logits(network, some, at_once)
    fitted = fit_temperature(logits, some.labels)
    loss = min(fitted.loss_before, fitted.loss_after)
    return Blend(share, loss, fitted.loss_before, float((logits.argmax(1) == some.labels).mean()))
