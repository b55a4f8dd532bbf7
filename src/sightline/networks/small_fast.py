"""Our network for training from scratch in minutes, up to 64 px: the CIFAR-10 speed records, adapted to any data set.

Sources: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498) and the recipes after it;
whitening as the first layer from D. Page's "How to train your ResNet" and tysam-code/hlb-CIFAR10.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SmallFast", "scale_head", "whiten_first_layer", "whitening_filters"]

_STEM = 24  # both signs of the 12 directions of a 2x2 patch of three channels
_BIG = 40  # above this side, the first layer halves the image, which costs no more than an image of half the side


class SmallFast(nn.Module):
    """A frozen whitening layer and three stages of plain 3x3 convolutions that start as the identity.

    The first layer is set from the training images by :func:`whiten_first_layer` and is not trained. It has no bias
    (the speed records train one for a few epochs): on drawings, whose colours hardly vary, a bias at the high rate
    grows without bound. Batch norms have no learned scale, which later layers do not need, and their biases can
    then use a much higher rate. The features are the maximum over space.

    Args:
        size: side of the images it will classify; at least 16. In training it takes any side from 12 (from 24
            where ``size`` is over 40), so that the first steps can run on smaller copies.
        width: channels of the first stage; the others have twice as many.
        depth: convolutions a stage, 2 or more; from the third on, they are residual.
        kernel_size: side of the stages' filters, odd; 0: 3.

    Attributes:
        feature_size: length of the features, twice the width.

    Example:
        >>> body = SmallFast(size=32, width=16)
        >>> body(torch.zeros(5, 3, 32, 32)).shape, body.feature_size
        (torch.Size([5, 32]), 32)
    """

    def __init__(self, size: int, width: int = 64, depth: int = 2, kernel_size: int = 3) -> None:
        super().__init__()
        kernel, stride = (4, 2) if size > _BIG else (2, 1)
        self.stem = nn.Conv2d(3, _STEM, kernel, stride, bias=False)
        self.stem.weight.requires_grad_(False)
        self.act = nn.SiLU(inplace=True)
        channels = (_STEM, width, 2 * width, 2 * width)
        self.stages = nn.Sequential(*(_Stage(*pair, depth, kernel_size or 3) for pair in itertools.pairwise(channels)))
        self.feature_size = 2 * width

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` normalised images."""
        # In full precision: of grey images, large weights cancel each other, and rounded ones do not. After three
        # epochs digits reached 77 to 81 % in half precision with three of five seeds, and 98 to 99 % with this line.
        with torch.autocast(images.device.type, enabled=False):
            seen = self.stem(images.float())
        features: Tensor = self.stages(self.act(seen)).amax((2, 3))
        return features


class _Stage(nn.Module):
    """Convolution, halving, norm, activation; then more convolutions at that resolution."""

    def __init__(self, inputs: int, outputs: int, depth: int, kernel: int) -> None:
        super().__init__()
        self.widen = _identity_like(inputs, outputs, kernel)
        self.pool = nn.MaxPool2d(2)  # before norm and activation, which then process a quarter of the values
        self.norm = _norm(outputs)
        self.refine = nn.ModuleList(_identity_like(outputs, outputs, kernel) for _ in range(depth - 1))
        self.refine_norms = nn.ModuleList(_norm(outputs) for _ in range(depth - 1))
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.pool(self.widen(x))))
        for position, (convolution, norm) in enumerate(zip(self.refine, self.refine_norms, strict=True)):
            refined = norm(convolution(x))
            x = self.act(refined + x if position else refined)
        return x


def _identity_like(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Return a convolution whose first outputs copy the inputs; further ones have random weights."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[: min(inputs, outputs)])
    return convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    # A high momentum: a run has only a few hundred steps, and evaluation should use the statistics of the last ones.
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def whiten_first_layer(body: SmallFast, images: Tensor) -> None:
    """Set the first layer from training images, in place; a few thousand are enough, and a few also work.

    Args:
        body: of a new network.
        images: ``[N, 3, H, W]`` floats, normalised as for the body.
    """
    with torch.no_grad():
        filters = whitening_filters(images, body.stem.kernel_size[0], _STEM // 2)
        body.stem.weight.copy_(torch.cat((filters, -filters)))


def whitening_filters(images: Tensor, kernel: int, count: int) -> Tensor:
    """Return the filters that make the patches of images uncorrelated and of unit variance, the strongest first.

    Directions in which the patches hardly vary (grey or near-constant images) are not amplified: variances have a
    lower bound. An empty batch counts as images without any variation.

    Args:
        images: ``[N, 3, H, W]`` normalised floats, with sides of at least ``kernel``.
        kernel: side of the patches.
        count: number of filters, at most ``3 * kernel**2``.

    Returns:
        ``[count, 3, kernel, kernel]`` float32; the same for the same images, signs included.

    Example:
        >>> whitening_filters(torch.zeros(4, 3, 8, 8), kernel=2, count=12).isfinite().all()
        tensor(True)
    """
    length = 3 * kernel**2
    moments = torch.zeros(length, length, dtype=torch.float64)
    patches = 0
    for part in images.split(500):  # unfolded images need kernel**2 times their memory
        columns = F.unfold(part.float(), kernel).transpose(0, 1).flatten(1)
        moments += (columns @ columns.T).double().cpu()
        patches += columns.shape[1]
    moments /= max(1, patches)
    variances, directions = torch.linalg.eigh(moments)
    directions = directions.T.flip(0)[:count]
    # The sign of an eigenvector is arbitrary: make the largest entry positive.
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * torch.where(largest < 0, -1.0, 1.0)
    # The lower bound of the speed records, for pixels of unit variance; a smaller one amplifies compression noise.
    scales = (variances.flip(0)[:count].clamp(min=0) + 5e-4).rsqrt()
    filters: Tensor = (directions * scales[:, None]).reshape(count, 3, kernel, kernel).float()
    return filters


def scale_head(head: nn.Linear) -> None:
    """Initialise a head with small random weights and zero bias, in place.

    The speed records divide the logits of a head of unit weights by a constant. A plain layer whose initial weights are
    scaled by the constant, and whose learning rate is scaled by its square, ``1 / (256 D)``, trains the same way.
    """
    with torch.no_grad():
        nn.init.normal_(head.weight, std=1 / (16 * math.sqrt(head.in_features)))
        if head.bias is not None:
            nn.init.zeros_(head.bias)
