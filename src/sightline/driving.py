"""Drives a generator of events to its result: a display shows each, trackers keep some, the run's log has the lines."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from sightline.display.lines import line_of
from sightline.display.notebook import Notebook, in_notebook
from sightline.display.terminal import Terminal
from sightline.events import Event, RunStarted
from sightline.runs.folder import Run
from sightline.tracking.trackers import Trackers

__all__ = ["Display", "drive"]

T = TypeVar("T")


class Display(Protocol):
    """Where events go."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Show no more."""


def drive(
    events: Generator[Event, None, T], display: Display | None, quiet: bool, trackers: Trackers | None = None
) -> T:
    """Show every event to the display and the trackers, and return what the generator returns.

    The lines of a run's events go into its ``log.txt`` too.
    """
    shown: Display = display or (Notebook(quiet=quiet) if in_notebook() else Terminal(quiet=quiet))
    trackers = trackers or Trackers()
    lines: list[str] = []
    log: Path | None = None

    def tell(told: Iterable[Event]) -> None:
        nonlocal lines
        for event in told:
            shown.show(event)
            lines += [text for text in [line_of(event)] if text is not None]
        if log is not None and lines:
            _append(log, lines)
            lines = []

    try:
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(event, RunStarted) and log is None:  # of several runs the one that holds the others
                log = Run(event.folder).log_file
            tell([event, *trackers.show(event)])
    finally:
        events.close()
        tell(trackers.close())
        shown.close()


def _append(log: Path, lines: list[str]) -> None:
    """Add lines to the log; a full disk must not stop a training for it."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in lines)
