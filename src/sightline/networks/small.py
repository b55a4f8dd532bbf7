"""Our own network for images up to 64 px: a few plain convolutions, trained from scratch in minutes on a CPU."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SmallBody"]


class SmallBody(nn.Module):
    """A stem and stages that halve the resolution; each stage ends in a residual convolution.

    Plain 3x3 convolutions, since depthwise ones are slow on a CPU for what they compute; pooling over the whole
    picture by its maximum, as in the CIFAR-10 speed records (K. Jordan, arXiv 2404.00498).

    Args:
        size: side of the input, in pixels; decides how many stages there are.

    Attributes:
        feature_size: length of the features.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        widths = [32, 64, 128] if size <= 32 else [32, 64, 128, 192]
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
        self.stages = nn.Sequential(*(_Stage(a, b) for a, b in zip([16, *widths], widths, strict=False)))
        self.feature_size = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` normalised images."""
        features: Tensor = self.stages(self.stem(images)).amax((2, 3))
        return features


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.BatchNorm2d(outputs)
        self.refine = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.refine_norm = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.pool(self.widen(x))))
        refined: Tensor = x + self.act(self.refine_norm(self.refine(x)))
        return refined
