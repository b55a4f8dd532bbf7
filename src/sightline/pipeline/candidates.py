"""Which pretrained network suits the data and can be had: a few compared by frozen features, where time allows it."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.errors import WeightsError
from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.decisions import Decision
from sightline.planning.facts import DataFacts, Hardware, NetworkFacts
from sightline.planning.inputs import SMALL_SIDE
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Chosen
from sightline.reading.decode import decode_images
from sightline.text import share

__all__ = ["CANDIDATES", "compare_networks", "describe_obtainable"]

# By device, the default first. A network is compared if its weights are carried, or in the hub's cache.
CANDIDATES = {
    "cpu": (CARRIED.name, "mobilenetv2_100.ra_in1k", "efficientnet_b0.ra_in1k", "resnet18.a1_in1k"),
    "gpu": ("convnext_tiny.in12k_ft_in1k", "tf_efficientnetv2_s.in21k_ft_in1k", "resnet50.a1_in1k"),
}
_LEAST_TIME = 1800.0  # seconds: in less, the time is worth more for the default
_TRAIN, _VAL = 1_000, 500  # images at most


def compare_networks(
    samples: Samples, split: Split, data: DataFacts, hardware: Hardware, chosen: Chosen
) -> Generator[Event, None, tuple[str, str] | None]:
    """Return (network, reason) of the one whose head has the lowest validation loss, or None: the default is taken.

    Only with a time limit of half an hour or more, for images that a pretrained network is for, where neither network
    nor weights were chosen. Test images are not looked at.

    References:
        A head on frozen features ranks networks for fine-tuning well enough to choose among few: S. Kornblith et al.,
        arXiv 1805.08974.
    """
    if hardware.engine != "torch":
        return None
    free = not {"model", "weights", "pretrained"} & chosen.keys()
    if float(chosen.get("time", 0) or 0) < _LEAST_TIME or not free or data.median_short_side <= SMALL_SIDE:
        return None
    from sightline.networks.describe import describe_network
    from sightline.networks.weights import find_cached

    names = CANDIDATES["cpu" if hardware.device == "cpu" else "gpu"]
    here = [name for name in names if find_cached(describe_network(name))]
    absent = [name for name in names if name not in here]
    if len(here) < 2:
        known = here[0] if here else "none of them"
        yield Noted(f"Networks are not compared: of {', '.join(names)} the weights of {known} are here.")
        return None
    yield StageStarted("Choosing", f"{len(here)} networks by a head on their frozen features")
    start, found = time.monotonic(), {}
    for name in here:
        found[name] = yield from _look(samples, split, data, hardware, name)
    best = min(found, key=lambda name: found[name][0])
    words = ", ".join(f"{name} {loss:.3f} ({share(accuracy)})" for name, (loss, accuracy) in found.items())
    missing = f"; not here: {', '.join(absent)}" if absent else ""
    yield StageEnded("Choosing", f"{best}; validation loss (accuracy) of the heads: {words}", time.monotonic() - start)
    return best, f"the lowest validation loss of a head on frozen features: {words}{missing}"


def describe_obtainable(network: NetworkFacts, model: Decision, chosen: Chosen) -> Generator[Event, None, NetworkFacts]:
    """Return the facts of the planned network; those of the carried one where its weights can't be had.

    A network that was asked for by name is never replaced.

    Args:
        network: facts of the planned one.
        model: the decision for its name.
        chosen: settings that a person chose.
    """
    from sightline.networks.weights import find_weights

    is_asked_for = model.origin != "hardware" or "weights" in chosen
    if is_asked_for or is_carried(network.name) or not chosen.get("pretrained", True):
        return network
    try:
        find_weights(network, "")
    except WeightsError as error:
        message = f"{error.message}; {CARRIED.name}, which comes with Sightline, is used instead"
        cure = f"connect once to have {network.name} (where it is slow, set HF_HUB_ETAG_TIMEOUT=10, in seconds); "
        yield Warned(
            "weights.carried-instead", message, f"{cure}or ask for the one that is used: --model {CARRIED.name}"
        )
        return CARRIED
    return network


def _look(
    samples: Samples, split: Split, data: DataFacts, hardware: Hardware, name: str
) -> Generator[Event, None, tuple[float, float]]:
    """Return (loss, accuracy) on validation of a head on a network's features."""
    from sightline.networks.describe import describe_network
    from sightline.networks.weights import StartWeights, find_cached
    from sightline.training.head import start_with_head
    from sightline.training.setup import make_batches, set_up_network

    network = describe_network(name)
    path = find_cached(network)
    assert path
    parts = {part: _some(samples, split.rows(part), most) for part, most in (("train", _TRAIN), ("val", _VAL))}
    rows = np.concatenate(list(parts.values()))
    some, counts = samples.take(rows), {part: len(rows) for part, rows in parts.items()}
    plan = make_plan(Recipe(), Recipe(model=name), replace(data, counts={**data.counts, **counts}), hardware, network)
    some, store = yield from decode_images(some, plan)
    built = set_up_network(plan.settings, len(samples.classes), StartWeights(path))
    places = np.arange(len(rows))[some.is_ok]
    train, val = (
        make_batches(plan, store, chosen.tolist(), some.labels[chosen].tolist())
        for chosen in (places[places < counts["train"]], places[places >= counts["train"]])
    )
    _, _, loss, accuracy = yield from start_with_head(built, train, val, plan.settings.precision)
    return loss, accuracy


def _some(samples: Samples, rows: Any, most: int) -> Any:
    rows = rows[samples.is_ok[rows]]
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]  # of every class
