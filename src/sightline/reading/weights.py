"""What a training starts from: the weights, found or downloaded, and which classes an earlier run's head keeps."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from sightline.errors import WeightsError
from sightline.events import Event, Noted, StageEnded, StageStarted
from sightline.planning.facts import EarlierRun, NetworkFacts
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.settings import Chosen, Settings

if TYPE_CHECKING:
    from sightline.networks.weights import StartWeights

__all__ = ["compare_classes", "fetch_weights", "refuse_absent"]


def refuse_absent(chosen: Chosen, earlier: EarlierRun | None = None) -> None:
    """Raise where a network or weights were asked for by name and can't be had, before data are read or torch loads.

    Takes about a second at most: the hub's answer has a deadline.

    Args:
        chosen: what a person chose; ``model``, ``weights`` and ``pretrained`` are used.
        earlier: the run that ``weights`` names, if it is one.

    Raises:
        InputError: if no network has that name.
        WeightsError: if a file is missing or can't be used, or published weights are neither here nor to be had.

    Example:
        >>> refuse_absent({"model": "resnet18", "pretrained": False})
    """
    from sightline.networks.describe import refuse_unknown
    from sightline.networks.weights import check_weights, find_file, refuse_unavailable

    model, weights = str(chosen.get("model", "")), chosen.get("weights", "")
    if model:
        refuse_unknown(model)
    if earlier:
        check_weights(earlier.file)
    elif weights:
        if model in OWN_NETWORKS:
            message = f"{model} is one of Sightline's own networks, but {weights} is not from a run"
            raise WeightsError("weights.not-for-small", message, "give --weights RUN, or choose a timm --model")
        find_file(weights)
    elif model and chosen.get("pretrained", True):
        refuse_unavailable(model)


def fetch_weights(
    settings: Settings, network: NetworkFacts, classes: Sequence[str], earlier: EarlierRun | None = None
) -> Generator[Event, None, tuple[StartWeights | None, tuple[str, str]]]:
    """Return (weights, (source, licence) in words); download them first where they are not here yet.

    Args:
        settings: whether weights are wanted, and from which file.
        network: whose weights they are.
        classes: names, in the order of the head.
        earlier: a run to start from; None: the network's published weights, or those of a file.
    """
    if not settings.pretrained:
        return None, ("none: trained from scratch", "not needed")
    from sightline.networks.weights import StartWeights, download_weights, find_weights

    if earlier:
        yield Noted(f"Weights: {earlier.source}; licence: {earlier.licence}.")
        yield from _describe_head(settings, classes, earlier)
        return StartWeights(earlier.file, earlier.head_rows(tuple(classes))), (earlier.source, earlier.licence)
    weights = find_weights(network, settings.weights)
    if weights.path is None:
        size = f"{weights.size / 1e6:.1f} MB, licence: {weights.licence}, into {weights.target}"
        yield StageStarted("Downloading", f"{weights.source}: {size}")
        start = time.monotonic()
        path = download_weights(network, weights)
        yield StageEnded("Downloading", size, time.monotonic() - start)
    else:
        path = weights.path
        yield Noted(f"Weights: {weights.source}; licence: {weights.licence}.")
    return StartWeights(path), (weights.source, weights.licence)


def _describe_head(settings: Settings, classes: Sequence[str], earlier: EarlierRun) -> Iterator[Event]:
    """Say which classes keep their row of the earlier run's head."""
    changes = compare_classes(classes, earlier)
    if settings.head_first:
        yield Noted(f"The head is fitted anew; that of {earlier.name} is not used.")
    elif changes["new"] or changes["dropped"]:
        listed = "; ".join(f"{name}: {', '.join(names) or 'none'}" for name, names in changes.items())
        yield Noted(f"Classes differ from those of {earlier.name}. {listed[0].upper()}{listed[1:]}.")


def compare_classes(classes: Sequence[str], earlier: EarlierRun) -> dict[str, list[str]]:
    """Return which classes an earlier run knew (and the head keeps), which are new, and which were dropped."""
    return {
        "kept": [name for name in classes if name in earlier.classes],
        "new": [name for name in classes if name not in earlier.classes],
        "dropped": [name for name in earlier.classes if name not in classes],
    }
