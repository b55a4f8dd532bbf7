"""Zoom, rotation, shear, shift and mirrors of a whole batch, as one resampling; borders are filled by mirroring.

A map is ``[2, 3]``: it takes a position in the output (x, y in pixels from the centre, and 1) to the position in
the input that is shown there. Mirrors and shifts by whole pixels move pixels without resampling.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.planning.settings import Settings

__all__ = ["affine_maps", "draw_maps", "draw_moves", "is_resampled", "move_pixels", "warp_images"]


def is_resampled(settings: Settings) -> bool:
    """Tell whether a setting needs interpolation; mirrors and shifts alone don't."""
    return any((settings.zoom, settings.zoom_out, settings.rotate, settings.shear))


def affine_maps(angles: Tensor, shears: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """Return ``[N, 2, 3]`` maps of images that are rotated, sheared, scaled and then shifted.

    Args:
        angles: ``[N]``, clockwise, in degrees.
        shears: ``[N]``, along x, in degrees.
        scales: ``[N]``, of the image: 2 shows it twice as large.
        shifts: ``[N, 2]``, in pixels, to the right and down.

    Example:
        >>> zero, one = torch.zeros(1), torch.ones(1)
        >>> affine_maps(zero, zero, 2 * one, torch.zeros(1, 2))[0, 0].tolist()
        [0.5, 0.0, 0.0]
    """
    turn, shear = torch.deg2rad(angles), torch.deg2rad(shears)
    forward = torch.stack(
        [
            torch.stack([turn.cos(), -turn.cos() * shear.tan() - turn.sin()], 1),
            torch.stack([turn.sin(), -turn.sin() * shear.tan() + turn.cos()], 1),
        ],
        1,
    )
    # The determinant is 1, so the inverse is the adjugate.
    (a, b), (c, d) = forward.unbind(1)[0].unbind(1), forward.unbind(1)[1].unbind(1)
    inverse = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1) / scales[:, None, None]
    return torch.cat([inverse, -inverse @ shifts[:, :, None]], 2)


def draw_maps(settings: Settings, count: int, sides: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return ``[N, 2, 3]`` maps by the settings: a rotation, a shear, a scale and a shift for each image.

    A zoom shows a random part of the image, a zoom-out the whole image at a random position among mirrored borders;
    with both, the side of the shown area is drawn between the two.

    Args:
        settings: ``rotate``, ``shear``, ``zoom``, ``zoom_out`` and ``translate``; shifts may be fractions of a pixel.
        count: images.
        sides: (height, width) in pixels.
        generator: of the step.
    """
    draws = torch.rand(count, 7, generator=generator)
    spread = 2 * draws - 1
    shown = 1 - settings.zoom + (settings.zoom + settings.zoom_out) * draws[:, 0]
    pixels = torch.tensor([sides[1], sides[0]])
    maps = affine_maps(
        settings.rotate * spread[:, 1],
        settings.shear * spread[:, 2],
        1 / shown,
        settings.translate * spread[:, 3:5] * pixels,
    )
    maps[:, :, 2] += (1 - shown)[:, None] / 2 * spread[:, 5:7] * pixels
    return maps


def warp_images(images: Tensor, maps: Tensor) -> Tensor:
    """Return images resampled by maps, bilinear, with borders mirrored about the edge of the outermost pixels.

    Args:
        images: ``[N, 3, H, W] float32`` from 0 to 1.
        maps: ``[N, 2, 3]``, see the top of this file.

    References:
        The coordinates are torchvision's (``functional.affine``).
    """
    height, width = images.shape[2:]
    half = torch.tensor([width, height]) / 2
    # grid_sample takes coordinates from -1 to 1. A sum of two small tensors costs a tenth of affine_grid's product.
    maps = (maps / half[None, :, None]).to(images)
    along, down = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (width, height))
    rows = maps[:, None, None, :, 1] * down[:, None, None] + maps[:, None, None, :, 2]
    grid = maps[:, None, None, :, 0] * along[:, None] + rows
    sampled = F.grid_sample(images.contiguous(), grid, padding_mode="reflection", align_corners=False)
    return sampled.clamp_(0, 1)


def draw_moves(share: float, sides: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    """Return ``[N, 2] int64`` shifts (down, right) of whole pixels, each up to ``share`` of that side either way."""
    reach = torch.tensor([min(side - 1, round(share * side)) for side in sides])
    # One draw for both sides, as the floor of a share: randint takes only one range.
    return (torch.rand(count, 2, generator=generator) * (2 * reach + 1)).long().clamp_(max=2 * reach) - reach


def move_pixels(images: Tensor, moves: Tensor | None, mirror: Tensor | None, upside_down: Tensor | None) -> Tensor:
    """Return images mirrored and shifted by whole pixels: each output value is an unchanged input value.

    The edge that a shift leaves open is mirrored about the outermost pixels, which are not repeated (numpy's
    ``reflect``).

    Args:
        images: ``[N, 3, H, W]``.
        moves: ``[N, 2] int64`` (up, left), each less than the side; None: no shift.
        mirror, upside_down: ``[N] bool``, which images are mirrored left-right and upside down; None: none.
    """
    count, channels, height, width = images.shape
    moves = torch.zeros(count, 2, dtype=torch.long) if moves is None else moves
    rows, columns = _sources(height, moves[:, 0], upside_down), _sources(width, moves[:, 1], mirror)
    if images.is_contiguous():
        places = (rows[:, :, None] * width + columns[:, None]).view(count, 1, -1).to(images.device)
        return images.view(count, channels, -1).gather(2, places.expand(-1, channels, -1)).view_as(images)
    # Batches from the store are channels-last: the values of a pixel are adjacent and are moved together.
    first = torch.arange(count)[:, None, None] * height
    places = ((first + rows[:, :, None]) * width + columns[:, None]).view(-1).to(images.device)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
    return pixels.index_select(0, places).view(count, height, width, channels).permute(0, 3, 1, 2)


def _sources(side: int, moves: Tensor, is_turned: Tensor | None) -> Tensor:
    """Return ``[N, side]``: the source position along this side of each output pixel."""
    places = (torch.arange(side) + moves[:, None]).abs()
    places = torch.where(places >= side, 2 * (side - 1) - places, places)
    if is_turned is None:
        return places
    return torch.where(is_turned[:, None], side - 1 - places, places)
