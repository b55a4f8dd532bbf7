"""``Network``: a body that makes features, and a linear head; normalisation inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Network"]


class Network(nn.Module):
    """From pixels to logits, with the same interface for every body.

    Args:
        body: module from ``[N, 3, H, W]`` normalised images to ``[N, D]`` features.
        feature_size: D.
        classes: number of outputs.
        mean, std: per channel, for pixels scaled to 0..1.
        dropout: probability of dropping a feature before the head, in training.
    """

    def __init__(
        self,
        body: nn.Module,
        feature_size: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(feature_size, classes)
        self.feature_size = feature_size
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` images with values from 0 to 1."""
        features: Tensor = self.body((images - self.mean) / self.std)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, K]`` logits of ``[N, 3, H, W]`` images with values from 0 to 1."""
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits
