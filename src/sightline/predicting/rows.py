"""What a writer of predictions is, and how a row is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightline.runtime.predictions import Predictions

__all__ = ["Render", "Rows"]


@dataclass(frozen=True, slots=True)
class Render:
    """What of a prediction is written.

    Attributes:
        classes: names, in the order of the probabilities.
        top: only so many classes; None: all.
        mass: with which sets are made; None: no sets.
    """

    classes: tuple[str, ...]
    top: int | None = None
    mass: float | None = None


class Rows(Protocol):
    """Writes rows into a working folder.

    What was written up to a :meth:`sync` is described by one number, its mark, which is recorded elsewhere; after a
    kill, :meth:`begin` with that mark takes away what came after it.

    Attributes:
        seconds: how often a mark is worth its cost.
    """

    seconds: float

    def begin(self, mark: int) -> None:
        """Make ready to append after ``mark``; 0: from the start."""

    def write(self, part: Predictions) -> None:
        """Append rows."""

    def is_full(self) -> bool:
        """Whether rows should be synced now, whatever the time, since they are held in memory."""

    def sync(self) -> int:
        """Have all rows on the disk; returns the mark."""

    def holds(self, mark: int) -> bool:
        """Whether everything up to a mark is there."""

    def finish(self, out: Path) -> Path:
        """Return the finished file, in the working folder, to be renamed to ``out``."""

    def close(self) -> None:
        """Leave the files as they are."""

    def names(self, file: Path) -> Iterator[str]:
        """Yield the images' names in a finished file."""

    def written(self) -> Iterator[str]:
        """Yield the images' names up to the mark that :meth:`begin` was given."""

    def spell(self, name: str) -> str:
        """Return a name as this format gives it back."""
