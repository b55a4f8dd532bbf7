"""The available networks: ours, and timm's with published weights; with size, licence and whether they are cached."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.installation import import_library, missing_modules
from sightline.networks.carried import carried_file
from sightline.networks.describe import describe_network
from sightline.networks.published import find_in_cache
from sightline.networks.timm_names import read_timm_names
from sightline.networks.weights import find_cached
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.settings import Settings
from sightline.text import did_you_mean

__all__ = ["ListedNetwork", "list_networks", "measure_cached"]

_MOST_BUILT = 50  # architectures; a timm network must be built to count its parameters


@dataclass(frozen=True, slots=True)
class ListedNetwork:
    """One network of the list.

    Attributes:
        name: what ``--model`` takes.
        parameters: weights without the last layer; None where counting them would take long.
        size: side of its input, in pixels.
        licence: of the published weights, in words; empty for our own networks, which have none.
        is_cached: whether the weights are on this machine.
        description: of our own networks, in a few words.
        is_carried: whether the weights come with Sightline.
    """

    name: str
    parameters: int | None
    size: int
    licence: str
    is_cached: bool
    description: str = ""
    is_carried: bool = False


def list_networks(pattern: str = "") -> tuple[ListedNetwork, ...]:
    """Return our networks and the carried one; for a pattern timm's with published weights too. No connection is made.

    Args:
        pattern: shell wildcards (``resnet*``), or a part of the name; empty for ours and the carried one.

    Raises:
        InputError: if nothing matches, with the nearest names.

    Example:
        >>> [network.name for network in list_networks("small-c*")]
        ['small-convnext', 'small-cnn']
    """
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    own = tuple(_own(name) for name in OWN_NETWORKS if fnmatch.fnmatchcase(name, wanted))
    if not pattern:
        return (*own, _timms(CARRIED.name, None))
    timm = import_library("timm")
    names = [name for name in timm.list_models(pretrained=True) if fnmatch.fnmatchcase(name, wanted)]
    if not names and not own:
        cure = did_you_mean(pattern.strip("*"), [*OWN_NETWORKS, *timm.list_models()], most=3)
        cure = cure or "sightline models '*' lists all"
        raise InputError("model.no-match", f"no network with published weights matches {pattern!r}", cure)
    architectures = sorted({name.split(".")[0] for name in names})
    counts = {name: _count_timms(name) for name in architectures} if len(architectures) <= _MOST_BUILT else {}
    return own + tuple(_timms(name, counts.get(name.split(".")[0])) for name in names)


def measure_cached() -> dict[str, int]:
    """Return the pretrained networks whose weights are on this machine, with the bytes of their weights in fp32.

    Those are the carried one and what lies in the hub's cache. timm is not imported, and no connection is made.

    Example:
        ``measure_cached()["tf_efficientnet_lite0.in1k"]``
    """
    from huggingface_hub import constants

    found = {CARRIED.name: 2 * carried_file().stat().st_size}  # it is kept in half precision
    names, cache = read_timm_names(), Path(constants.HF_HUB_CACHE)
    folders = {folder.name for folder in cache.glob("models--*")} if cache.is_dir() else set()
    for name, repository in sorted(names.repositories.items()) if names and folders else ():
        if f"models--{repository.replace('/', '--')}" in folders and not is_carried(name):
            file = find_in_cache(repository)
            found |= {} if file is None else {name: file.stat().st_size}
    return found


def _own(name: str) -> ListedNetwork:
    own = OWN_NETWORKS[name]
    count = None if missing_modules("train") else _count_own(name)
    return ListedNetwork(name, count, describe_network(name).size, "", False, own.description)


def _timms(name: str, parameters: int | None) -> ListedNetwork:
    facts = describe_network(name)
    carried = is_carried(name)
    count = _count_carried() if carried else parameters
    return ListedNetwork(name, count, facts.size, facts.licence, find_cached(facts) is not None, is_carried=carried)


def _count_carried() -> int:
    """Count the weights in the carried file; the averages of its batch norms are not learned."""
    from safetensors import safe_open

    with safe_open(carried_file(), framework="numpy") as file:
        learned = [name for name in file.keys() if name.endswith((".weight", ".bias"))]  # noqa: SIM118
        return sum(math.prod(file.get_slice(name).get_shape()) for name in learned)


def _count_timms(name: str) -> int:
    """Count the weights of a timm network, built without memory for them."""
    import timm
    import torch

    with torch.device("meta"):
        return _count(timm.create_model(name, pretrained=False, num_classes=0))


def _count_own(name: str) -> int:
    import torch

    from sightline.networks.build import BODIES

    own = OWN_NETWORKS[name]
    shape: dict[str, Any] = {
        "size": 32,
        "width": own.width,
        "depth": own.depth,
        "kernel_size": own.kernel_size,
        "dense_units": own.dense_units * own.width,
        "stage_dropout": 0.0,
        "stochastic_depth": 0.0,
    }
    with torch.device("meta"):
        return _count(BODIES[name](Settings.model_construct(**shape)))


def _count(body: Any) -> int:
    return sum(weights.numel() for weights in body.parameters())
