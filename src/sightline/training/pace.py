"""The number of updates of a training: as planned, or as many as its time limit allows, updated while it runs."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque

from sightline.machine import waited_seconds
from sightline.planning.budget import Widths
from sightline.planning.settings import Settings
from sightline.text import between, duration
from sightline.training.schedules import Course
from sightline.training.update import side_at

__all__ = ["Pace"]

_MEMORY = 0.9  # of the running mean of a step's seconds
_OUTLIER = 3.0  # times the mean: a longer step counts as this, as one pause must not close the schedule
_HEAD = 0.9  # share of the time for computing features; the rest is for fitting the head on them
_SAMPLES = 32  # points of the remaining training at which the input size is sampled
_FINE = 1000  # steps of the training that is looked at for that
_SPARE = 0.01  # share of the remaining time kept in reserve, as a step may take longer than those before
# How sure the remaining time is: the last spells of steps, each so long at least, and their fastest and slowest.
_SPELLS, _SPELL_STEPS, _SPELL_SECONDS = 8, 4, 2.0
_FAR = 1.5  # factor by which a step's seconds differ from what was last reported, before they are reported again
_EARLY = (0.02, 0.2)  # shares of the time between which a training may start over
_JUDGED = 16  # the last steps, whose median says how fast the machine is; half of them are the least
_BUSY = 0.15  # share of the time that was spent on waiting for a processor


class Pace:
    """The length of a training, in steps and in seconds.

    Args:
        settings: of the plan; ``epochs`` is the upper limit.
        epoch_steps: steps per epoch.
        deadline: by ``time.monotonic()``, when the last validation must be finished; infinite: no limit.
        step_seconds: of a step at full size, as measured before; 0: not measured.
        validation_seconds: as measured before.
        widths: decides whether the training should start over at another width; None: it should not.
        last_validations: how many follow after the last step; more than one where several networks are compared then.

    Attributes:
        deadline: as given.
        width: to start over with; 0: none.
        factor: how many times as long as measured a step takes then.

    Example:
        ``Pace(settings, 100).steps(Course(0, 0, 100))``
    """

    def __init__(
        self,
        settings: Settings,
        epoch_steps: int,
        deadline: float = math.inf,
        step_seconds: float = 0.0,
        validation_seconds: float = 0.0,
        widths: Widths | None = None,
        last_validations: float = 1.0,
    ) -> None:
        self._settings = settings
        self._epoch_steps = epoch_steps
        self._most = epoch_steps * settings.epochs
        self.deadline = deadline
        self.width, self.factor = 0, 1.0
        self._widths = widths
        self._expected = step_seconds
        self._start = time.monotonic()
        self._units: deque[float] = deque(maxlen=_JUDGED)
        self._step_seconds = step_seconds
        self._validation_seconds = validation_seconds
        self._last_validations = last_validations
        self._saving_seconds = 0.0
        self._seen = 0
        self._spell = (0, 0.0, 0.0)  # steps, their seconds, and these as if all were at full size
        self._spells: deque[float] = deque(maxlen=_SPELLS)
        self._reported = step_seconds
        self._began = _times()

    def steps(self, course: Course) -> int:
        """Estimate the steps of the whole training before the next one; at least one more."""
        if math.isinf(self.deadline):
            return self._most
        return min(self._most, course.step + max(1, self._left(course)))

    def is_over(self, course: Course) -> bool:
        """Whether there is too little time for one more step and the validation after it."""
        return not math.isinf(self.deadline) and self._left(course) < 1

    def fits_badly(self, course: Course) -> bool:
        """Whether the training should start over at another width, as its steps show early on; then it is ``width``."""
        now = time.monotonic()
        spent, left = now - self._start, self.deadline - now
        is_early = course.done < _EARLY[1] and _EARLY[0] < spent / max(1e-9, spent + left) < _EARLY[1]
        if self._widths is None or not self._expected or not is_early or len(self._units) < _JUDGED // 2:
            return False
        self.factor = statistics.median(self._units) / self._expected
        if 1 / _FAR < self.factor < _FAR:
            return False
        self.width = self._widths.better(self.factor, left, spent)
        return self.width > 0

    def add_step(self, course: Course, seconds: float) -> None:
        """Record the seconds of a step."""
        unit = seconds / self._cost(course.done)
        mean = self._step_seconds or unit
        weight = max(1 - _MEMORY, 1 / (self._seen + 2))  # at first, as much for each step as for what was measured
        self._step_seconds = (1 - weight) * mean + weight * min(unit, _OUTLIER * mean)
        self._seen += 1
        self._units.append(unit)
        steps, spent, units = self._spell
        self._spell = (steps + 1, spent + seconds, units + unit)
        if self._spell[0] >= _SPELL_STEPS and self._spell[1] >= _SPELL_SECONDS:
            self._spells.append(self._spell[2] / self._spell[0])
            self._spell = (0, 0.0, 0.0)

    def add_validation(self, seconds: float) -> None:
        """Record the seconds of a validation; the longest is used."""
        self._validation_seconds = max(self._validation_seconds, seconds)

    def add_saving(self, seconds: float) -> None:
        """Record the seconds of saving the state; the longest is used."""
        self._saving_seconds = max(self._saving_seconds, seconds)

    def head_until(self) -> float:
        """Return when, by ``time.monotonic()``, computing features must end and fitting the head must begin."""
        now = time.monotonic()
        return now + (self.deadline - now) * _HEAD

    def seconds_left(self, course: Course) -> tuple[float, float]:
        """Return (least, most) seconds to the end of the training, as fast and as slow as its last steps were.

        The least is 0 where patience may end it at any epoch. Both are 0 as long as too few steps were made.
        """
        if len(self._spells) < 2:
            return 0.0, 0.0
        steps = max(0, self._most - course.step)
        validations = -(-steps // self._epoch_steps) * self._validation_seconds
        at_full = steps * self._mean_cost(course)
        limit = max(0.0, self.deadline - time.monotonic())
        least, most = (min(limit, at_full * pick(self._spells) + validations) for pick in (min, max))
        return (0.0 if self._settings.patience else least), most

    def report(self, course: Course) -> str:
        """Return in words how much slower or faster the steps are than was last reported; empty where they are not."""
        if not self._spells or not self._reported:
            return ""
        now, before = sum(self._spells) / len(self._spells), self._reported
        if max(now, before) < _FAR * min(now, before):
            return ""
        self._reported = now
        compared = f"{now / before:.1f} times as long as" if now > before else f"{before / now:.1f} times less than"
        rest = f"{between(*self.seconds_left(course))} left"
        if not math.isinf(self.deadline):
            epochs = self.steps(course) / self._epoch_steps
            rest = f"about {epochs:.3g} epochs fit into the time limit"
        return f"A step takes {duration(now)}, {compared} was expected ({self._why(now > before)}): {rest}."

    def _why(self, is_slower: bool) -> str:
        """Return in words why steps may take so much longer, or shorter."""
        if not is_slower:
            return "the machine was slower when they were timed"
        computed, waited = (now - then for now, then in zip(_times(), self._began, strict=True))
        share = waited / max(1e-9, waited + computed)
        if share > _BUSY:
            return f"other programs use the processors too: {share:.0%} of the time was spent on waiting for one"
        return "they were timed on random images, when less was in use"

    def _left(self, course: Course) -> int:
        """Return how many steps fit into the remaining time, with a validation per epoch and one at the end."""
        left = self.deadline - time.monotonic()
        # At the end come validations and the saving of the best epoch and the state.
        last = self._last_validations * self._validation_seconds
        left -= _SPARE * max(0.0, left) + last + 2 * self._saving_seconds
        mean = self._step_seconds * self._mean_cost(course)
        return max(0, math.floor(left / max(1e-9, mean + self._validation_seconds / self._epoch_steps)))

    def _mean_cost(self, course: Course) -> float:
        """Return the mean cost of the remaining steps, relative to one at full size."""
        if not self._settings.early_sizes:
            return 1.0
        done = course.done
        return sum(self._cost(done + (1 - done) * (k + 0.5) / _SAMPLES) for k in range(_SAMPLES)) / _SAMPLES

    def _cost(self, done: float) -> float:
        """Return the cost of a step where this share of the training is done, relative to one at full size."""
        side = side_at(self._settings, Course(int(done * _FINE), _FINE, self._epoch_steps))
        return (side / self._settings.size) ** 2


def _times() -> tuple[float, float]:
    """Return the seconds that this process computed, and those that its threads waited for a processor."""
    return time.process_time(), waited_seconds()
