"""The file of the pretrained network that the package carries; ``pretrained/ORIGIN.md`` says where it comes from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sightline.errors import WeightsError
from sightline.planning.carried_network import CARRIED

__all__ = ["SHA256", "carried_file"]

SHA256 = "9d0a45a28874a5d8ee460f48af0095ee96d727cdf3631e1f7dc2eb3a0386e7e1"


def carried_file() -> Path:
    """Return the safetensors file of the carried network: timm's names, without a classifier.

    Raises:
        WeightsError: if it is missing or not as it was shipped: the installation is damaged.

    Example:
        >>> carried_file().name
        'tf_efficientnet_lite0.in1k.safetensors'
    """
    path = Path(__file__).with_name("pretrained") / f"{CARRIED.name}.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    if digest != SHA256:
        state = "is not as it was shipped" if digest else "is missing"
        message = f"the carried network's file {path} {state}: this installation of Sightline is damaged"
        raise WeightsError(
            "weights.carried", message, "install Sightline again: pip install --force-reinstall sightline"
        )
    return path
