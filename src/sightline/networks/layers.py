"""Layers that our own networks share: skipping residual blocks at random."""

from __future__ import annotations

from torch import nn

__all__ = ["rising", "skip_at_random"]


def rising(highest: float, blocks: int) -> list[float]:
    """Return the rate of each block, rising in equal steps from 0 at the first to ``highest`` at the last.

    Example:
        >>> rising(0.2, 3)
        [0.0, 0.1, 0.2]
    """
    return [highest * block / max(1, blocks - 1) for block in range(blocks)]


def skip_at_random(rate: float) -> nn.Module:
    """Return a layer that sets the branch of an image to 0 with probability ``rate`` in training.

    Stochastic depth (G. Huang et al., arXiv 1603.09382), drawn for each image, by torchvision; kept branches
    are divided by ``1 - rate``.
    """
    if not rate:
        return nn.Identity()
    from torchvision.ops import StochasticDepth  # importing torchvision costs a second

    layer: nn.Module = StochasticDepth(rate, "row")
    return layer
