"""Grad-CAM: which places of a picture moved the score of a class; for any network, with no layer to choose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.errors import ModelError
from sightline.networks.network import Network

__all__ = ["GradCam", "grad_cam"]

# A gradient needs all maps of its images in memory; so many pixels at once are as quick as more.
_BATCH_PIXELS = 8 * 224 * 224


@dataclass(frozen=True, slots=True, eq=False)
class GradCam:
    """Where the score of a class came from, one map an image.

    Attributes:
        maps: ``[N, H, W] float32``, 0 to 1, as large as the pictures. 1 is the place that raised the score most; all
            zeros where no place raised it.
        layer: the module of the network's body whose output was looked at.
        grid: (rows, columns) of that output: finer the maps can't be.
    """

    maps: npt.NDArray[np.float32]
    layer: str
    grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a tensor holds a map: ``NCHW``, ``NHWC``, or ``tokens`` with some that have no place before the others."""

    kind: str
    rows: int
    columns: int
    prefix: int = 0

    def spread(self, tensor: Tensor) -> Tensor:
        """Return it as ``[N, rows, columns, channels]``."""
        if self.kind == "NCHW":
            return tensor.permute(0, 2, 3, 1)
        if self.kind == "NHWC":
            return tensor
        places: Tensor = tensor[:, self.prefix :].unflatten(1, (self.rows, self.columns))
        return places


def grad_cam(network: Network, pixels: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]) -> GradCam:
    """Return the Grad-CAM of one class an image.

    The channels of the last feature map before the pooling are weighted by the mean gradient of the class's logit,
    added up, and cut off at zero (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2). The map is found by
    itself: of all outputs of the body's modules in one forward pass, the last that holds channels by place, in more
    than one place. Where its gradient is zero, because the head reads a class token alone, it is the last one before of
    the same shape that has a gradient: in timm's ViTs the first norm of the last block.

    Args:
        network: is left as it is; it looks in evaluation mode, where it is.
        pixels: ``[N, H, W, 3] uint8`` squares as the network sees them; other shapes if the network takes them.
        classes: ``[N] int64``, the class of each image to explain.

    Raises:
        ModelError: if no output of the body has places.

    Example:
        ``grad_cam(network, square[None], np.array([3])).maps[0]``
    """
    device = network.head.weight.device
    size = max(1, _BATCH_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    parts = []
    for first in range(0, len(pixels), size):
        images = torch.from_numpy(pixels[first : first + size].copy()).to(device)
        wanted = torch.from_numpy(classes[first : first + size]).to(device)
        parts.append(_maps_of(network, images.permute(0, 3, 1, 2).float() / 255, wanted))
    return GradCam(np.concatenate([part.maps for part in parts]), parts[0].layer, parts[0].grid)


def _maps_of(network: Network, images: Tensor, classes: Tensor) -> GradCam:
    with _looking(network), torch.enable_grad(), _recorded(network.body) as outputs:
        scores = network(images.requires_grad_())  # a gradient even where all weights are frozen
        chosen = scores.gather(1, classes[:, None]).sum()
        name, layout, tensor, gradient = _last_map(network.body, outputs, images.shape, chosen)
        places = layout.spread(tensor.detach().float())
        weights = layout.spread(gradient.float()).mean((1, 2), keepdim=True)
    raised = (weights * places).sum(-1).clamp(min=0)
    maps = F.interpolate(raised[:, None], images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    highest = maps.amax((1, 2), keepdim=True)
    maps = torch.where(highest > 0, maps / highest.clamp(min=torch.finfo(maps.dtype).tiny), 0.0)
    return GradCam(maps.cpu().numpy(), name, (layout.rows, layout.columns))


def _last_map(
    body: nn.Module, outputs: list[tuple[str, Tensor]], shape: torch.Size, score: Tensor
) -> tuple[str, _Layout, Tensor, Tensor]:
    """Return (module, layout, output, gradient of the score) of the last map whose places the score depends on."""
    layouts = [_layout_of(body, tensor, shape) for _, tensor in outputs]
    found = [place for place, layout in enumerate(layouts) if layout]
    if not found:
        raise ModelError(
            "explain.no-map", "this network has no feature map: nothing in it has places", "give --method occlusion"
        )
    last = outputs[found[-1]][1]
    for place in reversed(found):
        (name, tensor), layout = outputs[place], layouts[place]
        assert layout is not None
        if tensor.shape != last.shape:
            continue
        (gradient,) = torch.autograd.grad(score, tensor, retain_graph=True, allow_unused=True)
        if gradient is not None and layout.spread(gradient).any():
            return name, layout, tensor, gradient
    layout = layouts[found[-1]]
    assert layout is not None
    return outputs[found[-1]][0], layout, last, torch.zeros_like(last)


def _layout_of(body: nn.Module, tensor: Tensor, shape: torch.Size) -> _Layout | None:
    """Return how an output holds a map of pictures of a shape, or None where it holds none, or one place only."""
    count, (height, width) = shape[0], shape[2:]
    if tensor.shape[0] != count or tensor.ndim not in (3, 4):
        return None
    if tensor.ndim == 3:
        # What a body says of its tokens without a place is right for its blocks, if not for every tensor inside.
        for prefix in dict.fromkeys([int(getattr(body, "num_prefix_tokens", 0)), 0, 1, 2]):
            places = tensor.shape[1] - prefix
            for rows in range(1, min(places, height) + 1):
                if places % rows == 0 and _fits(rows, places // rows, height, width):
                    return _Layout("tokens", rows, places // rows, prefix)
        return None
    _, one, two, three = tensor.shape
    kinds = {"NCHW": (two, three), "NHWC": (one, two)}
    if getattr(body, "output_fmt", "NCHW") == "NHWC":  # decides where both fit
        kinds = dict(reversed(kinds.items()))
    for kind, (rows, columns) in kinds.items():
        if _fits(rows, columns, height, width):
            return _Layout(kind, rows, columns)
    return None


def _fits(rows: int, columns: int, height: int, width: int) -> bool:
    """Tell whether a grid of more than one place has the sides of a picture, within the rounding of a place."""
    is_finer = rows > height or columns > width
    return rows * columns > 1 and not is_finer and abs(rows * width - columns * height) < max(height, width)


@contextlib.contextmanager
def _recorded(body: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Keep the outputs of a body's modules, with their names, in the order in which they are finished.

    What lies inside of attention is left out, since queries and keys are not a map of the picture, and so is what
    changes nothing. timm has no sign for it but the names of its classes.
    """
    inside = tuple(
        f"{name}."
        for name, module in body.named_modules()
        if ("Attention" in (kind := type(module).__name__) or "Attn" in kind) and "Block" not in kind
    )
    outputs: list[tuple[str, Tensor]] = []

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and output.requires_grad:
            outputs.append((name, output))

    def hook(name: str) -> object:
        return lambda module, inputs, output: keep(name, output)

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in body.named_modules()
        if not isinstance(module, nn.Identity) and not name.startswith(inside)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _looking(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training
