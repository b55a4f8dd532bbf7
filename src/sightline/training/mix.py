"""Mixup and CutMix: two images of a batch combined into one, with targets in the same proportion."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.planning.settings import Settings

__all__ = ["cut_images", "mix_batch", "mix_images", "mix_targets"]

_STREAM = 1  # of random numbers, so that mixing does not depend on the augmentations


def mix_batch(images: Tensor, labels: Tensor, classes: int, settings: Settings, step: int) -> tuple[Tensor, Tensor]:
    """Return (images, targets) of a batch, mixed where ``mixup`` or ``cutmix`` is on; else unchanged.

    One share for the batch, from Beta(alpha, alpha), and one permutation; with both on, one is chosen at random.

    Args:
        images: ``[N, 3, H, W] float32``.
        labels: ``[N] int64``.
        classes: K.
        settings: ``mixup`` and ``cutmix`` are their alphas, 0 is off.
        step: of the training; together with the seed it decides everything.

    Returns:
        Targets are ``[N, K] float32`` shares that add up to 1, or the ``[N] int64`` labels where nothing is on.

    References:
        H. Zhang et al., mixup, ICLR 2018; S. Yun et al., CutMix, ICCV 2019; torchvision's ``v2.MixUp``, ``v2.CutMix``.
    """
    if not (settings.mixup or settings.cutmix):
        return images, labels
    random = np.random.default_rng((settings.seed, step, _STREAM))
    is_cut = bool(settings.cutmix) and (not settings.mixup or random.random() < 0.5)
    alpha = settings.cutmix if is_cut else settings.mixup
    share = float(random.beta(alpha, alpha))
    partners = torch.from_numpy(random.permutation(len(images))).to(images.device)
    if is_cut:
        place = random.random(2)
        images, share = cut_images(images, partners, share, (float(place[0]), float(place[1])))
    else:
        images = mix_images(images, partners, share)
    return images, mix_targets(labels, partners, share, classes)


def mix_images(images: Tensor, partners: Tensor, share: float) -> Tensor:
    """Return ``share`` of each image and the rest of its partner (``[N] int64``, positions in the batch)."""
    return images[partners].mul_(1 - share).add_(images, alpha=share)


def cut_images(images: Tensor, partners: Tensor, share: float, place: tuple[float, float]) -> tuple[Tensor, float]:
    """Return images with a box of their partners, and the share of the image that is left.

    Args:
        images: ``[N, 3, H, W]``.
        partners: ``[N] int64``.
        share: of the area outside the box, before the box is clipped at the border.
        place: (down, right), the box's centre, as shares of the sides.
    """
    height, width = images.shape[2:]
    half = math.sqrt(1 - share) / 2
    middle = int(place[0] * height), int(place[1] * width)
    reach = int(half * height), int(half * width)
    top, left = max(0, middle[0] - reach[0]), max(0, middle[1] - reach[1])
    bottom, right = min(height, middle[0] + reach[0]), min(width, middle[1] + reach[1])
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[partners][:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def mix_targets(labels: Tensor, partners: Tensor, share: float, classes: int) -> Tensor:
    """Return ``[N, K] float32``: ``share`` for the image's own class, the rest for its partner's.

    Example:
        >>> mix_targets(torch.tensor([0, 1]), torch.tensor([1, 0]), 0.75, 2).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    own = F.one_hot(labels, classes).float()
    return own * share + own[partners] * (1 - share)
