"""Counts of lower rooms to progress events."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TypeVar

from sightline.errors import StopRequested
from sightline.events import Event, Progressed, StageEnded
from sightline.steps import Steps

__all__ = ["compared", "counted", "noting_stages"]

T = TypeVar("T")


def counted(steps: Generator[int, None, T], total: int) -> Generator[Event, None, T]:
    """Turn a generator of counts into one of progress events, at most ten a second."""
    shown, kept = 0.0, Steps(steps)
    for done in kept:
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            yield Progressed(done, total, "images")
    return kept.result


def compared(steps: Generator[tuple[int, int], None, T]) -> Generator[Event, None, T]:
    """Turn a generator of (pairs compared, pairs to compare) into one of progress events."""
    kept = Steps(steps)
    for done, total in kept:
        yield Progressed(done, total, "pairs")
    return kept.result


def noting_stages(events: Generator[Event, None, T], stages: list[StageEnded]) -> Generator[Event, None, T]:
    """Pass events on, and add each stage that ended to a list; a request to stop is passed on to their source."""
    asked: StopRequested | None = None
    try:
        while True:
            try:
                event = next(events) if asked is None else events.throw(asked)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(event, StageEnded):
                stages.append(event)
            try:
                asked = None
                yield event
            except StopRequested as stop_request:
                asked = stop_request
    finally:
        events.close()
