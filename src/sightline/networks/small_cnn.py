"""``small-cnn``: three plain stages with dropout and a dense layer, as in introductions to Keras."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SmallCnn"]

_STAGES = 3


class SmallCnn(nn.Module):
    """Three stages of convolution, ReLU, max pooling and dropout; then a dense layer with ReLU.

    It has no norms. Weights are initialised as in Keras (uniform, X. Glorot and Y. Bengio 2010), biases with 0.

    Args:
        size: side of the input, in pixels, at least 8; the size of the dense layer depends on it.
        width: channels of the first stage; each further one doubles them.
        depth: convolutions per stage.
        stage_dropout: probability of dropping a value after each stage.
        kernel_size: side of the filters, odd; 0: 3.
        dense_units: of the dense layer; 0: as many as the last stage has channels.

    Attributes:
        feature_size: length of the features.

    Example:
        >>> SmallCnn(32, 32, 1, stage_dropout=0.3).feature_size
        128
    """

    def __init__(
        self,
        size: int,
        width: int,
        depth: int,
        stage_dropout: float = 0.0,
        kernel_size: int = 3,
        dense_units: int = 0,
    ) -> None:
        super().__init__()
        kernel = kernel_size or 3
        stages: list[nn.Module] = []
        inputs, side = 3, size
        for stage in range(_STAGES):
            channels = width * 2**stage
            for _ in range(depth):
                stages += [nn.Conv2d(inputs, channels, kernel, padding=kernel // 2), nn.ReLU()]
                inputs = channels
            stages += [nn.MaxPool2d(2), nn.Dropout(stage_dropout)]
            side //= 2
        self.stages = nn.Sequential(*stages)
        self.feature_size = dense_units or inputs
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(inputs * side * side, self.feature_size), nn.ReLU())
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, D]`` features of ``[N, 3, H, W]`` normalised images."""
        features: Tensor = self.dense(self.stages(images))
        return features
