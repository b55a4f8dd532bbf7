"""What a time limit decides: the size of the input, the width of the network and the epochs that fit into it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sightline.errors import InputError
from sightline.machine import Timing
from sightline.planning.fast import usual_epochs
from sightline.planning.inputs import SMALL_SIDE
from sightline.planning.own_networks import SMALL_NETWORK
from sightline.planning.settings import Settings
from sightline.text import duration

__all__ = [
    "FINDER_STEPS",
    "SIDES",
    "Costs",
    "Widths",
    "closing_seconds",
    "estimate_seconds",
    "fit_seconds",
    "fit_to_time",
    "least_training",
    "surety",
    "too_short",
    "too_short_to_read",
]

# Width, and the epochs from which on it pays, for a set that would get eight epochs without a limit. Measured on
# CIFAR-10: at equal time, more width beats more epochs from there on.
_WIDTHS = ((32, 2), (48, 3), (64, 4), (96, 9), (128, 14), (192, 24))
_USUAL = 8
SIDES = (384, 288, 256, 224, 208, 192, 176, 160, 144, 128, 112, 96)  # px, that a pretrained network is tried at
# Features of smaller images are much worse: on photos of clothes, a head at 224 px was better than two epochs of the
# whole network at 160. So the input size of the head comes first: the largest that takes this share of the time.
_HEAD_SHARE = 0.8
FINDER_STEPS = 80  # of the search for a learning rate: 16 for each factor of ten
_FIT_SECONDS = 4e-8  # of fitting a head, per image, feature and class: 3,068 x 1,280 x 10 took 1 to 2
_ALL_SHARE = 0.85  # of the last group's seconds for each feature: on all groups fewer strengths are tried
# Seconds that decoding an image takes about, and export and report with their rehearsal; measured before the training.
_DECODING, _CLOSING = {False: 2e-3, True: 1e-4}, 12.0
_PART = 0.5  # of an epoch of fine-tuning: the least that is begun
# Epochs from pretrained weights and from scratch after which more time is not used: small sets are known by heart then.
# Nothing else limits them: the schedule ends with the time, and a machine may turn out faster than it was measured.
_MOST = {True: 10, False: 160}


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured on this machine for a plan.

    Attributes:
        step: seconds of one update at full size, with ``batch_size`` images.
        forward: seconds for one image in inference, as in validation.
        feature: seconds to compute the features of one image for a head that is fitted first.
        fit: seconds of fitting that head.
        sides: sides of the input that the network can take, in px, the largest first.
        sure: by which factors the seconds may be shorter and longer, as far as measuring showed.
        waited: share of the measured time that was spent on waiting for a processor: other programs used them.
    """

    step: float
    forward: float
    feature: float
    fit: float = 0.0
    sides: tuple[int, ...] = ()
    sure: tuple[float, float] = (1.0, 1.0)
    waited: float = 0.0

    def epoch(self, settings: Settings, train: int, val: int) -> float:
        """Return the seconds of one epoch on average, with its validation."""
        steps = max(1, -(-train // settings.batch_size))
        sides = settings.early_sizes
        share = settings.early_share / max(1, len(sides))
        scale = 1 - share * sum(1 - (side / settings.size) ** 2 for side in sides)
        return steps * self.step * scale + val * self.forward

    def of(self, before: Settings, after: Settings) -> Costs:
        """Estimate the costs at another width or input size than they were measured with."""
        wider = after.width / max(1, before.width)
        return self.scaled(_power(wider) * (after.size / before.size) ** 2)

    def scaled(self, factor: float) -> Costs:
        """Return the costs of a network or an input that needs ``factor`` times the arithmetic."""
        return replace(self, step=self.step * factor, forward=self.forward * factor, feature=self.feature * factor)


def surety(timings: Sequence[Timing]) -> tuple[float, float]:
    """Return by which factors what was timed may be shorter and longer.

    Example:
        >>> surety([Timing(2.0, 1.0, 3.0), Timing(1.0, 0.9, 1.1)])
        (0.5, 1.5)
    """
    low = min((timing.fastest / timing.seconds for timing in timings), default=1.0)
    return low, max((timing.slowest / timing.seconds for timing in timings), default=1.0)


def fit_seconds(images: int, groups: Sequence[int], classes: int) -> float:
    """Estimate the seconds of fitting a head: on the last group of features, and where there are more, on all.

    Args:
        images: of training and validation.
        groups: how many features come from each stage, and from the last layer.
        classes: K.

    Example:
        >>> fit_seconds(3_068, (1_280,), 10) < fit_seconds(3_068, (112, 320, 1_280), 10) < 3
        True
    """
    features = groups[-1] + (_ALL_SHARE * sum(groups) if len(groups) > 1 else 0.0)
    return images * features * classes * _FIT_SECONDS


def fit_to_time(
    settings: Settings, costs: Costs, counts: dict[str, int], left: float, fixed: Collection[str] = ()
) -> dict[str, tuple[Any, str]]:
    """Return setting -> (value, reason) that makes the most of the time left for training.

    ``epochs`` is the most that are of use, and not what is expected to fit: the training itself ends with the time.

    Args:
        settings: of the plan without a limit.
        costs: measured for it.
        counts: images of ``train`` and ``val``.
        left: seconds from now to the last validation.
        fixed: settings that a person chose, and that stay.

    Raises:
        InputError: if not even the shortest training fits.
    """
    if settings.model == SMALL_NETWORK and not settings.pretrained and "width" not in fixed:
        return _fit_width(settings, costs, counts, left)
    if settings.head_first:
        return _fit_size(settings, costs, counts, left, fixed)
    return _fit_epochs(settings, costs.epoch(settings, counts["train"], counts["val"]), left)


def _fit_width(settings: Settings, costs: Costs, counts: dict[str, int], left: float) -> dict[str, tuple[Any, str]]:
    width, epochs, each = _widest(settings, costs, counts, left, settings.epochs)
    return {**_fit_epochs(settings, each, left), "width": (width, _widest_reason(epochs, left))}


def _widest(
    settings: Settings, costs: Costs, counts: dict[str, int], left: float, epochs: int
) -> tuple[int, float, float]:
    """Return (width, epochs from which on it pays, seconds of one) of the widest network that pays.

    ``epochs`` are those without a limit: small sets are seen more often.
    """
    usual = max(1.0, epochs / _USUAL)
    found = (0, 0.0, 0.0)
    for width, least in _WIDTHS:
        each = costs.scaled(_power(width / settings.width)).epoch(settings, counts["train"], counts["val"])
        if not found[0] or each * least * usual <= left:
            found = width, least * usual, each
    return found


def _widest_reason(epochs: float, left: float) -> str:
    return f"the widest network for which {epochs:.0f} epochs fit into {duration(left)}"


@dataclass(frozen=True, slots=True)
class Widths:
    """Decides whether a training that has just begun should start over at another width, as the machine is not as fast
    as it was measured.

    Attributes:
        settings: of the plan, with the width that the time limit chose.
        costs: at that width, as measured before.
        train, val: numbers of images.

    Example:
        ``Widths(settings, costs, 42_500, 5_000).better(0.3, left=300, spent=12)``
    """

    settings: Settings
    costs: Costs
    train: int
    val: int

    def better(self, factor: float, left: float, spent: float) -> int:
        """Return the width to start over with; 0: to go on pays more.

        What was spent is lost: a wider network must also pay if the time left were shorter by as much, and a narrower
        one if it were longer by twice as much.

        Args:
            factor: how many times as long as measured everything takes.
            left, spent: seconds.
        """
        width = self.settings.width
        if self._planned(factor, left - spent) > width:
            return self._planned(factor, left - spent)
        return self._planned(factor, left) if self._planned(factor, left + 2 * spent) < width else 0

    def reason(self, width: int, factor: float, left: float) -> str:
        """Return why this width is the best for the time left."""
        at_width = self.settings.model_copy(update={"width": width})
        costs = self.costs.scaled(factor).of(self.settings, at_width)
        _, epochs, _ = _widest(at_width, costs, self._counts, left, self._usual)
        return _widest_reason(epochs, left)

    def _planned(self, factor: float, left: float) -> int:
        return _widest(self.settings, self.costs.scaled(factor), self._counts, left, self._usual)[0]

    @property
    def _counts(self) -> dict[str, int]:
        return {"train": self.train, "val": self.val}

    @property
    def _usual(self) -> int:
        return min(self.settings.epochs, usual_epochs(self.train))  # planned epochs are the most that are of use


def _power(wider: float) -> float:
    """Return how much more a wider network costs: narrow ones leave the processor's units idle."""
    return 1.0 if not wider else wider**2 if wider > 1 else wider**1.5


def _fit_size(
    settings: Settings, costs: Costs, counts: dict[str, int], left: float, fixed: Collection[str]
) -> dict[str, tuple[Any, str]]:
    images = counts["train"] + counts["val"]
    sides = (settings.size,) if "size" in fixed else costs.sides or (settings.size,)
    heads = {side: images * costs.feature * (side / settings.size) ** 2 + costs.fit for side in sides}
    side = next((side for side in sides if heads[side] <= _HEAD_SHARE * left), sides[-1])
    if heads[side] > left:
        raise too_short(settings.time, left, heads[side])
    largest = "the usual one, at which" if side == sides[0] else "the largest at which"
    reason = f"{largest} the head is fitted in time: {duration(heads[side])} of the remaining {duration(left)}"
    each = costs.scaled((side / settings.size) ** 2).epoch(settings, counts["train"], counts["val"])
    epochs = _fit_epochs(settings, each, left - heads[side])
    if heads[side] + _PART * each > left:
        epochs = {"epochs": (0, f"no time for an epoch of fine-tuning, which takes {duration(each)}")}
    return {"size": (side, reason), **epochs}


def _fit_epochs(settings: Settings, each: float, left: float) -> dict[str, tuple[Any, str]]:
    fitting, most = left / max(1e-9, each), _MOST[settings.pretrained]
    how = "from pretrained weights" if settings.pretrained else "from scratch"
    reason = f"no more are of use {how}; about {min(fitting, most):.2g} fit, of {duration(each)} each into "
    reason += f"{duration(left)}, and the schedule ends with the time limit"
    found: dict[str, tuple[Any, str]] = {"epochs": (most, reason)}
    if settings.schedule == "step":
        every = max(1.0, round(min(fitting, most) / 3))
        found["decay_every"] = every, f"a third of the {min(fitting, most):.2g} epochs that fit into the time limit"
    return found


def estimate_seconds(settings: Settings, costs: Costs, train: int, val: int) -> float:
    """Estimate the seconds of the training if nothing stops it before its last epoch."""
    finder = FINDER_STEPS * costs.step if settings.find_rate else 0.0
    start = (train + val) * costs.feature if settings.head_first else val * costs.forward
    return settings.epochs * costs.epoch(settings, train, val) + start + finder


def least_training(settings: Settings, costs: Costs, train: int, val: int) -> float:
    """Return the seconds of the least training: a fitted head or one update, and one validation."""
    head = (train + val) * costs.feature + costs.fit
    if settings.engine == "onnxruntime":
        return head
    return val * costs.forward + (head if settings.head_first else costs.step)


def closing_seconds(images: int, short_side: int) -> float:
    """Return about how many seconds decoding, export and report take, whatever is trained.

    Args:
        images: of all parts.
        short_side: the median of the images, in px.

    Example:
        >>> closing_seconds(60_000, 32)
        18.0
    """
    return _CLOSING + _DECODING[short_side <= SMALL_SIDE] * images


def too_short_to_read(limit: float, needed: float, reading: float, why: str) -> InputError:
    """Return the error for a limit that is too short before any training; seconds, of which reading takes a part."""
    message = (
        f"--time {duration(limit)} is too short: this machine needs at least {duration(needed)} without any training"
    )
    cure = f"give --time {math.ceil(2 * needed)}s"
    if needed - reading < limit:
        cure += "; or run sightline check on the data first: what it reads is kept"
    return InputError("plan.time", f"{message} ({why})", cure)


def too_short(limit: float, left: float, needed: float) -> InputError:
    """Return the error for a limit that leaves too little time for training; seconds."""
    total = limit - left + needed
    message = f"--time {duration(limit)} is too short: this machine needs at least {duration(total)}"
    parts = f"{duration(needed)} for the shortest training, {duration(limit - left)} before and after it"
    return InputError("plan.time", f"{message} ({parts})", f"give --time {math.ceil(1.1 * total)}s or more")
