"""The number of updates of a training: as planned, or as many as its time limit allows, updated while it runs."""

from __future__ import annotations

import math
import time

from sightline.planning.settings import Settings
from sightline.training.schedules import Course
from sightline.training.update import side_at

__all__ = ["Pace"]

_MEMORY = 0.9  # of the running mean of a step's seconds
_HEAD = 0.9  # share of the time for computing features; the rest is for fitting the head on them
_SAMPLES = 32  # points of the remaining training at which the input size is sampled
_SPARE = 0.01  # share of the remaining time kept in reserve, as a step may take longer than those before


class Pace:
    """The length of a training, in steps.

    Args:
        settings: of the plan; ``epochs`` is the upper limit.
        epoch_steps: steps per epoch.
        deadline: by ``time.monotonic()``, when the last validation must be finished; infinite: no limit.
        step_seconds: of a step at full size, as measured before.
        validation_seconds: as measured before.

    Example:
        ``Pace(settings, 100).steps(0)``
    """

    def __init__(
        self,
        settings: Settings,
        epoch_steps: int,
        deadline: float = math.inf,
        step_seconds: float = 0.0,
        validation_seconds: float = 0.0,
    ) -> None:
        self._settings = settings
        self._epoch_steps = epoch_steps
        self._most = epoch_steps * settings.epochs
        self._deadline = deadline
        self._step_seconds = step_seconds
        self._validation_seconds = validation_seconds
        self._saving_seconds = 0.0

    def steps(self, step: int) -> int:
        """Estimate the steps of the whole training before a step; at least one more."""
        if math.isinf(self._deadline):
            return self._most
        return min(self._most, step + max(1, self._left(step)))

    def is_over(self, step: int) -> bool:
        """Whether there is too little time for one more step and the validation after it."""
        return not math.isinf(self._deadline) and self._left(step) < 1

    def add_step(self, step: int, seconds: float) -> None:
        """Record the seconds of a step."""
        unit = seconds / self._cost(step, self.steps(step))
        is_first = not self._step_seconds
        self._step_seconds = unit if is_first else _MEMORY * self._step_seconds + (1 - _MEMORY) * unit

    def add_validation(self, seconds: float) -> None:
        """Record the seconds of a validation; the longest is used."""
        self._validation_seconds = max(self._validation_seconds, seconds)

    def add_saving(self, seconds: float) -> None:
        """Record the seconds of saving the state; the longest is used."""
        self._saving_seconds = max(self._saving_seconds, seconds)

    def head_until(self) -> float:
        """Return when, by ``time.monotonic()``, computing features must end and fitting the head must begin."""
        now = time.monotonic()
        return now + (self._deadline - now) * _HEAD

    def _left(self, step: int) -> int:
        """Return how many steps fit into the remaining time, with a validation per epoch and one at the end."""
        left = self._deadline - time.monotonic()
        # At the end come a validation and the saving of the best epoch and the state.
        left -= _SPARE * max(0.0, left) + self._validation_seconds + 2 * self._saving_seconds
        mean = self._step_seconds * self._mean_cost(step, left)
        return max(0, math.floor(left / max(1e-9, mean + self._validation_seconds / self._epoch_steps)))

    def _mean_cost(self, step: int, left: float) -> float:
        """Return the mean cost of the remaining steps, relative to one at full size."""
        if not self._settings.early_sizes:
            return 1.0
        steps = step + max(1, round(left / max(1e-9, self._step_seconds)))  # input sizes depend on shares of it
        places = [step + (steps - step) * k // _SAMPLES for k in range(_SAMPLES)]
        return sum(self._cost(place, steps) for place in places) / _SAMPLES

    def _cost(self, step: int, steps: int) -> float:
        side = side_at(self._settings, Course(step, steps, self._epoch_steps))
        return (side / self._settings.size) ** 2
