"""How long a search may go on: its end, and what must be kept for training and measuring the winner."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sightline.errors import InputError
from sightline.planning.settings import Settings
from sightline.text import duration
from sightline.tuning.outcome import Outcome

__all__ = ["Budget", "shorter_trials"]

_SPARE = 1.2  # factor on what was seen, for what is still to come
_SURE = 0.6  # share of the estimate below which a limit is refused
_WORTH = 0.6  # share of a usual trial's time below which no other one is begun


@dataclass(frozen=True, slots=True)
class Budget:
    """The time of a search.

    Attributes:
        started: by ``time.monotonic()``, when the command began.
        limit: seconds for all of it; 0: none.
        before: seconds that the search took before it was stopped.
        plain: estimated seconds of the plain recipe's training.
        closing: estimated seconds of export, evaluation and report of a run.
        folds: trainings of a trial; the seconds of a trial are those of all of them.
        seeds: trainings of the plain recipe and of the winner in the end.
        least: seconds of the plain recipe's training where the machine waits for nothing else; 0: not known.
    """

    started: float
    limit: float
    before: float
    plain: float
    closing: float
    folds: int = 1
    seeds: int = 1
    least: float = 0.0

    def spent(self) -> float:
        """Return the seconds that the search took so far, before a stop too."""
        return self.before + time.monotonic() - self.started

    def left(self) -> float:
        """Return the seconds to the end; infinite without a limit."""
        return self.limit - self.spent() if self.limit else math.inf

    def refuse_too_short(self, shorter: str) -> None:
        """Raise ``InputError`` where there is no time for two trials, and for the winner beside the plain recipe.

        Args:
            shorter: options that make a trial shorter; empty: there are none.
        """
        trial = self.folds * self.plain
        need = 2 * trial + self.seeds * 2 * (self.plain + self.closing)
        sure = _SURE * need
        if self.least:  # where the machine was busy for a moment, the estimate is no reason to refuse
            sure = min(sure, 2 * self.folds * self.least + 2 * self.seeds * (self.least + _SURE * self.closing))
        if self.before or self.left() >= sure:
            return
        message = (
            f"{duration(self.limit)} are too short for a search: reading took {duration(self.spent())}, a trial takes "
            f"about {duration(trial)}, and in the end the winner and the plain recipe are trained {self._times()}"
        )
        minutes = math.ceil((self.spent() + need + 6 * trial) / 60)
        cure = f"give --time {minutes}m" + (f", or make trials shorter: {shorter}" if shorter else "")
        raise InputError("tune.time", message, cure)

    def _times(self) -> str:
        return "again" if self.seeds == 1 else f"{self.seeds} times each"

    def reserve(self, outcomes: Sequence[Outcome], running: float = 0.0) -> float:
        """Return the seconds that must be left for the end.

        Args:
            outcomes: of the trials so far.
            running: seconds of the one that runs, which may become the best.
        """
        trial = next((one.seconds for one in outcomes if one.is_plain and one.state == "complete"), None)
        plain = self.plain if trial is None else trial / self.folds
        done = [one for one in outcomes if one.state == "complete" and not one.is_plain]
        best = max(done, key=lambda one: one.score or 0.0).seconds if done else 0.0
        return _SPARE * self.seeds * (plain + max(best, running) / self.folds + 2 * self.closing)

    def is_over(self, outcomes: Sequence[Outcome], running: float) -> bool:
        """Whether a trial must stop that has been running for so many seconds."""
        return self.left() < self.reserve(outcomes, running)

    def has_time_for(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether another trial can be begun; the plain recipe's always can."""
        done = [one.seconds for one in outcomes if one.state in ("complete", "pruned") and one.seconds]
        if not done:
            return True
        usual = median(done)
        return self.left() - self.reserve(outcomes, usual) > _WORTH * usual


def shorter_trials(settings: Settings) -> str:
    """Return the option that makes the trials of a plain recipe shorter; empty where none does by much."""
    if settings.engine == "torch" and settings.epochs > 1:
        return "--epochs 1"
    smaller = max(32, settings.size * 2 // 3 // 32 * 32)
    if smaller < settings.size:
        return f"--size {smaller}"
    return "--set train_share=0.5" if settings.train_share > 0.5 else ""
