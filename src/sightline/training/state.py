"""Everything that changes during training, in one object, so that it can be saved and restored."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline.errors import RunError
from sightline.networks.network import Network
from sightline.planning.settings import Settings
from sightline.text import one_line
from sightline.training.averaging import Average
from sightline.training.checkpoint import (
    load_newest,
    pack_checkpoint,
    save_checkpoint,
    unpack_checkpoint,
)
from sightline.training.process_group import ALONE, Group
from sightline.training.schedules import Course
from sightline.training.update import Update, Updater, diverged

__all__ = ["Progress", "TrainingState", "score_of"]

# Seconds between two savings, which is what a kill can cost. Longer where saving itself takes long.
_EVERY, _TIMES = 30.0, 30


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a training, as plain values.

    Attributes:
        epoch: the current one, from 1.
        step: updates made.
        seen: images of this epoch so far.
        cross_entropy, hits: their sums over these images, in training.
        seconds: that this epoch took before it was resumed.
        figures: the validation metric of each epoch so far, the one of ``select_by``.
        best: score and loss of the best epoch; None before there is one.
        best_epoch: its number.
        rate: learning rate of the last step.
        clipped: steps whose gradient was clipped.
        rate_scale: factor on the learning rate; below 1 after a setback.
        setbacks: how often the training went back because numbers were not finite.
        reason: why the training ended; empty while it runs.
        steps: of the whole training, as thought at the last step; 0: before the first.
        ahead: as in a ``Course``.
    """

    epoch: int = 1
    step: int = 0
    seen: int = 0
    cross_entropy: float = 0.0
    hits: float = 0.0
    seconds: float = 0.0
    figures: tuple[float, ...] = ()
    best: tuple[float, float] | None = None
    best_epoch: int = 0
    rate: float = 0.0
    clipped: int = 0
    rate_scale: float = 1.0
    setbacks: int = 0
    reason: str = ""
    steps: int = 0
    ahead: float = 0.0


class TrainingState:
    """Network, average, optimiser and progress of one training.

    Args:
        network: on its device; the weights to train require a gradient.
        settings: of the plan, with the learning rate that the training uses.
        class_counts: training images of each class.
        folder: where the state is saved.
        group: the processes that share this state; the first one saves it.

    Attributes:
        progress: of the training.
    """

    def __init__(
        self, network: Network, settings: Settings, class_counts: Sequence[int], folder: Path, group: Group = ALONE
    ) -> None:
        self.network = network
        self.average = Average(network, settings.ema)
        self.updater = Updater(network, settings, class_counts, group)
        self._group = group
        self.progress = Progress()
        self._folder = folder
        self._sums = torch.zeros(2, device=network.head.weight.device)
        self._saved = time.monotonic()
        self._cost = 0.0

    def advance(self, update: Update, rate: float) -> None:
        """Count an update."""
        self.average.update()
        self._sums += torch.stack([update.cross_entropy, update.hits])
        before = self.progress
        clipped = before.clipped + update.is_clipped
        self.progress = replace(
            before, step=before.step + 1, seen=before.seen + update.images, rate=rate, clipped=clipped
        )

    def course(self, epoch_steps: int) -> Course:
        """Return the position of the next step."""
        now = self.progress
        return Course(now.step, now.steps, epoch_steps, now.figures, now.ahead)

    def advance_to(self, course: Course) -> None:
        """Remember the position of the step that is made next."""
        self.progress = replace(self.progress, steps=course.steps, ahead=course.ahead)

    def train_metrics(self) -> tuple[float, float]:
        """Return (mean cross-entropy in nats, accuracy) of this epoch's images, as they were seen in training."""
        loss, hits = (self._sums / max(1, self.progress.seen)).tolist()
        return loss, hits

    def close_epoch(self, figure: float, best: tuple[float, float] | None, best_epoch: int, reason: str) -> None:
        """Go on to the next epoch, or end with a reason."""
        now = self.progress
        figure = figure if math.isfinite(figure) else sys.float_info.max  # no checkpoint holds NaN
        self._sums.zero_()
        now = replace(now, epoch=now.epoch + 1, seen=0, seconds=0.0, figures=(*now.figures, figure))
        self.progress = replace(now, best=best, best_epoch=best_epoch, reason=reason)

    # -- saving and loading -------------------------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._saved > max(_EVERY, _TIMES * self._cost)

    def save(self, seconds: float) -> None:
        """Write the whole state, in the first process; the one before is kept.

        Args:
            seconds: that this epoch took so far.

        Raises:
            TrainingError: if a weight is not finite: such a state is not saved.
            RunError: if it can't be written; the one before is still there.
        """
        start = time.monotonic()
        self.refuse_not_finite()
        if self._group.rank == 0:
            save_checkpoint(self._folder, *self._content(seconds), keep=True)
        self._saved = time.monotonic()
        self._cost = self._saved - start

    def _content(self, seconds: float) -> tuple[dict[str, Mapping[str, Tensor]], dict[str, Any]]:
        loss, hits = self._sums.tolist()
        now = replace(self.progress, cross_entropy=loss, hits=hits, seconds=seconds)
        values, tensors = self.updater.state()
        groups = {"model": self.network.state_dict(), "average": self.average.state(), "optimizer": tensors}
        facts = {"progress": asdict(now), "average": self.average.count, "updater": values}
        return {name: named for name, named in groups.items() if named}, facts

    def load(self) -> str | None:
        """Take up the newest whole state, bit for bit; returns what is wrong with a newer one, None if there is none.

        Raises:
            RunError: if all are damaged, or don't fit the network.
        """
        found = load_newest(self._folder)
        if found is None:
            return None
        tensors, facts, wrong = found
        try:
            self._take(tensors, facts)
        except (RuntimeError, KeyError, TypeError, ValueError, IndexError) as error:
            text = one_line(error)
            cure = "resume with the versions in run.json, or train again"
            raise RunError("run.weights", f"{self._folder} does not fit this network: {text}", cure) from error
        return wrong

    def share(self) -> None:
        """Give the state of the first process to all."""
        if self._group.size == 1:
            return
        content = b""
        if self._group.rank == 0:
            content = pack_checkpoint(*self._content(self.progress.seconds))
        content = self._group.share(content)
        if self._group.rank:
            self._take(*unpack_checkpoint(content))

    def _take(self, tensors: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        self.network.load_state_dict(tensors["model"])
        self.network.eval()  # the loop sets what learns
        self.average.load(tensors.get("average", {}), int(facts["average"]))
        self.updater.load(facts["updater"], tensors.get("optimizer", {}))
        known = dict(facts["progress"])
        known["figures"] = tuple(known["figures"])
        known["best"] = known["best"] and (known["best"][0], known["best"][1])
        self.progress = Progress(**known)
        self._sums.copy_(torch.tensor([self.progress.cross_entropy, self.progress.hits]))
        self._saved = time.monotonic()

    def refuse_not_finite(self) -> None:
        """Raise ``TrainingError`` if a weight of the network or of its average is not finite."""
        for kind, named in (("weight", self.network.state_dict()), ("averaged weight", self.average.state())):
            for name, value in named.items():
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    raise diverged(f"the {kind} {name} is not a finite number after step {self.progress.step - 1}")


def score_of(loss: float, accuracy: float, settings: Settings) -> tuple[float, float]:
    """Return a score that is lowest for the best epoch; the loss breaks ties between equal accuracies."""
    if not math.isfinite(loss):
        return math.inf, math.inf
    return (loss if settings.select_by == "loss" else -accuracy), loss
