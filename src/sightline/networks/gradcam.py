"""Grad-CAM: which places of an image moved the score of a class; for any network, with no layer to choose."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.errors import ModelError
from sightline.networks.network import Network
from sightline.pixels.limits import squares_at_once

__all__ = ["GradCam", "grad_cam"]

# A gradient needs all maps of its images in memory; so many pixels at once are as quick as more.


@dataclass(frozen=True, slots=True, eq=False)
class GradCam:
    """Where the score of a class came from, one map an image.

    Attributes:
        maps: ``[N, H, W] float32``, 0 to 1, as large as the images. 1 is the place that raised the score most; all
            zeros where no place raised it.
        layer: the module of the network's body whose output was looked at.
        grid: (rows, columns) of that output: finer the maps can't be.
    """

    maps: npt.NDArray[np.float32]
    layer: str
    grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Window:
    """How a module shrinks an axis: from how many places to how many, by which stride; and where the first one goes."""

    given: int
    left: int
    stride: int
    shift: float


@dataclass(frozen=True, slots=True)
class _Output:
    """What a module gave; of one that shrinks an image also how, for rows and columns."""

    name: str
    tensor: Tensor
    windows: tuple[_Window, ...] = ()


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
    added up, and cut off at zero (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2). It is laid over the
    image with each place where its receptive field has its centre (Araujo et al. 2019, doi 10.23915/distill.00021):
    padded convolutions of stride 2 see up and left of where a plain enlargement would put them. The map is found by
    itself: of all outputs of the body's modules in one forward pass, the last that holds channels by place, in more
    than one place. Where its gradient is zero, because the head reads a class token alone, it is the last one before
    that has a gradient: in timm's ViTs the first norm of the last block.

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
    size = squares_at_once(max(pixels.shape[1:3]))
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
        place, layout, gradient = _last_map(network.body, outputs, images.shape, chosen)
        places = layout.spread(outputs[place].tensor.detach().float())
        weights = layout.spread(gradient.float()).mean((1, 2), keepdim=True)
    raised = (weights * places).sum(-1).clamp(min=0)
    maps = _enlarged(raised, outputs[: place + 1], images.shape)
    highest = maps.amax((1, 2), keepdim=True)
    maps = torch.where(highest > 0, maps / highest.clamp(min=torch.finfo(maps.dtype).tiny), 0.0)
    return GradCam(maps.cpu().numpy(), outputs[place].name, (layout.rows, layout.columns))


def _enlarged(maps: Tensor, outputs: list[_Output], shape: torch.Size) -> Tensor:
    """Return ``[N, h, w]`` maps as large as the images, bilinear between the centres of what their places see."""
    axes = []
    for axis, (side, count) in enumerate(zip(shape[2:], maps.shape[1:], strict=True)):
        first, step = _centres(outputs, side, count, axis)
        where = (torch.arange(side, device=maps.device) - first) / step  # of each pixel, in places
        axes.append((2 * where + 1) / count - 1)
    rows, columns = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([columns, rows], -1).expand(len(maps), -1, -1, -1)
    larger = F.grid_sample(maps[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return larger[:, 0]


def _centres(outputs: list[_Output], side: int, count: int, axis: int) -> tuple[float, float]:
    """Return (centre of the first place in pixels, pixels from one place to the next) along an axis.

    Where ways lie side by side, as a block and its shortcut, it is the mean of them. What shrinks the image and is
    neither convolution nor pooling, as the merging of patches, does so evenly.
    """
    first, step, current = 0.0, 1.0, side
    windows = [window for output in outputs for window in output.windows[axis : axis + 1]]
    while ways := [window for window in windows if window.given == current]:
        beside = [window.shift for window in ways if window.left == ways[0].left]
        first, step = first + step * sum(beside) / len(beside), step * ways[0].stride
        current = ways[0].left
    even = current / count
    first, step = first + (even - 1) / 2 * step, step * even
    if first < 0 or first + (count - 1) * step > side - 1:  # a way that this does not follow
        return (side / count - 1) / 2, side / count
    return first, step


def _last_map(body: nn.Module, outputs: list[_Output], shape: torch.Size, score: Tensor) -> tuple[int, _Layout, Tensor]:
    """Return (which output, its layout, gradient of the score) of the last map whose places the score depends on."""
    layouts = [(place, _layout_of(body, output.tensor, shape)) for place, output in enumerate(outputs)]
    found = [(place, layout) for place, layout in layouts if layout is not None]
    if not found:
        raise ModelError(
            "explain.no-map", "this network has no feature map: nothing in it has places", "give --method occlusion"
        )
    last, last_layout = found[-1]
    for place, layout in reversed(found):
        (gradient,) = torch.autograd.grad(score, outputs[place].tensor, retain_graph=True, allow_unused=True)
        if gradient is not None and layout.spread(gradient).any():
            return place, layout, gradient
    return last, last_layout, torch.zeros_like(outputs[last].tensor)


def _layout_of(body: nn.Module, tensor: Tensor, shape: torch.Size) -> _Layout | None:
    """Return how an output holds a map of images of a shape, or None where it holds none, or one place only."""
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
    """Tell whether a grid of more than one place has the sides of an image, within the rounding of a place."""
    is_finer = rows > height or columns > width
    return rows * columns > 1 and not is_finer and abs(rows * width - columns * height) < max(height, width)


@contextlib.contextmanager
def _recorded(body: nn.Module) -> Iterator[list[_Output]]:
    """Keep the outputs of a body's modules, with their names, in the order in which they are finished.

    What lies inside of attention is left out, since queries and keys are not a map of the image, and so is what
    changes nothing. timm has no sign for it but the names of its classes.
    """
    inside = tuple(
        f"{name}."
        for name, module in body.named_modules()
        if ("Attention" in (kind := type(module).__name__) or "Attn" in kind) and "Block" not in kind
    )
    outputs: list[_Output] = []

    def hook(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def keep(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and output.requires_grad:
                outputs.append(_Output(name, output, _windows_of(module, inputs, output)))

        return keep

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


def _windows_of(module: nn.Module, inputs: tuple[object, ...], output: Tensor) -> tuple[_Window, ...]:
    """Return what a convolution or pooling that shrinks does to rows and columns; nothing for all else."""
    given = inputs[0] if inputs else None
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) or not isinstance(given, Tensor):
        return ()
    if given.shape[2] <= output.shape[2] or given.shape[3] <= output.shape[3]:
        return ()
    window: Any = module  # torch types a module's numbers as anything
    padding = 0 if isinstance(window.padding, str) else window.padding
    windows = []
    for axis in range(2):
        kernel, stride, before = (
            number if isinstance(number, int) else number[axis]
            for number in (window.kernel_size, window.stride, padding)
        )
        side, left = given.shape[2 + axis], output.shape[2 + axis]
        if (side + 2 * before - kernel) // stride + 1 != left:  # padded as TensorFlow does: the odd one comes after
            before = max(0, (left - 1) * stride + kernel - side) // 2
        windows.append(_Window(side, left, stride, (kernel - 1) / 2 - before))
    return tuple(windows)


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
