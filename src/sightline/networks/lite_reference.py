"""EfficientNet-Lite computed with numpy alone: what its ONNX graph is proved against where torch is absent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sightline.networks.lite import EPSILON, Convolution, Tensors, list_blocks, same_padding, stage_ends

__all__ = ["compute_features"]

Images = npt.NDArray[np.float32]


def compute_features(
    tensors: Tensors,
    squares: npt.NDArray[np.uint8],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    has_stages: bool = False,
) -> npt.NDArray[np.float32]:
    """Return ``[N, D] float32`` features, by the definition of each layer: nothing is folded, nothing is fused.

    It shares only the list of layers with the graph, and is some thirty times slower.

    Args:
        tensors: of timm's names.
        squares: ``[N, size, size, 3] uint8``.
        mean, std: per channel, for pixels scaled to 0..1.
        has_stages: the averages of the maps that end a stage are features too, and come first.

    Example:
        ``compute_features(load_file(carried_file()), squares, CARRIED.mean, CARRIED.std)``
    """
    scaled = (squares.astype(np.float32) / 255 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    images: Images = scaled.astype(np.float32)
    blocks = list_blocks(tensors)
    ends, seen = stage_ends(blocks) if has_stages else (), []
    for place, block in enumerate(blocks):
        start = images
        for convolution in block.convolutions:
            images = _normalise(tensors, convolution, _convolve(tensors, convolution, images))
        images = (images + start).astype(np.float32) if block.is_residual else images
        if place in ends:
            seen.append(images.mean((1, 2)))
    return np.concatenate([*seen, images.mean((1, 2))], axis=1)


def _convolve(tensors: Tensors, convolution: Convolution, images: Images) -> Images:
    """Return ``[N, H, W, C]`` after a convolution: a sum over the places of its kernel."""
    weight, stride = tensors[convolution.name].astype(np.float32), convolution.stride
    kernel, side = weight.shape[-1], images.shape[1]
    pad = same_padding(side, kernel, stride)
    padded = np.pad(images, ((0, 0), pad, pad, (0, 0)))
    out = -(-side // stride)
    total: Images = np.zeros((len(images), out, out, weight.shape[0]), np.float32)
    for row in range(kernel):
        for column in range(kernel):
            seen = padded[:, row : row + stride * out : stride, column : column + stride * out : stride]
            place = weight[:, :, row, column]
            total += seen * place[:, 0] if convolution.is_depthwise else seen @ place.T
    return total


def _normalise(tensors: Tensors, convolution: Convolution, images: Images) -> Images:
    """Return the images after batch norm, and ReLU6 where there is one."""
    gamma, beta, mean, variance = (
        tensors[f"{convolution.norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    normal: Images = ((images - mean) / np.sqrt(variance + np.float32(EPSILON)) * gamma + beta).astype(np.float32)
    return normal.clip(0, 6) if convolution.has_activation else normal
