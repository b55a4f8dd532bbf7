"""What a training's time limit allows before it: to read the images at all, and to search among them for a while."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sightline.data.samples import Samples
from sightline.planning.budget import closing_seconds, too_short_to_read
from sightline.steps import Steps
from sightline.text import duration

__all__ = ["COMPARING_SHARE", "SEARCH_SHARE", "TimeLimit", "read_in_time", "refuse_without_time", "until"]

Y = TypeVar("Y")
T = TypeVar("T")

# Of a time limit, for near-duplicates and versions together. What they find corrects the metric, and does not make the
# network better: on 3,781 photos they took 17 of 60 seconds, which a fitted head needs.
SEARCH_SHARE = 0.15
COMPARING_SHARE = 0.10  # of the limit, for near-duplicates: they are searched first
_PACE_SECONDS = 5.0  # of reading, after which its pace is known
_SURE = 0.75  # of what is left to read: a machine may be less busy in a moment


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """The time limit of a training.

    Attributes:
        seconds: that all of it may take.
        started: by ``time.monotonic()``, when it began to count.

    Example:
        >>> 59 < TimeLimit(60.0, time.monotonic()).left <= 60
        True
    """

    seconds: float
    started: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.started + self.seconds - time.monotonic()


def read_in_time(steps: Generator[int, None, T], total: int, limit: TimeLimit | None) -> Generator[int, None, T]:
    """Pass on how many images are read, until their pace shows that reading alone takes longer than the limit.

    Raises:
        InputError: then, with the time that is needed.
    """
    start = time.monotonic()
    with contextlib.closing(steps):
        kept = Steps(steps)
        for done in kept:
            yield done
            spent = time.monotonic() - start
            rest = (total - done) * spent / max(1, done)
            if limit and spent > _PACE_SECONDS and _SURE * rest > limit.left:
                needed = limit.seconds - limit.left + rest
                why = f"reading {total:,} images takes about {duration(spent + rest)}"
                raise too_short_to_read(limit.seconds, needed, spent + rest, why)
        return kept.result


def until(ends: float, steps: Generator[Y, None, T]) -> Generator[Y, None, T | None]:
    """Pass steps on and return their result; None where they are given up as the time ended, by ``time.monotonic()``.

    Example:
        >>> def count():
        ...     yield 1
        ...     return "done"
        >>> list(until(0.0, count()))
        [1]
    """
    with contextlib.closing(steps):
        kept = Steps(steps)
        for step in kept:
            yield step
            if time.monotonic() > ends:
                return None
        return kept.result


def refuse_without_time(samples: Samples, limit: TimeLimit) -> None:
    """Raise ``InputError`` where what is left after reading does not suffice for what every training ends with."""
    sides = np.minimum(samples.widths, samples.heights)[samples.is_ok]
    closing = closing_seconds(len(samples), int(np.median(sides)) if len(sides) else 0)
    left = limit.left
    if left < closing:
        why = f"{duration(max(0.0, left))} is left after reading, and export and report take {duration(closing)}"
        spent = limit.seconds - left
        raise too_short_to_read(limit.seconds, spent + closing, spent, why)
