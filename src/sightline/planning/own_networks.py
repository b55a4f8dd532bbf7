"""Our own networks by name, for small images: what a plan needs to know of each before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OWN_NETWORKS", "SMALL_NETWORK", "OwnNetwork"]


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """One of our own networks.

    Attributes:
        description: what it is, in a few words.
        width: channels of its first stage, unless chosen otherwise.
        depth: blocks a stage, unless chosen otherwise.
        kernel_size: side of its stages' filters, unless chosen otherwise.
        dense_units: of its dense layer, for each channel of its width; 0: it has no such layer.
        dropout: before its last layer.
        stage_dropout: after each stage.
        lacks: settings that it does not support; they must be 0.
    """

    description: str
    width: int
    depth: int
    kernel_size: int = 3
    dense_units: int = 0
    dropout: float = 0.0
    stage_dropout: float = 0.0
    lacks: tuple[str, ...] = ()


# A new network of our own is one row here and one in ``networks.build.BODIES``.
OWN_NETWORKS = {
    "small-fast": OwnNetwork(
        "plain convolutions that learn in few epochs (as in the CIFAR-10 speed records)",
        64,
        2,
        lacks=("dense_units", "stage_dropout", "stochastic_depth"),
    ),
    "small-resnet": OwnNetwork(
        "residual blocks of two convolutions, batch norm, max pooling", 16, 1, dropout=0.2, lacks=("dense_units",)
    ),
    "small-convnext": OwnNetwork(
        "ConvNeXt blocks (depthwise convolution, LayerNorm, inverted bottleneck)", 48, 2, 7, lacks=("dense_units",)
    ),
    "small-cnn": OwnNetwork(
        "three stages of convolution, pooling and dropout, and a dense layer",
        32,
        1,
        dense_units=4,
        dropout=0.5,
        stage_dropout=0.3,
        lacks=("stochastic_depth",),
    ),
}

SMALL_NETWORK = "small-fast"  # the default from scratch
