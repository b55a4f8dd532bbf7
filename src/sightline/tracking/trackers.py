"""The trackers in one table, and how they log: one that fails is dropped, and the training continues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from sightline.errors import InputError, SightlineError
from sightline.events import Event, Noted, RunStarted, Warned
from sightline.installation import require_extra
from sightline.runs.folder import Run
from sightline.text import did_you_mean, one_line
from sightline.tracking.csv import CsvTracker
from sightline.tracking.mlflow import MlflowTracker
from sightline.tracking.tensorboard import TensorboardTracker
from sightline.tracking.wandb import WandbTracker

__all__ = ["TRACKERS", "Tracker", "Trackers"]


class Tracker(Protocol):
    """Logs the events of one run, from ``RunStarted`` on.

    Attributes:
        where: where the log is and how to view it, for people.
    """

    where: str

    def show(self, event: Event) -> None:
        """Log one event."""

    def close(self) -> None:
        """Log the rest; the status is in the run's folder."""


# A new tracker is one file and one row: its name, the extra that it needs, and the function that opens it for a run.
TRACKERS: dict[str, tuple[str, Callable[[Run], Tracker]]] = {
    "tensorboard": ("tensorboard", TensorboardTracker),
    "mlflow": ("mlflow", MlflowTracker),
    "wandb": ("wandb", WandbTracker),
    "csv": ("", CsvTracker),
}


class Trackers:
    """Several trackers as one; each run of a training gets its own.

    Args:
        names: keys of ``TRACKERS``.

    Raises:
        InputError: for another name, with the nearest right one.
        MissingExtra: if a tracker's package is not installed, with the line that installs it.

    Example:
        >>> Trackers(["csv"]).show(Noted("nothing to log"))
        []
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
        self._open: dict[str, Tracker] = {}
        for name in self._names:
            if name not in TRACKERS:
                cure = did_you_mean(name, TRACKERS, f"--track takes {', '.join(TRACKERS)}")
                raise InputError("track.unknown", f"there is no tracker {name!r}", cure)
            if extra := TRACKERS[name][0]:
                require_extra(extra, f"--track {name}")

    def show(self, event: Event) -> list[Event]:
        """Let every tracker log one event; returns notes and warnings about that."""
        notices: list[Event] = []
        if isinstance(event, RunStarted):
            notices += self.close()
            run = Run(event.folder)
            for name in () if run.is_repeated else self._names:  # its single runs are logged one by one
                notices += self._guarded(name, partial(self._start, name, run))
            notices += [Noted(f"Tracking: {tracker.where}.") for tracker in self._open.values()]
        for name, tracker in list(self._open.items()):
            notices += self._guarded(name, partial(tracker.show, event))
        return notices

    def close(self) -> list[Event]:
        """Close every tracker; returns warnings about that."""
        notices: list[Event] = []
        for name, tracker in list(self._open.items()):
            notices += self._guarded(name, tracker.close)
        self._open.clear()
        return notices

    def _start(self, name: str, run: Run) -> None:
        self._open[name] = TRACKERS[name][1](run)

    def _guarded(self, name: str, act: Callable[[], None]) -> list[Event]:
        """Call a tracker. Any error is reported once; then the tracker is not used any more for this run."""
        try:
            act()
        except Exception as error:  # a full disk, a server that is gone, a quota: none of them may end a training
            self._open.pop(name, None)
            text = one_line(error) or type(error).__name__
            cure = "nothing to do: the training continues; docs/track.md lists what each tracker needs"
            if isinstance(error, SightlineError):
                text, cure = error.message, error.cure
            return [Warned("track.failed", f"{name} stopped logging this run: {text}", cure)]
        return []
