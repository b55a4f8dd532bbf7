"""Learning rate schedules: functions of the step and of the validation metrics so far, and of nothing else.

So a resumed training continues on the same curve. A schedule is one function and one row of a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sightline.planning.settings import Settings

__all__ = ["SCHEDULES", "Course", "count_plateaus", "learning_rate_at", "momentum_at"]

# As torch.optim.lr_scheduler.OneCycleLR: the first rate is a 25th of the highest, the last a 10,000th of the first.
_FIRST, _LAST = 1 / 25, 1 / 25 / 1e4
_CYCLED = 0.1  # momentum falls by this while the rate rises (0.95 to 0.85 in OneCycleLR)
_CLOSED = 1 - 1e-6  # share that is done where more steps follow after one that was thought to be the last
_BETTER = 1e-4  # relative: a smaller change is not an improvement (ReduceLROnPlateau)


@dataclass(frozen=True, slots=True)
class Course:
    """The position of a step in the training.

    Attributes:
        step: from 0, over the whole training.
        steps: of the whole training.
        epoch_steps: steps per epoch.
        figures: the validation metric of each epoch so far, the one of ``select_by``.
        ahead: steps that count as done beside those that were made; other than 0 only where ``steps`` changed while
            the training ran. Schedules go by ``place`` and ``length``, which count them.
    """

    step: int
    steps: int
    epoch_steps: int
    figures: Sequence[float] = ()
    ahead: float = 0.0

    @property
    def place(self) -> float:
        """The step's place in ``length``."""
        return self.step + self.ahead

    @property
    def length(self) -> float:
        """The steps of the whole training, if all of it had been as long as it is now thought to be."""
        return self.steps + self.ahead

    @property
    def done(self) -> float:
        """The share of the training that is done, 0 to 1."""
        return min(1.0, self.place / self.length) if self.length > 0 else 0.0

    def stretched(self, steps: int) -> Course:
        """Return the same position in a training that has another number of steps than was thought.

        The share that is done stays, and the rest of the schedule is spread over the remaining steps: so neither the
        learning rate nor the input size jumps, and both close with the last step.

        Example:
            >>> longer = Course(50, 100, 10).stretched(150)
            >>> longer.done, longer.length
            (0.5, 200.0)
        """
        if steps == self.steps or not self.steps:
            return replace(self, steps=steps)
        done = min(self.done, _CLOSED)
        return replace(self, steps=steps, ahead=(steps - self.step) * done / (1 - done) - self.step)


def learning_rate_at(settings: Settings, course: Course) -> float:
    """Return the learning rate of a step: the schedule's value times the share of the warm-up.

    The warm-up rises linearly to the full rate, in the first ``warmup`` of all steps. ``cosine`` and
    ``linear`` start after it; ``step``, ``exponential`` and ``plateau`` count from the first epoch on;
    ``one-cycle`` has its own, of the same length.

    Example:
        ``learning_rate_at(settings, Course(step=0, steps=100, epoch_steps=10))``
    """
    share = SCHEDULES[settings.schedule](settings, course)
    warm = 0 if settings.schedule == "one-cycle" else _warm_steps(settings, course)
    return settings.learning_rate * share * min(1.0, (course.place + 1) / max(1, warm))


def momentum_at(settings: Settings, course: Course) -> float:
    """Return the momentum of a step: the planned one, or with ``one-cycle`` the lower the higher the rate.

    References:
        L. Smith, arXiv 1708.07120; ``cycle_momentum`` of torch's OneCycleLR.
    """
    if settings.schedule != "one-cycle":
        return settings.momentum
    high = settings.momentum
    low = max(0.0, high - _CYCLED)
    return _cycle(settings, course, (high, low, high))


def count_plateaus(figures: Sequence[float], wait: int, *, is_loss: bool) -> int:
    """Return how often ``wait`` epochs passed without improvement, as counted by Keras' ReduceLROnPlateau.

    torch's ReduceLROnPlateau counts the same with ``patience=wait - 1``.

    Example:
        >>> count_plateaus([0.5, 0.4, 0.4, 0.4], 2, is_loss=True)
        1
    """
    best, bad, plateaus = math.inf, 0, 0
    for figure in figures:
        value = figure if is_loss else -figure
        is_better = value < best - _BETTER * abs(best) if math.isfinite(best) else value < best
        best, bad = (value, 0) if is_better else (best, bad + 1)
        if bad >= wait:
            plateaus, bad = plateaus + 1, 0
    return plateaus


def _warm_steps(settings: Settings, course: Course) -> int:
    return round(settings.warmup * course.length)


def _done(settings: Settings, course: Course) -> float:
    """Return the share of the steps after the warm-up that are done, 0 to 1."""
    warm = _warm_steps(settings, course)
    return min(1.0, max(0.0, course.place - warm) / max(1.0, course.length - warm))


def _periods(settings: Settings, course: Course) -> float:
    """Return how many times ``decay_every`` has passed."""
    each = settings.decay_every * (course.epoch_steps if settings.decay_unit == "epochs" else 1)
    return course.step / each + 1e-9  # so that rounding does not miss a period that has passed


def _step(settings: Settings, course: Course) -> float:
    return float(settings.decay_factor ** math.floor(_periods(settings, course)))


def _exponential(settings: Settings, course: Course) -> float:
    return float(settings.decay_factor ** _periods(settings, course))


def _plateau(settings: Settings, course: Course) -> float:
    wait = max(1, round(settings.decay_every))
    return float(settings.decay_factor ** count_plateaus(course.figures, wait, is_loss=settings.select_by == "loss"))


def _one_cycle(settings: Settings, course: Course) -> float:
    return _cycle(settings, course, (_FIRST, 1.0, _LAST))


def _cycle(settings: Settings, course: Course, values: tuple[float, float, float]) -> float:
    """Return the current value of a cycle through three: half a cosine in ``warmup``, half a cosine after it."""
    turn = settings.warmup * course.length - 1
    if course.steps == 1:
        return values[1]
    if course.place <= turn and turn > 0:
        start, end, done = values[0], values[1], course.place / turn
    else:
        start, end = values[1], values[2]
        done = (course.place - turn) / max(1.0, course.length - 1 - turn)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(1.0, done)))


# From settings and a step to the share of the highest rate. A new schedule is one function, one row and its name in
# ``Settings.schedule``.
SCHEDULES: dict[str, Callable[[Settings, Course], float]] = {
    "constant": lambda settings, course: 1.0,
    "cosine": lambda settings, course: 0.5 * (1 + math.cos(math.pi * _done(settings, course))),
    "linear": lambda settings, course: 1 - _done(settings, course),
    "step": _step,
    "exponential": _exponential,
    "one-cycle": _one_cycle,
    "plateau": _plateau,
}
