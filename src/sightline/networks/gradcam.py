"""Grad-CAM: which regions of an image raised the score of a class; for any network, without choosing a layer."""

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

# A gradient needs all activations of its images in memory; larger batches are not faster.


@dataclass(frozen=True, slots=True, eq=False)
class GradCam:
    """Which regions raised the score of a class, one map for each image.

    Attributes:
        maps: ``[N, H, W] float32``, 0 to 1, as large as the images. 1 is the position that raised the score most; all
            zeros where no position raised it.
        layer: the module of the network's body whose output was used.
        grid: (rows, columns) of that output, the true resolution of the maps.
    """

    maps: npt.NDArray[np.float32]
    layer: str
    grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Window:
    """How a module shrinks an axis: positions before and after, stride, and the shift of the first position."""

    before: int
    after: int
    stride: int
    shift: float


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of a module; for one that shrinks an image also how, for rows and columns."""

    name: str
    tensor: Tensor
    windows: tuple[_Window, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    """The layout of a feature map: ``NCHW``, ``NHWC``, or ``tokens`` after a prefix of tokens without a position."""

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
    """Return the Grad-CAM of one class for each image.

    The channels of the last feature map before the pooling are weighted by the mean gradient of the class's logit,
    added up, and clipped at zero (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2). Each position is
    placed at the centre of its receptive field (Araujo et al. 2019, doi 10.23915/distill.00021), since padded
    convolutions of stride 2 look up and left of where plain resizing would put them. The map is found automatically:
    of all outputs of the body's modules in one forward pass, the last one with channels for more than one position.
    Where its gradient is zero, because the head uses only a class token, it is the last one before with a gradient:
    in timm's ViTs the first norm of the last block.

    Args:
        network: is not changed; it runs in evaluation mode, on its device.
        pixels: ``[N, H, W, 3] uint8`` squares as for the network; other shapes if the network accepts them.
        classes: ``[N] int64``, the class of each image to explain.

    Raises:
        ModelError: if no output of the body has positions.

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
    with _evaluating(network), torch.enable_grad(), _recorded(network.body) as outputs:
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
    """Return maps as large as the images, bilinear between the centres of the receptive fields."""
    axes = []
    for axis, (side, count) in enumerate(zip(shape[2:], maps.shape[1:], strict=True)):
        first, step = _centres(outputs, side, count, axis)
        where = (torch.arange(side, device=maps.device) - first) / step  # of each pixel, in positions of the map
        axes.append((2 * where + 1) / count - 1)
    rows, columns = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([columns, rows], -1).expand(len(maps), -1, -1, -1)
    larger = F.grid_sample(maps[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return larger[:, 0]


def _centres(outputs: list[_Output], side: int, count: int, axis: int) -> tuple[float, float]:
    """Return (centre of the first position in pixels, pixels from one position to the next) along an axis.

    For parallel paths, such as a block and its shortcut, it is their mean. Modules that shrink the image and are
    neither convolution nor pooling, such as patch merging, are assumed to do so evenly.
    """
    first, step, current = 0.0, 1.0, side
    windows = [window for output in outputs for window in output.windows[axis : axis + 1]]
    while ways := [window for window in windows if window.before == current]:
        parallel = [window.shift for window in ways if window.after == ways[0].after]
        first, step = first + step * sum(parallel) / len(parallel), step * ways[0].stride
        current = ways[0].after
    even = current / count
    first, step = first + (even - 1) / 2 * step, step * even
    if first < 0 or first + (count - 1) * step > side - 1:  # a path that this does not model
        return (side / count - 1) / 2, side / count
    return first, step


def _last_map(body: nn.Module, outputs: list[_Output], shape: torch.Size, score: Tensor) -> tuple[int, _Layout, Tensor]:
    """Return (which output, its layout, gradient of the score) of the last map that the score depends on."""
    layouts = [(place, _layout_of(body, output.tensor, shape)) for place, output in enumerate(outputs)]
    found = [(place, layout) for place, layout in layouts if layout is not None]
    if not found:
        raise ModelError(
            "explain.no-map", "this network has no feature map, which Grad-CAM needs", "give --method occlusion"
        )
    last, last_layout = found[-1]
    for place, layout in reversed(found):
        (gradient,) = torch.autograd.grad(score, outputs[place].tensor, retain_graph=True, allow_unused=True)
        if gradient is not None and layout.spread(gradient).any():
            return place, layout, gradient
    return last, last_layout, torch.zeros_like(outputs[last].tensor)


def _layout_of(body: nn.Module, tensor: Tensor, shape: torch.Size) -> _Layout | None:
    """Return the layout of an output as a feature map, or None if it is not one or has a single position."""
    count, (height, width) = shape[0], shape[2:]
    if tensor.shape[0] != count or tensor.ndim not in (3, 4):
        return None
    if tensor.ndim == 3:
        # The body's number of prefix tokens applies to its blocks, but not to every tensor inside.
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
    """Tell whether a grid of more than one position has the aspect of an image, within rounding."""
    is_finer = rows > height or columns > width
    return rows * columns > 1 and not is_finer and abs(rows * width - columns * height) < max(height, width)


@contextlib.contextmanager
def _recorded(body: nn.Module) -> Iterator[list[_Output]]:
    """Keep the outputs of a body's modules, with their names, in the order in which they finish.

    Modules inside attention are left out, since queries and keys are not a map of the image, and so are identities.
    In timm, attention can only be recognised by the names of its classes.
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
    """Return how a convolution or pooling shrinks rows and columns; nothing for other modules."""
    given = inputs[0] if inputs else None
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) or not isinstance(given, Tensor):
        return ()
    if given.shape[2] <= output.shape[2] or given.shape[3] <= output.shape[3]:
        return ()
    window: Any = module  # torch gives a module's attributes no types
    padding = 0 if isinstance(window.padding, str) else window.padding
    windows = []
    for axis in range(2):
        kernel, stride, before = (
            number if isinstance(number, int) else number[axis]
            for number in (window.kernel_size, window.stride, padding)
        )
        side, after = given.shape[2 + axis], output.shape[2 + axis]
        if (side + 2 * before - kernel) // stride + 1 != after:  # padded as in TensorFlow: an odd pixel comes last
            before = max(0, (after - 1) * stride + kernel - side) // 2
        windows.append(_Window(side, after, stride, (kernel - 1) / 2 - before))
    return tuple(windows)


@contextlib.contextmanager
def _evaluating(network: Network) -> Iterator[None]:
    """Set a network to evaluation mode, and to one look at each image; restore all of that afterwards."""
    modes, mirrored = [(module, module.training) for module in network.modules()], network.mirrored
    network.eval()
    network.mirrored = False
    try:
        yield
    finally:
        network.mirrored = mirrored
        for module, is_training in modes:
            module.training = is_training
