"""A name and weights to a :class:`Network`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline.errors import InputError, WeightsError
from sightline.networks.network import Network
from sightline.networks.small import SmallBody
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.settings import Settings

__all__ = ["build_network"]


def build_network(settings: Settings, classes: int, weights: Path | None) -> Network:
    """Build the planned network; the same seed gives the same weights.

    Args:
        settings: of the plan; model, size, mean, std and seed are used.
        classes: number of classes.
        weights: a safetensors file in the network's own (timm) names, or None for a random start.

    Raises:
        WeightsError: if the file does not fit the network.
        InputError: if the network can't take images of this size.
    """
    torch.manual_seed(settings.seed)
    if settings.model in OWN_NETWORKS:
        if weights is not None:
            raise WeightsError(
                "weights.not-for-small", f"{settings.model} takes no weights", "choose a timm --model for them"
            )
        body: nn.Module = SmallBody(settings.size)
        return Network(body, SmallBody(settings.size).feature_size, classes, settings.mean, settings.std)
    body = _timm_body(settings, weights)
    with torch.inference_mode():
        try:
            probe = body.eval()(torch.zeros(1, 3, settings.size, settings.size))
        except (RuntimeError, AssertionError) as error:
            text = str(error).splitlines()[0]
            raise InputError(
                "model.size",
                f"{settings.model} can't take images of {settings.size} px: {text}",
                "leave out --size",
            ) from error
    torch.manual_seed(settings.seed)  # whatever the body drew, the head starts the same
    return Network(body, probe.shape[1], classes, settings.mean, settings.std)


def _timm_body(settings: Settings, weights: Path | None) -> nn.Module:
    """Return timm's network without its classifier: ``[N, 3, H, W]`` to the features before the last layer."""
    import timm

    config = timm.get_pretrained_cfg(settings.model)
    more = {}
    if config.fixed_input_size and config.input_size[-1] != settings.size:
        more["img_size"] = settings.size
    name = settings.model.split(".")[0] if not config.tag else settings.model
    if weights is None:
        body: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **more)
        return body
    count = _rows_of_classifier(weights, config.classifier) or config.num_classes
    overlay = {"file": str(weights), "num_classes": count, "custom_load": False, "label_offset": 0}
    try:
        # With the class count of the file timm loads strictly: a missing weight is an error, never a random one.
        body = timm.create_model(name, pretrained=True, num_classes=count, pretrained_cfg_overlay=overlay, **more)
    except Exception as error:  # timm, safetensors and torch each raise their own
        text = " ".join(str(error).split())[:300]
        raise WeightsError(
            "weights.mismatch",
            f"{weights} does not fit {settings.model}: {text}",
            "give the weights of this very --model",
        ) from error
    timm_network: Any = body  # timm adds this method to each of its networks
    timm_network.reset_classifier(0)
    return body


def _rows_of_classifier(weights: Path, classifier: str | tuple[str, ...] | None) -> int | None:
    """Return how many classes a file's last layer has, from its header."""
    from safetensors import SafetensorError, safe_open

    name = classifier if isinstance(classifier, str) else (classifier or ("",))[0]
    try:
        with safe_open(weights, framework="numpy") as file:
            return int(file.get_slice(f"{name}.weight").get_shape()[0])
    except SafetensorError:
        return None
