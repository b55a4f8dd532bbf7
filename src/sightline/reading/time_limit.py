"""What a training's time limit allows before it: to read the images at all, and to search among them for a while."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.planning.budget import closing_seconds, too_short_to_read
from sightline.steps import Steps
from sightline.text import duration

__all__ = [
    "COMPARING_SHARE",
    "SEARCH_SHARE",
    "TimeLimit",
    "latest_end",
    "read_in_time",
    "refuse_without_time",
    "spare_seconds",
    "until",
]

Y = TypeVar("Y")
T = TypeVar("T")

# Of a time limit, for near-duplicates and versions together. What they find corrects the metric, and does not make the
# network better: on 3,781 photos they took 17 of 60 seconds, which a fitted head needs.
SEARCH_SHARE = 0.15
COMPARING_SHARE = 0.10  # of the limit, for near-duplicates: they are searched first
_SPARED = 1 / 3  # of what is left beside the end of a training, for both at most: slow reading may leave little
_PACE_SECONDS = 5.0  # of reading, after which its pace is known
_SURE = 0.75  # of what is left to read: a machine may be less busy in a moment


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """The time limit of a training.

    Attributes:
        seconds: that all of it may take.
        started: by ``time.monotonic()``, when it began to count.
        is_new: whether a training begins; one that goes on is not refused, as its end is worth more than the limit.

    Example:
        >>> 59 < TimeLimit(60.0, time.monotonic()).left <= 60
        True
    """

    seconds: float
    started: float
    is_new: bool = True

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.started + self.seconds - time.monotonic()


def read_in_time(
    steps: Generator[int, None, T],
    total: int,
    limit: TimeLimit | None,
    find_unread: Callable[[int], npt.NDArray[np.intp]] | None = None,
) -> Generator[int, None, T]:
    """Pass on how many images are read, until their pace shows that reading alone takes longer than the limit.

    Args:
        steps: that read.
        total: number of images.
        limit: None: no limit.
        find_unread: returns the positions of images that must be read, from one on; the others are known from before.
            None: all must be.

    Raises:
        InputError: then, with the time that is needed.
    """
    start, unread = time.monotonic(), np.arange(total)
    with contextlib.closing(steps):
        kept = Steps(steps)
        for done in kept:
            yield done
            spent = time.monotonic() - start
            if limit is None or not limit.is_new or spent <= _PACE_SECONDS:
                continue
            rest = _rest(unread, done, spent)
            if find_unread is not None and _SURE * rest > limit.left:
                unread, find_unread = find_unread(done), None  # looked up once, and only where it matters
                rest = _rest(unread, done, spent)
            if _SURE * rest > limit.left:
                needed = limit.seconds - limit.left + rest
                why = f"reading {total:,} images takes about {duration(spent + rest)}"
                raise too_short_to_read(limit.seconds, needed, spent + rest, why)
        return kept.result


def _rest(unread: npt.NDArray[np.intp], done: int, spent: float) -> float:
    """Return the seconds that reading the rest takes, at the pace so far."""
    return float((len(unread) - np.searchsorted(unread, done)) * spent / max(1, done))


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
    closing, left = _closing(samples), limit.left
    if limit.is_new and left < closing:
        why = f"{duration(max(0.0, left))} is left after reading, and export and report take {duration(closing)}"
        spent = limit.seconds - left
        raise too_short_to_read(limit.seconds, spent + closing, spent, why)


def spare_seconds(samples: Samples, limit: TimeLimit) -> float:
    """Return what may be spent on searching where little is left: the most goes to the training and its end."""
    return _SPARED * max(0.0, limit.left - _closing(samples))


def latest_end(samples: Samples, limit: TimeLimit) -> float:
    """Return when what was ordered before a training must be over, by ``time.monotonic()``: what every one ends with
    needs the rest; infinite for a training that goes on, which is not refused."""
    return limit.started + limit.seconds - _closing(samples) if limit.is_new else math.inf


def _closing(samples: Samples) -> float:
    sides = np.minimum(samples.widths, samples.heights)[samples.is_ok]
    return closing_seconds(len(samples), int(np.median(sides)) if len(sides) else 0)
