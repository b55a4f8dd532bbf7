"""What a training starts from: the weights, found or downloaded, and which classes an earlier run's head keeps."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from sightline.events import Event, Noted, StageEnded, StageStarted
from sightline.pipeline.prepare import Prepared
from sightline.planning.facts import EarlierRun

if TYPE_CHECKING:
    from sightline.networks.weights import StartWeights

__all__ = ["compare_classes", "fetch_weights"]


def fetch_weights(prepared: Prepared) -> Generator[Event, None, tuple[StartWeights | None, tuple[str, str]]]:
    """Return (weights, (source, licence) in words); download them first where they are not here yet."""
    settings, earlier = prepared.plan.settings, prepared.earlier
    if not settings.pretrained:
        return None, ("none: trained from scratch", "not needed")
    from sightline.networks.weights import StartWeights, download_weights, find_weights

    if earlier:
        yield Noted(f"Weights: {earlier.source}; licence: {earlier.licence}.")
        yield from _describe_head(prepared, earlier)
        rows = earlier.head_rows(prepared.samples.classes)
        return StartWeights(earlier.file, rows), (earlier.source, earlier.licence)
    weights = find_weights(prepared.network, settings.weights)
    if weights.path is None:
        size = f"{weights.size / 1e6:.1f} MB, licence: {weights.licence}, into {weights.target}"
        yield StageStarted("Downloading", f"{weights.source}: {size}")
        start = time.monotonic()
        path = download_weights(prepared.network, weights)
        yield StageEnded("Downloading", size, time.monotonic() - start)
    else:
        path = weights.path
        yield Noted(f"Weights: {weights.source}; licence: {weights.licence}.")
    return StartWeights(path), (weights.source, weights.licence)


def _describe_head(prepared: Prepared, earlier: EarlierRun) -> Iterator[Event]:
    """Say which classes keep their row of the earlier run's head."""
    changes = compare_classes(prepared)
    if prepared.plan.settings.head_first:
        yield Noted(f"The head is fitted anew; that of {earlier.name} is put aside.")
    elif changes["new"] or changes["dropped"]:
        told = "; ".join(f"{name}: {', '.join(classes) or 'none'}" for name, classes in changes.items())
        yield Noted(f"Classes differ from those of {earlier.name}. {told[0].upper()}{told[1:]}.")


def compare_classes(prepared: Prepared) -> dict[str, list[str]]:
    """Return which classes an earlier run knew (and the head keeps), which are new, and which were dropped."""
    assert prepared.earlier
    before, now = prepared.earlier.classes, prepared.samples.classes
    return {
        "kept": [name for name in now if name in before],
        "new": [name for name in now if name not in before],
        "dropped": [name for name in before if name not in now],
    }
