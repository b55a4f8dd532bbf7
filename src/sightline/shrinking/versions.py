"""The versions that a classifier can have, in one table: what is done to it, and how."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sightline.errors import InputError
from sightline.events import Progressed
from sightline.exporting.body import fold_body
from sightline.exporting.float16 import halve_weights
from sightline.exporting.int8 import Quantisable, prepare, quantise
from sightline.exporting.mixed import find_mixture
from sightline.networks.frozen import FrozenNetwork
from sightline.text import count_of, did_you_mean, share

__all__ = ["VERSIONS", "Made", "Subject", "Version", "find_versions"]

Making = Generator[Progressed, None, "Made | None"]


@dataclass(frozen=True, slots=True)
class Made:
    """A version of a body.

    Attributes:
        body: ONNX model from ``pixels`` to ``features``.
        words: what was done to it.
    """

    body: bytes
    words: str


class Subject:
    """What versions are made of.

    Args:
        network: the trained one.
        squares: ``[N, size, size, 3] uint8``, training images that show which values its layers compute.
        held: others, on which layers are compared.
    """

    def __init__(self, network: FrozenNetwork, squares: npt.NDArray[np.uint8], held: npt.NDArray[np.uint8]) -> None:
        self.network, self.squares, self.held = network, squares, held

    @cached_property
    def folded(self) -> bytes:
        """The body without what does not depend on the pixels."""
        return fold_body(self.network.body, self.squares)

    @cached_property
    def prepared(self) -> Quantisable:
        """The body, with the ranges of what its layers compute."""
        return prepare(self.folded, self.squares)


@dataclass(frozen=True, slots=True)
class Version:
    """One row of the table.

    Attributes:
        name: what ``sightline shrink RUN --only`` takes.
        make: makes it, or returns None where it would be no other than one above it in the table.
        is_second: made only where no version above it is shown to be good enough, or where it is asked for.
    """

    name: str
    make: Callable[[Subject], Making]
    is_second: bool = False


def _fold(subject: Subject) -> Making:
    yield from ()
    return Made(subject.folded, "float32; what does not depend on the pixels is computed once")


def _halve(subject: Subject) -> Making:
    yield from ()
    return Made(halve_weights(subject.folded), "weights stored as float16, computed in float32")


def _quantise(subject: Subject) -> Making:
    yield from ()
    layers = count_of(len(subject.prepared.layers), "layer")
    return Made(quantise(subject.prepared), f"{layers} in int8, weights by channel; the head in float32")


def _mix(subject: Subject) -> Making:
    head = subject.network.tensors["head.weight"]
    found = yield from find_mixture(subject.prepared, head, subject.held)
    if not found.in_float:
        return None
    count, total = len(found.in_float), len(subject.prepared.layers)
    layers = f"{total - count} of {count_of(total, 'layer')} in int8, the other {count} in float32"
    errors = f"error of the logits {share(found.error)} of their spread instead of {share(found.error_of_int8)}"
    return Made(quantise(subject.prepared, found.in_float), f"{layers}, found by measuring: {errors}")


# A new version is one function and one row.
VERSIONS: dict[str, Version] = {
    row.name: row
    for row in (
        Version("folded", _fold),
        Version("float16", _halve),
        Version("int8", _quantise),
        Version("mixed", _mix, is_second=True),
    )
}


def find_versions(names: Sequence[str]) -> list[Version]:
    """Return rows of the table, in its order; all of them where none is named.

    Raises:
        InputError: if there is none of a name.

    Example:
        >>> [version.name for version in find_versions(["int8"])]
        ['int8']
    """
    for name in names:
        if name not in VERSIONS:
            cure = did_you_mean(name, VERSIONS, f"--only takes {', '.join(VERSIONS)}")
            raise InputError("shrink.version", f"there is no version {name!r}", cure)
    return [version for version in VERSIONS.values() if not names or version.name in names]
