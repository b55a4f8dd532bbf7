"""Ask some training and validation images, small, whether their classes survive a mirror or a turn."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.errors import UnreadableImage
from sightline.evaluation.survival import LEAST_IMAGES, SIDE, probe_survival
from sightline.events import Event, Progressed, StageEnded, StageStarted, Warned
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.stream import squares_of
from sightline.planning.augmentation import changes_to_probe, harmful_choices
from sightline.planning.facts import DataFacts
from sightline.planning.settings import Chosen, Settings

__all__ = ["probe_changes", "warn_of_harm"]

_TRAIN, _VAL = 1_500, 500  # images at most
_PIXELS = 4e8  # that are decoded at most, as long as _LEAST images remain: large photos take their time
_LEAST = 300
_CHUNK = 100


def probe_changes(samples: Samples, split: Split, data: DataFacts, chosen: Chosen) -> Generator[Event, None, DataFacts]:
    """Return the facts with what a quick probe finds about mirrors and turns; test images are not used.

    Args:
        samples: inspected.
        split: with training and validation images.
        data: the facts so far.
        chosen: settings that a person chose: a change that is off is not probed.
    """
    changes = changes_to_probe(chosen)
    train, val = (rows[samples.is_ok[rows]] for rows in (split.rows("train"), split.rows("val")))
    if not changes:
        return replace(data, not_probed="you chose to have none")
    if min(len(train), len(val)) < LEAST_IMAGES:
        few, part = min((len(val), "validation"), (len(train), "training"))
        return replace(data, not_probed=f"{few} {part} images are too few")
    yield StageStarted("Probing", f"do the classes survive a {' and a '.join(changes)}?")
    start = time.monotonic()
    size = float(np.median(samples.widths[train].astype(float) * samples.heights[train]))
    share = min(1.0, max(_PIXELS / max(size, 1.0), _LEAST) / (_TRAIN + _VAL))
    train, val = _some(train, round(share * _TRAIN)), _some(val, max(LEAST_IMAGES, round(share * _VAL)))
    rows = np.concatenate([train, val])
    small, is_read = yield from _see(samples, rows, chosen.get("value_range") or None)
    parts = np.arange(len(rows)) < len(train)
    labels = samples.labels[rows]
    sets = [(small[is_read & part], labels[is_read & part]) for part in (parts, ~parts)]
    if min(len(part) for _, part in sets) < LEAST_IMAGES:
        return replace(data, not_probed="too few images can be read")
    survivals = probe_survival(*sets[0], *sets[1], changes)
    words = "; ".join(f"{name}: {survival.verdict}" for name, survival in survivals.items())
    yield StageEnded("Probing", words, time.monotonic() - start)
    return replace(data, survivals=survivals)


def warn_of_harm(settings: Settings, data: DataFacts, chosen: Chosen) -> Generator[Event, None, None]:
    """Warn of each chosen change that the classes do not survive."""
    for name, survival in harmful_choices(settings, data):
        if name in chosen:
            message = f"{name} = {chosen[name]:g} is on, but {survival}: it changes these classes"
            yield Warned("plan.harmful-change", message, f"leave {name} out, or give --set {name}=0")


def _some(rows: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Return at most so many rows, evenly: they are in the order of their classes."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.intp)]


def _see(
    samples: Samples, rows: npt.NDArray[np.intp], value_range: tuple[float, float] | None
) -> Generator[Event, None, tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]]:
    """Return ``[N, 32, 32, 3]`` images and ``[N]`` whether each could be read."""
    preprocess = Preprocess(size=SIDE, resize=SIDE, fit="squash", draft=2, value_range=value_range)
    small = np.zeros((len(rows), SIDE, SIDE, 3), np.uint8)
    is_read = np.zeros(len(rows), bool)
    for place, square in enumerate(squares_of(preprocess, (samples.file(int(row)) for row in rows))):
        if not isinstance(square, UnreadableImage):  # else since it was inspected; decoding for the training reports it
            small[place], is_read[place] = square, True
        if (place + 1) % _CHUNK == 0 or place + 1 == len(rows):
            yield Progressed(place + 1, len(rows), "images")
    return small, is_read
