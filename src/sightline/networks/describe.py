"""Facts about a network by its name, before it is built."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from sightline.errors import InputError
from sightline.installation import import_library
from sightline.networks.timm_names import read_timm_names
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.facts import NetworkFacts
from sightline.planning.own_networks import OWN_NETWORKS, SMALL_NETWORK
from sightline.text import did_you_mean

__all__ = ["describe_network", "refuse_unknown"]

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
    if is_carried(name):
        return CARRIED
    timm = import_library("timm")
    if not timm.is_model(name):
        raise _unknown_name(name, timm.list_models())
    architecture = name.partition(".")[0]
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise _unknown_tag(name, timm.list_models(f"{architecture}.*", pretrained=True)) from error
    if config is None:  # a name of an old timm, of which nothing is stated
        raise _unknown_name(name, timm.list_models())
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


def refuse_unknown(name: str) -> None:
    """Raise for a name that no network has, without importing timm; where its source files leave a doubt, do nothing.

    Raises:
        InputError: as ``describe_network``.

    Example:
        >>> refuse_unknown("resnet18")
    """
    if name in OWN_NETWORKS or is_carried(name):
        return
    if "timm" in sys.modules:  # whoever imported it may have registered networks of their own
        describe_network(name)
        return
    names = read_timm_names()
    if names is None:
        return
    architecture, _, tag = name.partition(".")
    if architecture not in names.networks and architecture not in names.mentioned:
        raise _unknown_name(name, names.networks)
    if tag and tag not in names.tags.get(architecture, (tag,)):
        raise _unknown_tag(name, (f"{architecture}.{known}" for known in names.tags[architecture] if known))


def _unknown_name(name: str, known: Iterable[str]) -> InputError:
    rest = f"any timm name will do, for example resnet18 or convnext_tiny; or {SMALL_NETWORK}"
    cure = did_you_mean(name.split(".")[0], sorted(known), rest, most=3)
    return InputError("model.unknown-name", f"there is no network {name!r}", cure)


def _unknown_tag(name: str, known: Iterable[str]) -> InputError:
    architecture, _, tag = name.partition(".")
    names = ", ".join(sorted(known)) or "none"
    return InputError("model.unknown-tag", f"{architecture!r} has no weights {tag!r}", f"known: {names}")
