"""The pretrained network that the package carries: what a plan needs to know of it, with or without torch."""

from __future__ import annotations

from sightline.planning.facts import NetworkFacts

__all__ = ["CARRIED", "is_carried"]

_HALF = (0.5, 0.5, 0.5)

# It takes 7 MB in half precision, may be passed on, is as good frozen as mobilenetv2_100, and is made of few operators
# that every runtime has.
CARRIED = NetworkFacts(
    name="tf_efficientnet_lite0.in1k",
    family="timm",
    size=224,
    resize=256,
    interpolation="bicubic",
    mean=_HALF,
    std=_HALF,
    has_weights=True,
    licence="apache-2.0",
)


def is_carried(name: str) -> bool:
    """Whether a network is the carried one, with its tag or without.

    Example:
        >>> is_carried("tf_efficientnet_lite0"), is_carried("tf_efficientnet_lite2.in1k")
        (True, False)
    """
    return name in (CARRIED.name, CARRIED.name.partition(".")[0])
