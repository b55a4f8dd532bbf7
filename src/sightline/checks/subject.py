"""``Subject``: the input of every check."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Case
from sightline.data.samples import Samples
from sightline.data.split import Split

__all__ = ["Embedding", "Subject"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Features of all images, by some network.

    Attributes:
        features: ``[N, D] float32``; rows of images that can't be read are NaN.
        name: of the network.
    """

    features: npt.NDArray[np.float32]
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The input of every check.

    Attributes:
        samples: inspected.
        split: the split that training would use.
        embedding: features of the images, where they were computed.
        value_range: (low, high) that 16-bit, 32-bit and float images were read with.
        options: how the images are read, as typed for a command, each option after a blank.
    """

    samples: Samples
    split: Split
    embedding: Embedding | None = None
    value_range: tuple[float, float] | None = None
    options: str = ""

    def training(self, *more: str) -> str:
        """Return the command that trains on these images, read as they were read here, with further options."""
        return " ".join([f"sightline train {shlex.quote(self.samples.source)}{self.options}", *more])

    def cases(self, rows: Iterable[Any], notes: Iterable[str] | None = None) -> tuple[Case, ...]:
        """Return a case for each row, with its note."""
        names = [str(self.samples.paths[row]) for row in rows]
        texts = [""] * len(names) if notes is None else list(notes)
        return tuple(Case((name,), note) for name, note in zip(names, texts, strict=True))

    def cases_together(self, groups: Iterable[Iterable[Any]], notes: Iterable[str] | None = None) -> tuple[Case, ...]:
        """Return a case for each group of rows, with its note."""
        names = [tuple(str(self.samples.paths[row]) for row in group) for group in groups]
        texts = [""] * len(names) if notes is None else list(notes)
        return tuple(Case(paths, note) for paths, note in zip(names, texts, strict=True))

    def label(self, row: Any) -> str:
        """Return the class of a row, by name."""
        return str(self.samples.classes[self.samples.labels[row]])
