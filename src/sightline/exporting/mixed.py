"""Which layers suffer in int8, found by leaving them in float and measuring what that gives."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.events import Progressed
from sightline.exporting.body import compute_features
from sightline.exporting.int8 import Quantisable, quantise

__all__ = ["Mixture", "find_mixture", "logit_error"]

_NEIGHBOURS = 2  # layers that are tried together
_MOST_GROUPS = 40  # that are tried one by one; of a network of more layers, more neighbours together
_SHARE = 4  # at most so many times fewer groups in float than there are
_ENOUGH = 0.5  # of the error of int8 alone: no further layer is left in float then
_WORTH = 0.9  # of it: a mixture that has more error is not worth its time

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Layers in int8 and in float.

    Attributes:
        in_float: names of the layers in float; empty: none suffers more than the others.
        tried: how many choices of layers were measured.
        error: of the logits, as a share of their spread, on the images that were given.
        error_of_int8: the same with all layers in int8.
    """

    in_float: tuple[str, ...]
    tried: int
    error: float
    error_of_int8: float


def find_mixture(
    prepared: Quantisable, head: Floats, squares: npt.NDArray[np.uint8]
) -> Generator[Progressed, None, Mixture]:
    """Leave those layers in float that cost int8 most, until half of its error is gone.

    Args:
        prepared: the network.
        head: ``[K, D]``, weights of the classes.
        squares: ``[N, size, size, 3] uint8``, training images other than those that gave the ranges.
    """
    wanted = compute_features(prepared.body, squares)
    groups = _group(prepared.layers)
    steps = _steps(len(groups))
    total, done = 1 + len(groups) + len(steps), 0

    def measure(in_float: Collection[str]) -> float:
        return logit_error(compute_features(quantise(prepared, in_float), squares), wanted, head)

    whole = measure(())
    errors = []
    for group in groups:
        errors.append(measure(group))
        done += 1
        yield Progressed(done, total, "choices of layers")
    ranked = [groups[place] for place in np.argsort(errors, kind="stable").tolist()]
    best, error = (), whole
    for count in steps:
        chosen = tuple(name for group in ranked[:count] for name in group)
        found = measure(chosen)
        done += 1
        yield Progressed(done, total, "choices of layers")
        if found < error:
            best, error = chosen, found
        if error <= _ENOUGH * whole:
            break
    if error > _WORTH * whole:
        best, error = (), whole
    return Mixture(best, done + 1, error, whole)


def logit_error(features: Floats, wanted: Floats, head: Floats) -> float:
    """Return how far logits are from the wanted ones, as a share of their spread; what all classes share is nothing.

    Args:
        features, wanted: ``[N, D]``.
        head: ``[K, D]``.

    Example:
        >>> logit_error(np.ones((2, 2), np.float32), np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
        1.0
    """
    right, far = (array @ head.T for array in (wanted, features - wanted))
    right, far = (array - array.mean(1, keepdims=True) for array in (right, far))
    return float(np.sqrt(np.square(far).mean()) / max(1e-12, np.sqrt(np.square(right).mean())))


def _group(layers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the first layer, and then neighbours: what passes between them keeps its digits where both are in float.

    One layer alone, unless it is the first, would still be given 8 bits and asked for 8 bits; of such a layer
    onnxruntime 1.32 turns the weights into int8 after all, with one scale for all channels, which is worse than int8.
    """
    size = max(_NEIGHBOURS, -(-len(layers) // _MOST_GROUPS))
    return [layers[:1], *(layers[start : start + size] for start in range(1, len(layers), size))]


def _steps(count: int) -> list[int]:
    """Return how many groups are left in float, one attempt after the other: 1, 2, 4 ... up to a quarter of them."""
    steps, number = [], 1
    while number <= max(1, count // _SHARE):
        steps.append(number)
        number *= 2
    return steps
