"""Changes of single images of a batch: Gaussian blur, and an erased rectangle."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.planning.settings import Settings

__all__ = ["blur_images", "draw_boxes", "draw_sigmas", "erase_boxes"]

_SIDE = 224  # side for which the blur's standard deviation is given
_LEAST_SIGMA = 0.1
_AREA, _RATIO, _TRIES = (0.02, 0.33), (0.3, 3.3), 10  # torchvision's RandomErasing


def draw_sigmas(settings: Settings, count: int, side: int, generator: torch.Generator) -> Tensor:
    """Return ``[N]`` standard deviations in pixels: uniform up to ``blur_sigma`` for randomly chosen images, else 0.

    Args:
        settings: ``blur`` is the probability; ``blur_sigma`` is given for 224 px and scaled with the side.
        count: images.
        side: the shorter, in pixels.
        generator: of the step.
    """
    draws = torch.rand(2, count, generator=generator)
    least = min(_LEAST_SIGMA, settings.blur_sigma)
    sigmas = (least + (settings.blur_sigma - least) * draws[1]) * side / _SIDE
    return torch.where(draws[0] < settings.blur, sigmas, 0.0)


def blur_images(images: Tensor, sigmas: Tensor, largest: float) -> Tensor:
    """Return images blurred by Gaussians cut at three times the largest deviation; borders are mirrored.

    Args:
        images: ``[N, 3, H, W] float32``.
        sigmas: ``[N]`` in pixels; 0 leaves an image unchanged.
        largest: of the whole batch, of which these may be a part.

    References:
        torchvision's ``gaussian_blur`` with a kernel of that width.
    """
    rows = sigmas.nonzero()[:, 0]
    if not len(rows):
        return images
    radius = min(max(1, math.ceil(3 * largest)), min(images.shape[2:]) - 1)
    offsets = torch.arange(-radius, radius + 1)
    kernels = torch.exp(-0.5 * (offsets / sigmas[rows, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0).to(images)[:, None]
    places = rows.to(images.device)
    chosen = images[places].reshape(1, -1, *images.shape[2:])  # one group for each channel of an image
    chosen = F.conv2d(F.pad(chosen, (0, 0, radius, radius), mode="reflect"), kernels[..., None], groups=len(kernels))
    chosen = F.conv2d(F.pad(chosen, (radius, radius, 0, 0), mode="reflect"), kernels[:, :, None], groups=len(kernels))
    return images.index_copy(0, places, chosen.view(len(rows), 3, *images.shape[2:]).clamp_(0, 1))


def draw_boxes(settings: Settings, count: int, sides: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return ``[N, 4] int64`` (top, left, height, width) of the erased box; the height is 0 where nothing is erased.

    The area is 2 to 33 % of the image, height over width 0.3 to 3.3, uniform on a logarithmic scale; the first of
    ten draws that fits is used.

    References:
        Z. Zhong et al., Random erasing data augmentation, AAAI 2020; torchvision's ``RandomErasing``.
    """
    height, width = sides
    draws = torch.rand(4, count, _TRIES, generator=generator)
    area = (_AREA[0] + (_AREA[1] - _AREA[0]) * draws[0]) * height * width
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = torch.exp(low + (high - low) * draws[1])
    heights, widths = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (heights < height) & (widths < width)
    top = (draws[2] * (height - heights + 1)).floor().clamp_(max=height - 1)
    left = (draws[3] * (width - widths + 1)).floor().clamp_(max=width - 1)
    boxes = torch.stack([top, left, heights, widths], 2).long()
    boxes = boxes[torch.arange(count), fits.int().argmax(1)]
    is_erased = (torch.rand(count, generator=generator) < settings.erasing) & fits.any(1)
    return torch.where(is_erased[:, None], boxes, 0)


def erase_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Return images with a box filled with their own mean colour, the least informative fill.

    Args:
        images: ``[N, 3, H, W]``.
        boxes: ``[N, 4]`` (top, left, height, width).
    """
    inside = []
    for axis, side in enumerate(images.shape[2:]):
        places, start = torch.arange(side), boxes[:, axis, None]
        inside.append((places >= start) & (places < start + boxes[:, axis + 2, None]))
    erased = (inside[0][:, :, None] & inside[1][:, None]).to(images.device)
    return torch.where(erased[:, None], images.mean((2, 3), keepdim=True), images)
