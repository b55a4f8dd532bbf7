"""``Network``: a body that makes features, and a linear head; normalisation inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.networks.stages import Stages, staged_features

__all__ = ["Network"]


class Network(nn.Module):
    """From pixels to logits, with the same interface for every body.

    Args:
        body: module from ``[N, 3, H, W]`` normalised images to ``[N, L]`` features of its last layer.
        feature_size: L.
        classes: number of outputs.
        mean, std: per channel, for pixels scaled to 0..1.
        dropout: probability of dropping a feature before the head, in training.
        stages: maps of the body whose averages are features too, before those of the last layer; None: none.
        mirrored: outside of training, features are the mean of those of an image and of its mirror image; logits, which
            are linear in them, are so too.

    Attributes:
        feature_size: D, of all features.
        feature_groups: how many of them come from each stage, and from the last layer.
        feature_scale: ``[D]`` that multiplies the features where there are stages: these differ much in size, and how
            much they count is decided when the head is fitted.
    """

    def __init__(
        self,
        body: nn.Module,
        feature_size: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        dropout: float = 0.0,
        stages: Stages | None = None,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.stages = stages
        self.mirrored = mirrored
        self.feature_groups = (*(stages.channels if stages else ()), feature_size)
        self.feature_size = sum(self.feature_groups)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.feature_size, classes)
        self.feature_scale: Tensor
        if stages:
            self.register_buffer("feature_scale", torch.ones(self.feature_size))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` images with values from 0 to 1."""
        normalised = (images - self.mean) / self.std
        if self.training or not self.mirrored:
            return self._features_of(normalised)
        return (self._features_of(normalised) + self._features_of(normalised.flip(3))) / 2

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, K]`` logits of ``[N, 3, H, W]`` images with values from 0 to 1."""
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits

    def _features_of(self, normalised: Tensor) -> Tensor:
        if self.stages is None:
            features: Tensor = self.body(normalised)
            return features
        return staged_features(self.body, normalised, self.stages) * self.feature_scale
