"""Signs of life of a trial, for processes that can't see the one that makes it: those of other machines.

A thread counts up an attribute of the trial that runs. Whoever looks on measures by its own clock how long that number
stays the same: clocks of machines may differ, and any storage will do.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["BEAT", "SILENT", "Heart", "Silence"]

BEAT = 15.0  # seconds between two signs
SILENT = 120.0  # seconds without one, after which a trial is taken for lost
_KEY = "beat"


class Heart:
    """Gives signs for the trial that this process makes, until it is closed."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._trial: int | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def beat_for(self, trial: int | None) -> None:
        """Give signs for a trial, by its number in the storage, from the next beat on; None: for none."""
        self._trial = trial
        if self._thread is None and trial is not None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Give no more signs."""
        self._trial = None
        self._end.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        count = 0
        while not self._end.wait(BEAT):
            trial, count = self._trial, count + 1
            if trial is not None:
                with contextlib.suppress(Exception):  # it ended just now, or the storage is away: the next one counts
                    self._storage.set_trial_user_attr(trial, _KEY, count)


class Silence:
    """How long trials have given no sign, as far as this process has watched."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, float]] = {}

    def is_long(self, trial: FrozenTrial) -> bool:
        """Whether a trial that is said to be running has given none for too long."""
        sign = (trial.user_attrs.get(_KEY), len(trial.intermediate_values))
        before, since = self._seen.setdefault(trial.number, (sign, time.monotonic()))
        if before != sign:
            self._seen[trial.number] = (sign, time.monotonic())
            return False
        return time.monotonic() - since > SILENT
