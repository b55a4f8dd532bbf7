"""Facts about a network by its name, before it is built."""

from __future__ import annotations

import difflib

from sightline.errors import InputError
from sightline.installation import import_library
from sightline.planning.facts import NetworkFacts
from sightline.planning.own_networks import OWN_NETWORKS, SMALL_NETWORK

__all__ = ["describe_network"]

_INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")


def describe_network(name: str) -> NetworkFacts:
    """Return the facts about one of our own or any timm name, with or without a tag.

    Raises:
        InputError: if there is no such network; the nearest names are given.

    Example:
        >>> describe_network("small-fast").has_weights
        False
    """
    if name in OWN_NETWORKS:
        half, quarter = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
        return NetworkFacts(name, "small", 32, 32, "bilinear", half, quarter, False, "none: trained from scratch")
    timm = import_library("timm")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3, cutoff=0.4)
        cure = f"did you mean {' or '.join(near)}? " if near else ""
        raise InputError(
            "model.unknown-name",
            f"there is no network {name!r}",
            f"{cure}use any timm name, for example resnet18 or convnext_tiny, or {SMALL_NETWORK}",
        )
    architecture, _, tag = name.partition(".")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        known = ", ".join(timm.list_models(f"{architecture}.*", pretrained=True)) or "none"
        raise InputError("model.unknown-tag", f"{architecture!r} has no weights {tag!r}", f"known: {known}") from error
    exact = f"{architecture}.{config.tag}" if config.tag else name
    size = int(config.input_size[-1])
    return NetworkFacts(
        name=exact,
        family="timm",
        size=size,
        resize=round(size / (config.crop_pct or 1.0)),
        interpolation=config.interpolation if config.interpolation in _INTERPOLATIONS else "bilinear",
        mean=tuple(config.mean),
        std=tuple(config.std),
        has_weights=bool(config.hf_hub_id),
        licence=config.license or "not stated",
    )
