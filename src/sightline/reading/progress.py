"""Counts of lower rooms to progress events."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

from sightline.errors import StopRequested
from sightline.events import Event, Progressed, StageEnded

__all__ = ["compared", "counted", "noting_stages", "result_of"]

T = TypeVar("T")


def counted(steps: Generator[int, None, T], total: int) -> Generator[Event, None, T]:
    """Turn a generator of counts into one of progress events, at most ten a second."""
    shown = 0.0
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            yield Progressed(done, total, "images")


def compared(steps: Generator[tuple[int, int], None, T]) -> Generator[Event, None, T]:
    """Turn a generator of (pairs looked at, pairs to look at) into one of progress events."""
    while True:
        try:
            done, total = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        yield Progressed(done, total, "pairs")


def noting_stages(events: Generator[Event, None, T], stages: list[StageEnded]) -> Generator[Event, None, T]:
    """Pass events on, and add each stage that ended to a list; a request to stop goes on to where they come from."""
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


def result_of(steps: Generator[Any, None, T]) -> T:
    """Drive a generator to its end and return its result; what it yields on the way is not shown."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
