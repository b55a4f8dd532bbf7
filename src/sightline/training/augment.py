"""Augmentation of whole batches on the training device: the changes and their order.

All randomness comes from a CPU generator that depends on seed and step, so that a batch is the same on every device and
in every process. Each change draws its parameters first and then applies them, in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.planning.settings import Settings
from sightline.training.colour import change_colours, draw_colours
from sightline.training.effects import blur_images, draw_boxes, draw_sigmas, erase_boxes
from sightline.training.policy import apply_policy, draw_seeds
from sightline.training.warp import draw_maps, draw_moves, is_resampled, move_pixels, warp_images

__all__ = ["CHANGES", "augment_batch", "is_mirrored_this_epoch", "step_generator"]

Positions = npt.NDArray[np.intp]


class Chance(NamedTuple):
    """The random generator, for how many images it draws, and which of them this process changes."""

    generator: torch.Generator
    images: int
    mine: slice


def augment_batch(
    images: Tensor, settings: Settings, step: int, epoch: int, positions: Positions, mine: slice = slice(None)
) -> Tensor:
    """Return a batch with all planned augmentations; the input is not changed.

    Args:
        images: ``[N, 3, H, W] float32`` from 0 to 1, on any device; or those of ``mine`` alone.
        settings: of the plan.
        step: of the training, from 0; together with the seed it decides every change except an alternating flip.
        epoch: decides the alternating flip, together with
        positions: ``[N]``, which images of the training part these are.
        mine: which of the N are given and returned; each is changed as it would be in the whole batch.

    Returns:
        ``[N, 3, H, W] float32`` from 0 to 1.

    Example:
        ``augment_batch(batch.images, plan.settings, step=0, epoch=1, positions=batch.positions)``
    """
    chance = Chance(step_generator(settings.seed, step), len(positions), mine)
    layout = torch.contiguous_format if images.is_contiguous() else torch.channels_last
    images = change_geometry(images, settings, chance, _mirrored(settings, epoch, positions, chance))
    for change in CHANGES:
        images = change(images, settings, chance)
    return images.contiguous(memory_format=layout)


def change_geometry(images: Tensor, settings: Settings, chance: Chance, mirror: Tensor | None) -> Tensor:
    """Zoom, rotate, shear, shift and mirror each image, with at most one resampling.

    Args:
        images: ``[N, 3, H, W]``.
        settings: with ``zoom``, ``zoom_out``, ``rotate`` and ``shear`` all 0, pixels are moved and not interpolated.
        chance: of the step.
        mirror: ``[N] bool``, which images are mirrored left-right; None: none.
    """
    generator, count, mine = chance
    sides = images.shape[2], images.shape[3]
    upside_down = None
    if settings.flip_vertical:
        upside_down = (torch.rand(count, generator=generator) < settings.flip_vertical)[mine]
    if is_resampled(settings):
        maps = draw_maps(settings, count, sides, generator)[mine]
        for axis, chosen in enumerate((mirror, upside_down)):
            if chosen is not None:  # mirrored first, then warped: the input side of the map changes sign
                maps[:, axis] *= (1 - 2 * chosen.float())[:, None]
        return warp_images(images, maps)
    moves = draw_moves(settings.translate, sides, count, generator)[mine] if settings.translate else None
    if moves is None and mirror is None and upside_down is None:
        return images
    return move_pixels(images, moves, mirror, upside_down)


def _mirrored(settings: Settings, epoch: int, positions: Positions, chance: Chance) -> Tensor | None:
    if not settings.flip:
        return None
    if settings.flip_mode == "alternating":
        return torch.from_numpy(is_mirrored_this_epoch(settings.seed, epoch, positions[chance.mine]))
    return (torch.rand(chance.images, generator=chance.generator) < settings.flip)[chance.mine]


def is_mirrored_this_epoch(seed: int, epoch: int, positions: Positions) -> npt.NDArray[np.bool_]:
    """Tell for each image whether it is mirrored: half of them by a hash, the other half in the next epoch.

    So each image is used both ways in any two epochs; with random flips only half of them would be. Any ``flip`` above
    0 switches this on.

    Args:
        seed: of the plan.
        epoch: counts from any number.
        positions: ``[N]``, which images of the training part.

    References:
        K. Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv 2404.00498, section 3.6; the hash is
        splitmix64 (G. L. Steele et al., OOPSLA 2014).

    Example:
        >>> first, second = (is_mirrored_this_epoch(0, epoch, np.arange(9)) for epoch in (1, 2))
        >>> bool((first ^ second).all())
        True
    """
    with np.errstate(over="ignore"):
        bits = (np.asarray(positions).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        bits += np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    is_odd: npt.NDArray[np.bool_] = (bits + np.uint64(epoch)) % np.uint64(2) == 1
    return is_odd


def change_by_policy(images: Tensor, settings: Settings, chance: Chance) -> Tensor:
    """Apply RandAugment or TrivialAugment where one is chosen."""
    if settings.policy == "none":
        return images
    return apply_policy(images, settings, draw_seeds(chance.images, chance.generator)[chance.mine])


def change_colour(images: Tensor, settings: Settings, chance: Chance) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image."""
    draws = draw_colours(settings, chance.images, chance.generator)
    return images if draws is None else change_colours(images, {name: draws[name][chance.mine] for name in draws})


def blur(images: Tensor, settings: Settings, chance: Chance) -> Tensor:
    """Blur some images."""
    if not settings.blur:
        return images
    sigmas = draw_sigmas(settings, chance.images, min(images.shape[2:]), chance.generator)
    return blur_images(images, sigmas[chance.mine], float(sigmas.max()))


def erase(images: Tensor, settings: Settings, chance: Chance) -> Tensor:
    """Erase a rectangle of some images."""
    if not settings.erasing:
        return images
    boxes = draw_boxes(settings, chance.images, (images.shape[2], images.shape[3]), chance.generator)
    return erase_boxes(images, boxes[chance.mine])


# After the geometry, in this order. A new change is one function, one row, and a setting.
CHANGES: tuple[Callable[[Tensor, Settings, Chance], Tensor], ...] = (
    change_by_policy,
    change_colour,
    blur,
    erase,
)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the random generator of one step, which depends on seed and step alone."""
    # Two odd constants spread neighbouring steps over the generator's states (Weyl sequences).
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + step * 0x85EBCA6B + 1) % 2**63)
