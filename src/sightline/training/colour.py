"""Brightness, contrast, saturation and hue of a whole batch, as one matrix per image, clamped once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sightline.planning.settings import Settings

__all__ = ["change_colours", "colour_matrices", "draw_colours"]

_GREY = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue


def draw_colours(settings: Settings, count: int, generator: torch.Generator) -> dict[str, Tensor] | None:
    """Return ``[N]`` factors of brightness, contrast and saturation (1: unchanged) and rotations of the hue; or None.

    Args:
        settings: factors are within 1 - setting to 1 + setting, rotations within - ``hue`` to ``hue`` of the circle.
        count: images.
        generator: of the step.
    """
    if not any((settings.brightness, settings.contrast, settings.saturation, settings.hue)):
        return None
    spread = 2 * torch.rand(4, count, generator=generator) - 1
    return {
        "brightness": 1 + settings.brightness * spread[0],
        "contrast": 1 + settings.contrast * spread[1],
        "saturation": 1 + settings.saturation * spread[2],
        "hue": settings.hue * spread[3],
    }


def colour_matrices(
    means: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``[N, 3, 3]`` matrices and ``[N, 3]`` offsets of pixels: brightness first, hue last.

    Without clipping at black or white, the first three are torchvision's ``adjust_brightness``,
    ``adjust_contrast`` (about the image's mean grey) and ``adjust_saturation``. The hue is rotated about the grey axis,
    so that the change stays linear; torchvision uses the HSV hexagon, and agrees at every third of the circle.

    Args:
        means: ``[N, 3]``, mean red, green and blue of each image before the change.
        brightness, contrast, saturation, hue: ``[N]``, as returned by ``draw_colours``.

    Example:
        >>> one, zero = torch.ones(1), torch.zeros(1)
        >>> matrix, _ = colour_matrices(torch.zeros(1, 3), one, one, one, zero)
        >>> torch.allclose(matrix[0], torch.eye(3))
        True
    """
    weights = means.new_tensor(_GREY)
    identity = torch.eye(3).to(means)
    mean_grey = brightness * (means @ weights)
    offset = ((1 - contrast) * mean_grey)[:, None].expand(-1, 3)
    after = saturation[:, None, None] * identity + (1 - saturation)[:, None, None] * weights.expand(3, 3)
    after = _turns(hue) @ after
    matrix = after * (brightness * contrast)[:, None, None]
    return matrix, (after @ offset[:, :, None])[:, :, 0]


def _turns(shares: Tensor) -> Tensor:
    """Return ``[N, 3, 3]`` rotations of (red, green, blue) about (1, 1, 1): Rodrigues' formula."""
    angles = 2 * math.pi * shares
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    cross = shares.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return cosine * torch.eye(3).to(shares) + sine * cross + (1 - cosine) / 3


def change_colours(images: Tensor, draws: dict[str, Tensor]) -> Tensor:
    """Return images with changed colours, clamped to 0..1 once, at the end.

    Args:
        images: ``[N, 3, H, W] float32`` from 0 to 1.
        draws: of ``draw_colours``.
    """
    count, _, height, width = images.shape
    means = images.mean((2, 3))
    matrix, offset = colour_matrices(means, **{name: values.to(images) for name, values in draws.items()})
    # With channels-last memory, this product of many narrow rows takes seven times as long.
    changed = torch.baddbmm(offset[:, :, None], matrix, images.reshape(count, 3, -1))
    return changed.clamp_(0, 1).view(count, 3, height, width)
