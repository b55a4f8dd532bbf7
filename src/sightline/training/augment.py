"""Random changes of whole batches, on the device that trains.

Each is a function ``(images, strength, generator) -> images`` of ``[N, 3, H, W]`` floats from 0 to 1, and one
row of ``AUGMENTATIONS``. All randomness comes from the generator, which is a function of seed and step, so a
batch is the same whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.planning.settings import Settings

__all__ = ["AUGMENTATIONS", "augment_batch", "step_generator"]


def flip(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Mirror each image left-right with probability ``strength``."""
    chosen = torch.rand(len(images), generator=generator) < strength
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def translate(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Shift each image by whole pixels, up to ``strength`` of its side; the edge is filled by mirroring."""
    side = images.shape[-1]
    reach = min(side - 1, round(strength * side))
    shifts = torch.randint(-reach, reach + 1, (len(images), 2, 1), generator=generator)
    positions = torch.arange(side) + shifts  # [N, 2, side]
    positions = positions.abs()
    positions = torch.where(positions >= side, 2 * (side - 1) - positions, positions).to(images.device)
    rows = positions[:, 0, None, :, None].expand(-1, 3, -1, side)
    columns = positions[:, 1, None, None, :].expand(-1, 3, side, -1)
    shifted: Tensor = images.gather(2, rows).gather(3, columns)
    return shifted


def zoom(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Take a random square of ``1 - strength`` to 1 of the side from each image, enlarged to the whole."""
    scale = 1 - strength * torch.rand(len(images), generator=generator)
    centre = (1 - scale)[:, None] * (2 * torch.rand(len(images), 2, generator=generator) - 1)
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :, 2] = centre
    grid = F.affine_grid(matrix.to(images), list(images.shape), align_corners=False)
    zoomed: Tensor = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return zoomed


def brightness(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Multiply each image by a factor within ``1 - strength`` to ``1 + strength``."""
    return (images * _factors(images, strength, generator)).clamp(0, 1)


def contrast(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Move each image away from its mean grey, or towards it, by such a factor."""
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    return ((images - mean) * _factors(images, strength, generator) + mean).clamp(0, 1)


def saturation(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Move each pixel away from its grey, or towards it, by such a factor for each image."""
    grey = _grey(images)
    return ((images - grey) * _factors(images, strength, generator) + grey).clamp(0, 1)


def _factors(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    return (1 + strength * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1)).to(images)


def _grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


# A new augmentation is one function, one row and one setting of its name. They run in this order.
AUGMENTATIONS: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    "zoom": zoom,
    "translate": translate,
    "flip": flip,
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
}


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the source of randomness of one step: a function of seed and step alone."""
    # Two odd constants spread neighbouring steps over the generator's states (Weyl sequences).
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + step * 0x85EBCA6B + 1) % 2**63)


def augment_batch(images: Tensor, settings: Settings, step: int) -> Tensor:
    """Apply every augmentation whose strength is not 0."""
    generator = step_generator(settings.seed, step)
    for name, change in AUGMENTATIONS.items():
        strength = getattr(settings, name)
        if strength:
            images = change(images, strength, generator)
    return images
