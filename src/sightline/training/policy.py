"""RandAugment and TrivialAugment: torchvision's random operations, image by image."""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.planning.settings import Settings

__all__ = ["apply_policy", "draw_seeds"]


def draw_seeds(count: int, generator: torch.Generator) -> Tensor:
    """Return ``[N] int64`` seeds, one for each image."""
    return torch.randint(2**31, (count,), generator=generator)


def apply_policy(images: Tensor, settings: Settings, seeds: Tensor) -> Tensor:
    """Return images changed by the policy; each image has a seed of its own for torchvision's random numbers.

    Args:
        images: ``[N, 3, H, W] float32`` from 0 to 1; they are converted to 8 bits, as the operations require.
        settings: ``policy``; strengths are torchvision's defaults (two operations of magnitude 9, or one of any).
        seeds: ``[N] int64``.

    References:
        E. D. Cubuk et al., RandAugment, NeurIPS 2020; S. G. Müller and F. Hutter, TrivialAugment, ICCV 2021.
    """
    from torchvision.transforms import InterpolationMode, v2

    kind = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide}[settings.policy]
    change = kind(interpolation=InterpolationMode.BILINEAR)
    pixels = (images * 255).round_().to(torch.uint8)
    changed = []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the CPU's global generator
        for image, seed in zip(pixels, seeds.tolist(), strict=True):
            torch.default_generator.manual_seed(seed)  # only the CPU's; torch.manual_seed would set the GPU's too
            changed.append(change(image))
    return torch.stack(changed).float().div_(255)
