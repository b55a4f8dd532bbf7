"""Drives a generator of events to its result: a display shows each, trackers keep some, the run's log has the lines."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol, TypeVar

from sightline.display.lines import line_of
from sightline.display.notebook import Notebook, in_notebook
from sightline.display.terminal import Terminal, tell_at_once
from sightline.errors import StopRequested
from sightline.events import Event, RunStarted, StageEnded, StageStarted
from sightline.launch import is_launched
from sightline.runs.folder import Run
from sightline.tracking.trackers import Trackers

__all__ = ["Display", "Stopping", "drive"]

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

    The lines of a run's events go into its ``log.txt`` too. Ctrl-C or SIGTERM while a network learns stops it after the
    step that is being made, with its state saved; a second one, or one at another time, stops at once.
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

    stopping = Stopping()
    try:
        while True:
            try:
                event = events.throw(StopRequested(stopping.signal)) if stopping.signal else next(events)
            except StopIteration as stop:
                result: T = stop.value
                return result
            except StopRequested as stop:
                stopping.end(stop)
            if isinstance(event, StageStarted | StageEnded):
                stopping.can_wait = isinstance(event, StageStarted) and event.name == "Training"
            if isinstance(event, RunStarted) and log is None:  # of several runs the one that holds the others
                log = Run(event.folder).log_file
            tell([event, *trackers.show(event)])
    finally:
        stopping.close()
        events.close()
        tell(trackers.close())
        shown.close()


class Stopping:
    """Takes Ctrl-C and SIGTERM until it is closed, where this is the main thread.

    Attributes:
        can_wait: whether what is being done can be stopped at its next event and taken up again.
        signal: that asked for that; 0: none.
    """

    def __init__(self) -> None:
        self.can_wait = False
        self.signal = 0
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.getsignal(number)
                signal.signal(number, self._take)

    def close(self) -> None:
        """Give the signals back to who took them before."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def end(self, stop: StopRequested) -> NoReturn:
        """End as the signal wants it: ``KeyboardInterrupt``, or an exit with 128 and its number."""
        if stop.signal == signal.SIGINT:
            raise KeyboardInterrupt from stop
        raise SystemExit(128 + stop.signal) from stop

    def _take(self, number: int, frame: FrameType | None) -> None:
        # torchrun passes on a signal that may have come here already; it kills by itself where that takes too long.
        if self.can_wait and self.signal and is_launched():
            return
        if self.can_wait and not self.signal:
            self.signal = number
            tell_at_once("stopping after this step; press Ctrl-C again to stop at once")
            return
        if number == signal.SIGINT:
            tell_at_once("stopping")
        self.end(StopRequested(number))


def _append(log: Path, lines: list[str]) -> None:
    """Add lines to the log; a full disk must not stop a training for it."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in lines)
