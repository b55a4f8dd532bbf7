"""``small-resnet``: a residual network for images up to 64 px, as in notebooks for scenes and CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from sightline.networks.layers import rising, skip_at_random

__all__ = ["SmallResnet"]


class SmallResnet(nn.Module):
    """A stem, and stages of a convolution, a halving of the resolution and residual blocks of two convolutions.

    Each convolution, 3x3 unless chosen otherwise, is followed by batch norm and ReLU; each stage doubles the
    channels. The layout is that of ResNet-9 (D. Page, "How to train your ResNet"), with residual blocks in every
    stage; the blocks are those of K. He et al. (arXiv 1512.03385).

    Args:
        size: side of the input, in pixels; there are three stages up to 32 px, and four above.
        width: channels of the stem.
        depth: residual blocks per stage.
        stage_dropout: probability of dropping a value after each stage.
        stochastic_depth: probability of skipping the last block; it rises to this from 0 at the first.
        kernel_size: side of the filters, odd; 0: 3.

    Attributes:
        feature_size: length of the features.

    Example:
        >>> SmallResnet(32, 16, 1).feature_size
        128
    """

    def __init__(
        self,
        size: int,
        width: int,
        depth: int,
        stage_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        kernel = kernel_size or 3
        count = 3 if size <= 32 else 4
        rates = rising(stochastic_depth, count * depth)
        self.stem = _convolution(3, width, kernel)
        stages = []
        for stage in range(count):
            channels = width * 2 ** (stage + 1)
            blocks = [_Block(channels, rate, kernel) for rate in rates[stage * depth : (stage + 1) * depth]]
            narrow = _convolution(channels // 2, channels, kernel)
            stages.append(nn.Sequential(narrow, nn.MaxPool2d(2), *blocks, nn.Dropout(stage_dropout)))
        self.stages = nn.Sequential(*stages)
        self.feature_size = width * 2**count

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` normalised images."""
        features: Tensor = self.stages(self.stem(images)).amax((2, 3))
        return features


class _Block(nn.Module):
    def __init__(self, channels: int, rate: float, kernel: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(_convolution(channels, channels, kernel) for _ in range(2)))
        self.skip = skip_at_random(rate)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.skip(self.convolutions(x))
        return y


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    layers = OrderedDict[str, nn.Module]()
    layers["conv"] = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    layers["norm"] = nn.BatchNorm2d(outputs)
    layers["act"] = nn.ReLU()
    return nn.Sequential(layers)
