"""``small-convnext``: a ConvNeXt for images up to 64 px, small enough to train from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.networks.layers import rising, skip_at_random

__all__ = ["SmallConvnext"]

_STAGES = 3


class SmallConvnext(nn.Module):
    """A patchwise stem, and three stages of ConvNeXt blocks (Z. Liu et al., arXiv 2201.03545).

    The blocks are the paper's. Different for small images: patches of 2 px up to 32 px and of 4 px above, so that
    the first stage has 8 to 16 positions per side; three stages with the same number of blocks; layer scale starts
    at 0.1, as H. Touvron et al. (arXiv 2103.17239) advise for networks of up to 18 blocks.

    Args:
        size: side of the input, in pixels.
        width: channels of the first stage; each further one doubles them.
        depth: blocks per stage.
        stage_dropout: probability of dropping a value after each stage.
        stochastic_depth: probability of skipping the last block; it rises to this from 0 at the first.
        kernel_size: side of the depthwise filters, odd; 0: the paper's 7.

    Attributes:
        feature_size: length of the features.

    Example:
        >>> SmallConvnext(32, 48, 2).feature_size
        192
    """

    def __init__(
        self,
        size: int,
        width: int,
        depth: int,
        stage_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        kernel_size: int = 7,
    ) -> None:
        super().__init__()
        patch = 2 if size <= 32 else 4
        rates = rising(stochastic_depth, _STAGES * depth)
        self.stem = nn.Sequential(nn.Conv2d(3, width, patch, stride=patch), _ChannelNorm(width))
        stages = []
        for stage in range(_STAGES):
            channels = width * 2**stage
            before: list[nn.Module] = []
            if stage:
                before = [_ChannelNorm(channels // 2), nn.Conv2d(channels // 2, channels, 2, stride=2)]
            own_rates = rates[stage * depth : (stage + 1) * depth]
            blocks = [_Block(channels, rate, kernel=kernel_size or 7) for rate in own_rates]
            stages.append(nn.Sequential(*before, *blocks, nn.Dropout(stage_dropout)))
        self.stages = nn.Sequential(*stages)
        self.feature_size = width * 2 ** (_STAGES - 1)
        self.norm = nn.LayerNorm(self.feature_size, eps=1e-6)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` normalised images."""
        features: Tensor = self.norm(self.stages(self.stem(images)).mean((2, 3)))
        return features


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position of ``[N, C, H, W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # a view where memory is channels_last
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """Depthwise 7x7 unless chosen otherwise, layer norm, four times the channels and back, layer scale, residual."""

    def __init__(self, channels: int, rate: float, scale: float = 0.1, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))
        self.skip = skip_at_random(rate)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(F.gelu(self.widen(y)))
        z: Tensor = x + self.skip(y.permute(0, 3, 1, 2))
        return z
