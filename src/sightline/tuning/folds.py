"""A trial over folds, for small sets: trained once a fold, measured on the images that the fold leaves out."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np

from sightline.events import Event, Progressed
from sightline.planning.settings import Chosen
from sightline.tuning.outcome import Outcome, pack_hits, unpack_hits
from sightline.tuning.trial import Bench, Watch, measure_trial

__all__ = ["measure"]


def measure(bench: Bench, values: Chosen, folder: Path, watch: Watch) -> Generator[Event, None, Outcome]:
    """Train once, or once a fold, and return what came of it; what can't be trained is an outcome too.

    Over folds the score is the share of all training and validation images that are right, each by a network that was
    not trained on it: the mean of the folds' accuracies, weighted by their images. ``course`` has it after each fold.

    Args:
        bench, values, folder: as for ``measure_trial``.
        watch: asked at every event; with folds about those that ended and the accuracy so far, in place of epochs.
    """
    if not bench.folds:
        return (yield from measure_trial(bench, values, folder, watch))
    start, parts = time.monotonic(), bench.parts
    done: list[Outcome] = []
    course: list[float] = []
    hits = np.empty(0, bool)
    found: dict[str, Any] = {}
    for number, part in enumerate(parts, 1):
        one = yield from measure_trial(part, values, folder, lambda *_: watch(None, 0.0))
        if one.state != "complete":
            found = {"state": one.state, "reason": f"{one.reason} (fold {number} of {len(parts)})"}
            break
        done.append(one)
        hits = np.concatenate([hits, unpack_hits(one.hits, len(part.val))])
        course.append(round(float(hits.mean()), 6))
        yield Progressed(number, len(parts), "folds of this trial")
        state, reason = watch(number, course[-1]) if number < len(parts) else ("", "")
        if state:
            found = {"state": state, "reason": reason}
            break
    else:
        found = {"state": "complete", "score": float(hits.mean()), "hits": pack_hits(hits), **_together(parts, done)}
    return Outcome(-1, course=tuple(course), seconds=round(time.monotonic() - start, 3), **found)


def _together(parts: list[Bench], done: list[Outcome]) -> dict[str, Any]:
    """Return the mean loss over all images, where each fold has one, and the middle one of the best epochs."""
    losses = [one.loss for one in done if one.loss is not None]
    sizes = [len(part.val) for part in parts]
    loss = float(np.average(losses, weights=sizes)) if len(losses) == len(done) else None
    return {"loss": loss, "epoch": median_low(one.epoch for one in done)}
