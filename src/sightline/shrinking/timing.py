"""How long classifiers take for an image on this machine, side by side: what slows one down slows all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sightline.runtime.classifier import Classifier

__all__ = ["BATCHES", "time_classifiers"]

BATCHES = (1, 32)
_ROUNDS = (5, 40)  # at least, at most
_SECONDS = 10.0  # for each size of batch, after which no further round is begun


def time_classifiers(
    classifiers: Mapping[str, Classifier], squares: npt.NDArray[np.uint8]
) -> dict[str, tuple[float, float]]:
    """Return name -> (milliseconds an image alone, an image in batches of 32), medians.

    Each round times every classifier once, in an order that turns.

    Args:
        classifiers: of one size of images.
        squares: ``[N, size, size, 3] uint8``, real images; fewer than 32 are repeated.
    """
    found: dict[str, list[float]] = {name: [] for name in classifiers}
    for size in BATCHES:
        batch = np.resize(squares, (size, *squares.shape[1:]))
        times: dict[str, list[float]] = {name: [] for name in classifiers}
        for classifier in classifiers.values():  # the first time, memory is found
            classifier.run(batch)
        names, start, rounds = list(classifiers), time.monotonic(), 0
        while rounds < _ROUNDS[0] or (rounds < _ROUNDS[1] and time.monotonic() - start < _SECONDS):
            for name in names[rounds % len(names) :] + names[: rounds % len(names)]:
                begun = time.perf_counter()
                classifiers[name].run(batch)
                times[name].append(time.perf_counter() - begun)
            rounds += 1
        for name, seconds in times.items():
            found[name].append(1000 * statistics.median(seconds) / size)
    return {name: (alone, together) for name, (alone, together) in found.items()}
