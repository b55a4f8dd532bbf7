"""How many updates a training makes: as planned, or as many as its time allows, counted again while it runs."""

from __future__ import annotations

import math
import time

from sightline.planning.settings import Settings
from sightline.training.schedules import Course
from sightline.training.update import side_at

__all__ = ["Pace"]

_MEMORY = 0.9  # of the running mean of a step's seconds
_HEAD = 0.9  # share of the time for looking at images; the rest is for fitting the head on them
_SAMPLES = 32  # places of what is left at which the side of the input is looked up
_SPARE = 0.01  # share of the time left that is not planned: a step may take longer than those before


class Pace:
    """The length of a training, in steps.

    Args:
        settings: of the plan; ``epochs`` is the most that are made.
        epoch_steps: steps an epoch.
        deadline: by ``time.monotonic()``, when the last validation must be over; infinite: no limit.
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
        """Return how many steps the whole training has, as seen before a step; at least one more."""
        if math.isinf(self._deadline):
            return self._most
        return min(self._most, step + max(1, self._left(step)))

    def is_over(self, step: int) -> bool:
        """Whether there is no time for one more step and the validation after it."""
        return not math.isinf(self._deadline) and self._left(step) < 1

    def saw_step(self, step: int, seconds: float) -> None:
        """Remember what a step took."""
        unit = seconds / self._cost(step, self.steps(step))
        is_first = not self._step_seconds
        self._step_seconds = unit if is_first else _MEMORY * self._step_seconds + (1 - _MEMORY) * unit

    def saw_validation(self, seconds: float) -> None:
        """Remember what a validation took; the longest counts."""
        self._validation_seconds = max(self._validation_seconds, seconds)

    def saw_saving(self, seconds: float) -> None:
        """Remember what saving the state took; the longest counts."""
        self._saving_seconds = max(self._saving_seconds, seconds)

    def head_until(self) -> float:
        """Return when, by ``time.monotonic()``, a head must no longer look at images, but be fitted."""
        now = time.monotonic()
        return now + (self._deadline - now) * _HEAD

    def _left(self, step: int) -> int:
        """Return how many steps there is time for, with a validation an epoch and one at the end."""
        left = self._deadline - time.monotonic()
        # At the end stand a validation, the best epoch and the state.
        left -= _SPARE * max(0.0, left) + self._validation_seconds + 2 * self._saving_seconds
        mean = self._step_seconds * self._mean_cost(step, left)
        return max(0, math.floor(left / max(1e-9, mean + self._validation_seconds / self._epoch_steps)))

    def _mean_cost(self, step: int, left: float) -> float:
        """Return the mean of what the steps cost that are left, beside one at full size."""
        if not self._settings.early_sizes:
            return 1.0
        steps = step + max(1, round(left / max(1e-9, self._step_seconds)))  # the sides follow from shares of it
        places = [step + (steps - step) * k // _SAMPLES for k in range(_SAMPLES)]
        return sum(self._cost(place, steps) for place in places) / _SAMPLES

    def _cost(self, step: int, steps: int) -> float:
        side = side_at(self._settings, Course(step, steps, self._epoch_steps))
        return (side / self._settings.size) ** 2
