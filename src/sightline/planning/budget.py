"""What a time limit decides: the size of the input, the width of the network and the epochs that fit into it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from sightline.errors import InputError
from sightline.planning.own_networks import SMALL_NETWORK
from sightline.planning.settings import Settings
from sightline.text import duration

__all__ = ["Costs", "fit_to_time", "too_short"]

# Width and the epochs that it is worth having, for a set that is seen eight times without a limit: seen on CIFAR-10,
# where at equal time more width beats more epochs from there on.
_WIDTHS = ((32, 2), (48, 3), (64, 4), (96, 9), (128, 14), (192, 24))
_USUAL = 8
_SIZES = (384, 288, 256, 224, 192, 160, 128, 96)  # sides of the input that a pretrained network is tried at
_ENOUGH = 3  # epochs of the whole network that a larger side must leave time for
_MOST = {True: 10, False: 160}  # epochs from pretrained weights, and from scratch
_FIT = 3e-8  # seconds of fitting a head, a number in the features


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured on this machine for a plan.

    Attributes:
        step: seconds of one update at full size, with ``batch_size`` images.
        forward: seconds of looking at one image, as validation does.
        feature: seconds of looking at one image for a head that is fitted first.
        feature_size: length of the network's features.
    """

    step: float
    forward: float
    feature: float
    feature_size: int

    def epoch(self, settings: Settings, train: int, val: int) -> float:
        """Return the seconds of one epoch on average, with its validation."""
        steps = max(1, -(-train // settings.batch_size))
        sides = settings.early_sizes
        share = settings.early_share / max(1, len(sides))
        scale = 1 - share * sum(1 - (side / settings.size) ** 2 for side in sides)
        return steps * self.step * scale + val * self.forward

    def of(self, before: Settings, after: Settings) -> Costs:
        """Return about what the costs are with another width or another size than they were measured with."""
        wider = after.width / max(1, before.width)
        return self.scaled(_power(wider) * (after.size / before.size) ** 2)

    def scaled(self, factor: float) -> Costs:
        """Return the costs of a network or an input that needs ``factor`` times the arithmetic."""
        return replace(self, step=self.step * factor, forward=self.forward * factor, feature=self.feature * factor)


def fit_to_time(settings: Settings, costs: Costs, counts: dict[str, int], left: float) -> dict[str, tuple[Any, str]]:
    """Return setting -> (value, reason) for what makes the most of the time that is left for training.

    Args:
        settings: of the plan without a limit.
        costs: measured for it.
        counts: images of ``train`` and ``val``.
        left: seconds from now to the last validation.

    Raises:
        InputError: if not even the least training fits.
    """
    if settings.model == SMALL_NETWORK and not settings.pretrained:
        return _fit_width(settings, costs, counts, left)
    if settings.head_first:
        return _fit_size(settings, costs, counts, left)
    return _fit_epochs(settings, costs.epoch(settings, counts["train"], counts["val"]), left)


def _fit_width(settings: Settings, costs: Costs, counts: dict[str, int], left: float) -> dict[str, tuple[Any, str]]:
    usual = max(1.0, settings.epochs / _USUAL)  # small sets are seen more often
    found: dict[str, tuple[Any, str]] = {}
    for width, least in _WIDTHS:
        each = costs.scaled(_power(width / settings.width)).epoch(settings, counts["train"], counts["val"])
        if not found or each * least * usual <= left:
            reason = f"the widest of which {least * usual:.0f} epochs fit into {duration(left)}"
            found = {**_fit_epochs(settings, each, left), "width": (width, reason)}
    return found


def _power(wider: float) -> float:
    """Return how much more a wider network costs: narrow ones leave the processor's units idle."""
    return 1.0 if not wider else wider**2 if wider > 1 else wider**1.5


def _fit_size(settings: Settings, costs: Costs, counts: dict[str, int], left: float) -> dict[str, tuple[Any, str]]:
    images = counts["train"] + counts["val"]
    fitting = images * costs.feature_size * _FIT
    sides = [side for side in _SIZES if side <= settings.size] or [settings.size]
    for least in (_ENOUGH, 1, 0):
        for side in sides:
            here = costs.scaled((side / settings.size) ** 2)
            head = images * here.feature + fitting
            each = here.epoch(settings, counts["train"], counts["val"])
            if head + least * each <= left:
                told = f"leaves time for {least} epochs after the head" if least else "leaves time for the fitted head"
                epochs = min(_MOST[True], math.ceil((left - head) / each)) if least else 0
                why = f"about {duration(each)} each after {duration(head)} for the head; the last ends with the time"
                return {
                    "size": (side, f"the largest that {told} within {duration(left)}"),
                    "epochs": (epochs, why if epochs else "no time for an epoch of the whole network"),
                }
    raise too_short(settings.time, left, head)


def _fit_epochs(settings: Settings, each: float, left: float) -> dict[str, tuple[Any, str]]:
    epochs = min(_MOST[settings.pretrained], max(1, math.ceil(left / max(1e-9, each))))
    reason = f"about {duration(each)} each, and {duration(left)} are left; the last one ends with the time"
    if epochs == _MOST[settings.pretrained]:
        reason = "as many as are of use; the rest of the time is not needed"
    return {"epochs": (epochs, reason)}


def too_short(limit: float, left: float, needed: float) -> InputError:
    """Return the error for a limit that leaves too little time for training; seconds."""
    all_of_it = limit - left + needed
    message = f"--time {duration(limit)} is not enough: {duration(all_of_it)} are needed at least on this machine"
    parts = f"{duration(needed)} for the least training, {duration(limit - left)} before and after it"
    return InputError("plan.time", f"{message} ({parts})", f"give --time {math.ceil(1.1 * all_of_it)}s or more")
