"""The trackers in one table, and how they listen: one that fails is left, the training goes on."""

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
    """Listens to the events of one run, from ``RunStarted`` on.

    Attributes:
        where: what is kept where and how to see it, for people.
    """

    where: str

    def show(self, event: Event) -> None:
        """Keep what matters of one event."""

    def close(self) -> None:
        """Keep what is left; the run's folder says how it ended."""


# A new tracker is one file and one row: its name, the extra that it needs, and what opens it for a run.
TRACKERS: dict[str, tuple[str, Callable[[Run], Tracker]]] = {
    "tensorboard": ("tensorboard", TensorboardTracker),
    "mlflow": ("mlflow", MlflowTracker),
    "wandb": ("wandb", WandbTracker),
    "csv": ("", CsvTracker),
}


class Trackers:
    """Several trackers as one listener; each run of a training gets its own.

    Args:
        names: keys of ``TRACKERS``.

    Raises:
        InputError: for another name, with the nearest right one.
        MissingExtra: if a tracker's package is not installed, with the line that installs it.

    Example:
        >>> Trackers(["csv"]).show(Noted("nothing to keep"))
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
        """Let every tracker keep one event; returns what is to be said about that."""
        said: list[Event] = []
        if isinstance(event, RunStarted):
            said += self.close()
            run = Run(event.folder)
            for name in () if run.is_repeated else self._names:  # the runs inside are listened to, one by one
                said += self._guarded(name, partial(self._start, name, run))
            said += [Noted(f"Tracking: {tracker.where}.") for tracker in self._open.values()]
        for name, tracker in list(self._open.items()):
            said += self._guarded(name, partial(tracker.show, event))
        return said

    def close(self) -> list[Event]:
        """Close every tracker; returns what is to be said about that."""
        said: list[Event] = []
        for name, tracker in list(self._open.items()):
            said += self._guarded(name, tracker.close)
        self._open.clear()
        return said

    def _start(self, name: str, run: Run) -> None:
        self._open[name] = TRACKERS[name][1](run)

    def _guarded(self, name: str, act: Callable[[], None]) -> list[Event]:
        """Do something for a tracker. Whatever it raises is said once; then the tracker is left for this run."""
        try:
            act()
        except Exception as error:  # a full disk, a server that is gone, a quota: not worth a training
            self._open.pop(name, None)
            text = one_line(error) or type(error).__name__
            cure = "the training goes on; docs/track.md says what each tracker needs"
            if isinstance(error, SightlineError):
                text, cure = error.message, error.cure
            return [Warned("track.failed", f"{name} keeps nothing more of this run: {text}", cure)]
        return []
