"""The head alone under a time limit: the input size that fits, and whether torch would have time for more than that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sightline.errors import InputError
from sightline.planning.budget import Costs, fit_to_time, too_short
from sightline.planning.ending import DRAWING, EndOfRun, reserve_factor
from sightline.planning.settings import Settings
from sightline.text import duration

__all__ = ["LARGEST", "HeadWork", "why_head_alone"]

# Measured with the carried network on 2 cores. A training image of torch, of which the last two stages learn, takes as
# long as the features of so many images; and torch takes so many times as long as importing the library that draws: to
# be imported, to measure steps, and to export twice.
_STEP, _TORCH = 5.0, 20.0
_EXPORTED = {"torch": 8.0, "onnxruntime": 1.5}  # times that too: an export without its proof
_PROVED, _REHEARSED = 152, 72  # images that a proof looks at, at the end and when it is rehearsed
_SHRINKING = 3e-4  # seconds to shrink an image for the baseline
# A head at 288 px against one at 224, random splits of two sets: 1.4 points (standard error 0.4) more of ants and bees,
# with a loss lower by 0.039 nats (0.009); 1.0 (0.7) more of photos of clothes, with a loss lower by 0.030 (0.008). At
# 256 px it is about half of that.
LARGEST = 288  # px
_LEAST = 1 / 3  # of the images: the least that a head is fitted on
_SURE = 0.95  # share of the time for the features that is planned: the last batch may come late


@dataclass(frozen=True, slots=True)
class HeadWork:
    """What a training of the head alone has still to do, and what that takes on this machine.

    Attributes:
        settings: of its plan.
        costs: measured for it.
        counts: images of ``train`` and ``val``, ``measured`` in the end, and ``all``.
        decoding: seconds to decode an image.
        drawing: seconds of importing the library that draws.
        has_cache: whether features are kept once they are computed.
        known: side -> images of training and validation whose features are in the cache.
        stored: sides at which the decoded images are in the cache.
    """

    settings: Settings
    costs: Costs
    counts: dict[str, int] = field(hash=False)
    decoding: float
    drawing: float
    has_cache: bool = True
    known: Mapping[int, int] = field(default_factory=dict, hash=False)
    stored: Collection[int] = ()

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the input that are possible, in px, the largest first."""
        return self.costs.sides or (self.settings.size,)

    def head(self, side: int) -> float:
        """Return the seconds until the head is fitted, once the images are decoded; what is in the cache is free."""
        missing = self.counts["train"] + self.counts["val"] - self.known.get(side, 0)
        return missing * self._feature(side) + self.costs.fit * max(1.0, self.drawing / DRAWING)

    def around(self, side: int, engine: str = "onnxruntime") -> float:
        """Return the seconds of all else: decoding, the rehearsal of the end, and the end."""
        looking = self._feature(side) + self.decoding
        exporting = _EXPORTED[engine] * self.drawing
        end = EndOfRun(
            self.settings.model_copy(update={"engine": engine}),
            {**self.counts, "calibrating": self.counts["val"]},
            looking,
            exporting + _PROVED * looking,
            _SHRINKING,
            self.drawing,
            reserve_factor(self.costs.waited, 1 - self.costs.waited),
            has_features=engine == "onnxruntime" and self.has_cache,
        )
        decoding = 0.0 if side in self.stored else self.counts["all"] * self.decoding
        return decoding + exporting + _REHEARSED * looking + end.seconds

    def seconds(self, side: int) -> float:
        """Return the seconds of all that is left to do."""
        return self.head(side) / _SURE + self.around(side)

    def fit(self, left: float, fixed: Collection[str] = ()) -> dict[str, tuple[Any, str]]:
        """Return ``size`` -> (side, reason): the largest for which all is done in time.

        Args:
            left: seconds until the time limit.
            fixed: settings that a person chose, and that stay.

        Raises:
            InputError: if there is none, with the seconds that the fastest would take.
        """
        sides = (self.settings.size,) if "size" in fixed else self.sides
        side = next((side for side in sides if self.seconds(side) <= left), 0)
        if not side:
            return {"size": self._fit_least(left, min(sides, key=self.seconds))}
        words = f"the largest at which all is done in time: the head after {duration(self.head(side))}"
        known = self.known.get(side, 0)
        words += f" ({known:,} of its images are known from the cache)" if known else ""
        words += f", all else in {duration(self.around(side))}, of the remaining {duration(left)}"
        if side > self.settings.size:
            slower = (side / self.settings.size) ** 2
            words += f"; the loss is lower than at {self.settings.size} px, an image takes {slower:.1f} times as long"
        return {"size": (side, words)}

    def _fit_least(self, left: float, side: int) -> tuple[int, str]:
        """Return (the fastest side, reason) where a head on a third of the images is fitted in time, as for ``fit``.

        All of validation is among them.
        """
        fitting, known = self.costs.fit * max(1.0, self.drawing / DRAWING), self.known.get(side, 0)
        missing = max(1, self.counts["train"] + self.counts["val"] - known)
        share = max(_LEAST, (self.counts["val"] - known) / missing)
        least = (fitting + share * (self.head(side) - fitting)) / _SURE
        if least + self.around(side) > left:
            raise too_short(self.settings.time, left - self.around(side), least)
        words = f"the fastest: features of all images would take {duration(self.head(side) - fitting)}, and all else "
        words += f"{duration(self.around(side) + fitting)} of the remaining {duration(left)}"
        return side, f"{words}; the head is fitted on those that are there in time, a third at least"

    def _feature(self, side: int) -> float:
        return self.costs.feature * (side / self.settings.size) ** 2


def why_head_alone(work: HeadWork, settings: Settings, left: float) -> str:
    """Return why torch would have no time for more than the head either, in words; empty where it would have.

    Args:
        work: of the head alone.
        settings: of the plan with torch.
        left: seconds until the time limit.
    """
    if not settings.epochs:
        return "no epochs of fine-tuning are asked for, and a head alone needs no torch"
    start, side = _TORCH * work.drawing, work.settings.size
    costs = replace(
        work.costs,
        step=_STEP * work.costs.feature * settings.batch_size,
        sides=tuple(side for side in work.sides if side <= settings.size),
    )
    tuning = costs.epoch(settings, work.counts["train"], work.counts["val"]) / 2
    around = work.around(side, "torch")
    remaining = left - start - around
    words = f"{duration(left)} are left, too short for torch: to start {duration(start)}, the head "
    words += (
        f"{duration(work.head(side))}, half an epoch of fine-tuning {duration(tuning)}, all else {duration(around)}"
    )
    words += f" at {side} px; --set engine=torch insists on it"
    if remaining <= 0:
        return words
    try:
        found = fit_to_time(settings, costs, work.counts, remaining)
    except InputError:
        return words
    return "" if found["epochs"][0] else words
