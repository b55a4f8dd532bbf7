"""The stages of a timm network whose averaged maps are features beside those of its last layer.

The idea is that of U. Evci et al., "Head2Toe: Utilizing intermediate representations for better transfer learning",
arXiv 2201.03529: what earlier layers see can tell classes apart that the last one was never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import InputError
from sightline.text import one_line

__all__ = ["Stages", "find_stages", "staged_features"]

_LEAST_REDUCTION = 8  # of the image's sides: finer maps show edges and colours, not parts of things


@dataclass(frozen=True, slots=True)
class Stages:
    """Which maps of a body are averaged.

    Attributes:
        places: their positions among timm's ``feature_info``.
        channels: of each.
    """

    places: tuple[int, ...]
    channels: tuple[int, ...]


def find_stages(body: Any, size: int, name: str) -> Stages:
    """Return the last map of each resolution from an eighth of the image on.

    One whose channels the last layer averages itself, as in a ResNet, is left out.

    Args:
        body: of timm, from images to features.
        size: side of the input, in px.
        name: of the network, in words.

    Raises:
        InputError: if it has no such maps.

    Example:
        >>> import timm
        >>> find_stages(timm.create_model("resnet18", num_classes=0), 64, "resnet18")
        Stages(places=(2, 3), channels=(128, 256))
    """
    image = torch.linspace(-1, 1, 3 * size * size).view(1, 3, size, size)
    try:
        reductions = [int(stage["reduction"]) for stage in body.feature_info]
        last = {reduction: place for place, reduction in enumerate(reductions) if reduction >= _LEAST_REDUCTION}
        with torch.inference_mode():
            whole = body.eval()(image)
            final, maps = _maps_of(body, image, tuple(sorted(last.values())))
            agrees = torch.allclose(body.forward_head(final, pre_logits=True), whole, rtol=1e-3, atol=1e-5)
    except Exception as error:  # timm's networks differ in what they offer, and in what they raise
        raise _no_stages(name, one_line(error, 120)) from error
    channels = [int(seen.shape[1]) for seen in maps]
    found = [(place, count) for place, count in zip(sorted(last.values()), channels, strict=True)]
    if found and found[-1][1] == whole.shape[1]:
        del found[-1]
    if not found or not agrees:
        raise _no_stages(name, "its last layer alone has features" if agrees else "its maps are not those it ends with")
    return Stages(tuple(place for place, _ in found), tuple(count for _, count in found))


def staged_features(body: Any, images: Tensor, stages: Stages) -> Tensor:
    """Return ``[N, D]``: the mean of each channel of each stage's map, and then the features of the last layer.

    Args:
        body: of timm.
        images: ``[N, 3, H, W]``, normalised.
        stages: of ``find_stages``.
    """
    final, maps = _maps_of(body, images, stages.places)
    averaged = [nn.functional.adaptive_avg_pool2d(seen, 1).flatten(1) for seen in maps]
    return torch.cat([*averaged, body.forward_head(final, pre_logits=True)], 1)


def _maps_of(body: Any, images: Tensor, places: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
    """Return (what the body ends with before its pooling, the maps ``[N, C, H, W]`` at some places)."""
    final, maps = body.forward_intermediates(images, indices=list(places), norm=False, output_fmt="NCHW")
    return final, maps


def _no_stages(name: str, why: str) -> InputError:
    message = f"features = stages, but {name} has no stages whose maps could be averaged: {why}"
    return InputError("plan.conflict", message, "give --set features=last, or another --model, such as mobilenetv2_100")
