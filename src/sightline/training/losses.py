"""Losses: functions of logits and targets, each a row of a table.

Each returns one value per image, so that the parts of a batch add up to the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.planning.settings import Settings
from sightline.training.imbalance import class_weights

__all__ = ["LOSSES", "as_shares", "make_loss", "plain_sums"]

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(settings: Settings, class_counts: Sequence[int]) -> Loss:
    """Return the planned loss: the weighted sum of one or more.

    Args:
        settings: ``loss``, ``label_smoothing``, ``focal_gamma`` and ``imbalance`` are used.
        class_counts: training images of each class, for class weights if these are planned.

    Returns:
        A function of logits ``[N, K]`` and targets (``[N] int64`` labels, or ``[N, K]`` shares that add up to 1),
        which returns ``[N] float32``, in nats.

    Example:
        ``make_loss(plan.settings, (90, 10))(logits, labels).mean()``
    """
    weights = None
    if settings.imbalance == "class_weights":
        weights = torch.tensor(class_weights(class_counts), dtype=torch.float32)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        logits = logits.float()
        by_class = None if weights is None else weights.to(logits.device)
        total = torch.zeros(len(logits), device=logits.device)
        for name, factor in settings.loss.items():
            total = total + factor * LOSSES[name](logits, targets, by_class, settings)
        return total

    return loss


def as_shares(targets: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Return ``[N, K]`` shares from labels or shares, with ``smoothing`` of each spread over all classes.

    References:
        C. Szegedy et al., arXiv 1512.00567; the same share as in torch's cross_entropy and timm's mixup_target.

    Example:
        >>> as_shares(torch.tensor([1]), 2, 0.2)
        tensor([[0.1000, 0.9000]])
    """
    shares = F.one_hot(targets, classes).float() if targets.ndim == 1 else targets
    return shares * (1 - smoothing) + smoothing / classes


def plain_sums(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return (cross-entropy, correct predictions), each summed over the images and on their device.

    Without smoothing and weights, whatever is minimised, so that they can be compared with validation. For mixed
    images the cross-entropy is that of the mixed target, and the correct class is the one with the larger share.
    """
    labels = targets if targets.ndim == 1 else targets.argmax(1)
    return F.cross_entropy(logits.float(), targets, reduction="sum"), (logits.argmax(1) == labels).sum()


def _cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None, settings: Settings) -> Tensor:
    smoothing = settings.label_smoothing
    return F.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing, reduction="none")


def _focal(logits: Tensor, targets: Tensor, weights: Tensor | None, settings: Settings) -> Tensor:
    """T. Lin et al., arXiv 1708.02002, for softmax: each class's share of the cross-entropy times (1 - p)^gamma."""
    shares = as_shares(targets, logits.shape[1], settings.label_smoothing)
    log_p = F.log_softmax(logits, 1)
    rest = (-torch.expm1(log_p)).clamp_min(1e-12)  # 1 - p; its power has no finite slope at 0
    terms = -shares * rest**settings.focal_gamma * log_p
    return (terms if weights is None else terms * weights).sum(1)


def _binary_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None, settings: Settings) -> Tensor:
    """One binary question per class, averaged over classes, as timm's BinaryCrossEntropy (R. Wightman et al.,
    arXiv 2110.00476). An image is weighted by its class (Y. Cui et al., arXiv 1901.05555)."""
    shares = as_shares(targets, logits.shape[1], settings.label_smoothing)
    values = F.binary_cross_entropy_with_logits(logits, shares, reduction="none").mean(1)
    return values if weights is None else values * (as_shares(targets, logits.shape[1]) @ weights)


# A new loss is one function, one row and its name in ``Settings.loss``.
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None, Settings], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "binary_cross_entropy": _binary_cross_entropy,
}
