"""The training of one network, and what its run folder keeps of it while it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sightline.data.samples import Samples
from sightline.data.split import Split, selection_rows
from sightline.errors import InputError, StopRequested, TrainingError
from sightline.events import (
    EpochEnded,
    Event,
    FeaturesSeen,
    Noted,
    PartsRaised,
    RateFound,
    Resumed,
    StageEnded,
    StageStarted,
    StateSaving,
    StepEnded,
    StepFailed,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.measuring.evaluate import show_mistakes
from sightline.pipeline.frozen_features import expect_more_data, say_more_data
from sightline.pipeline.processes import Company
from sightline.pipeline.rehearse import rehearse_closing
from sightline.pixels.cache import PixelStore
from sightline.planning.budget import Costs, too_short
from sightline.planning.decisions import Decision
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.runs.writer import RunWriter
from sightline.text import count_of, listed

if TYPE_CHECKING:
    from sightline.networks.weights import StartWeights
    from sightline.training.process_group import Group

__all__ = ["Lesson", "learn"]

_EPOCH = [name for name in EpochEnded.__dataclass_fields__ if name not in ("epochs", "is_best")]
_VIEW_SIDE = 96  # px of the images of random changes that a run keeps
_NAMED, _KEPT = 5, 500  # images of a failed step that an error names, and the run keeps


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a network learns from.

    Attributes:
        costs: measured, for a training with a time limit.
        resume: go on from what the run saved.
        differs: why going on can't be bit for bit; empty where it is.
        company: the processes beside this one.
    """

    samples: Samples
    split: Split
    store: PixelStore
    weights: StartWeights | None
    costs: Costs | None = None
    resume: bool = False
    differs: str = ""
    company: Company | None = None


def learn(writer: RunWriter, plan: Plan, lesson: Lesson, ends: float) -> Generator[Event, None, None]:
    """Train the planned network; its best epoch and, until the end, its whole state lie in the run's folder.

    Args:
        writer: of the run.
        plan: of the training.
        lesson: the images.
        ends: by ``time.monotonic()``, when all of the run must be over; infinite: no limit.

    Raises:
        InputError: if too little time is left.
        TrainingError: as ``train_network``, with the images of the step that failed.
    """
    from sightline.training.loop import train_network
    from sightline.training.pace import Pace
    from sightline.training.process_group import ALONE
    from sightline.training.setup import make_batches, set_up_network, whiten_network

    samples, split, store = lesson.samples, lesson.split, lesson.store
    network = set_up_network(plan.settings, len(samples.classes), lesson.weights)
    train, val = (
        make_batches(plan, store, rows.tolist(), samples.labels[rows].tolist())
        for rows in (split.rows("train"), selection_rows(split, samples.labels))
    )
    if lesson.weights is None:
        whiten_network(network, train, plan.settings.seed)
    _keep_views(writer, train, plan.settings, len(samples.classes))
    pace = None
    if lesson.costs and not math.isinf(ends):
        closing = yield from rehearse_closing(writer.run, plan, samples, split, store, network)
        _refuse_too_short(plan.settings, lesson, len(train), len(val), ends - closing)
        step, look = lesson.costs.step, lesson.costs.forward * len(val)
        pace = Pace(plan.settings, train.steps(plan.settings.batch_size), ends - closing, step, look)
    yield StageStarted("Training", plan.settings.model)
    start = time.monotonic()
    keeper = _Keeper(writer, plan, lesson, setbacks=list(writer.run.facts.get("setbacks", [])))
    folder = writer.run.checkpoints_folder
    try:
        group = lesson.company.connect(plan.settings) if lesson.company else ALONE
        yield from _describe_company(writer, plan.settings, group, network, train)
        events = train_network(network, train, val, plan.settings, folder, pace=pace, resume=lesson.resume, group=group)
        yield from keeper.relay(events)
    except TrainingError as error:
        raise keeper.explained(error) from error
    finally:
        if lesson.company:
            lesson.company.part()
    yield StageEnded("Training", keeper.gave(), time.monotonic() - start)


def _describe_company(
    writer: RunWriter, settings: Settings, group: Group, network: Any, train: Any
) -> Generator[Event, None, None]:
    """Say that several processes train, what each has of a step, and what that does to batch norms.

    Raises:
        InputError: if batch norms could not see a whole step, because a process has no image of it.
    """
    if group.size == 1:
        return
    from sightline.training.layer_groups import norm_layers

    steps = train.steps(settings.batch_size)
    largest, smallest = -(-len(train) // steps), len(train) // steps
    own = -(-largest // group.size)
    yield Noted(f"{group.size} processes train together, each with up to {own} of the {largest} images of a step.")
    if settings.freeze_norm or not any(True for _ in norm_layers(network)):
        return
    if settings.device != "cpu" and smallest < group.size:
        message = f"steps of {smallest} images are too small for {group.size} processes with batch norms"
        raise InputError("plan.devices", message, "give a larger --batch-size, or fewer --devices")
    norms = "the whole step" if settings.device != "cpu" else f"the images of their own process, up to {own}"
    writer.update(batch_norms_see=norms)
    if settings.device == "cpu":
        yield Noted(f"Batch norms learn from {norms}: not what one process would do, whose norms see {largest}.")


def _refuse_too_short(settings: Settings, lesson: Lesson, train: int, val: int, deadline: float) -> None:
    """Raise ``InputError`` where not even the least training ends before the deadline."""
    assert lesson.costs
    look = val * lesson.costs.forward
    head = (train + val) * lesson.costs.feature + lesson.costs.fit
    least = look + (head if settings.head_first else lesson.costs.step)
    left = deadline - time.monotonic()
    if left < least and not lesson.resume:
        raise too_short(settings.time, left, least)


@dataclass(slots=True)
class _Keeper:
    """Writes down what happens, in time: before a state is saved, all that led to it is on the disk."""

    writer: RunWriter
    plan: Plan
    lesson: Lesson
    steps: list[StepEnded] = field(default_factory=list)
    setbacks: list[dict[str, Any]] = field(default_factory=list)

    def relay(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        """Yield the events, each after it was kept; a request to stop goes on to where they come from."""
        for event in events:
            if self.lesson.company:
                self.lesson.company.check()
            self._keep(event)
            try:
                yield event
                if isinstance(event, FeaturesSeen):
                    yield self._expect_more(event)
                if isinstance(event, ValidationMeasured):
                    rows = selection_rows(self.lesson.split, self.lesson.samples.labels)
                    yield show_mistakes(event, self.lesson.store, self.plan.preprocess, rows)
            except StopRequested as stop:
                self._write_steps()
                events.throw(stop)  # saves the state, and raises it again

    def gave(self) -> str:
        """Return what the training gave, from its start to its best epoch."""
        history, best = self.writer.run.history, int(self.writer.run.facts.get("best_epoch", 0))
        first = "the fitted head" if self.plan.settings.head_first else "the random start"
        accuracies = history.get("val_accuracy", [])
        if not accuracies:
            return ""
        said = f"validation accuracy {100 * accuracies[0]:.1f} % with {first}"
        if len(accuracies) == 1:
            return said
        epochs = count_of(len(accuracies) - 1, "epoch")
        gained = f"{100 * accuracies[best]:.1f} % in epoch {best}" if best else "none of them better"
        return f"{said}; {epochs}, {gained}"

    def explained(self, error: TrainingError) -> TrainingError:
        """Return an error with the images of the step that it is about, or with the first cause of a lost process."""
        if self.lesson.company:
            self.lesson.company.explain(error)
        if not self.setbacks or error.message != self.setbacks[-1]["message"]:
            return error
        images = listed(self.setbacks[-1]["images"], _NAMED)
        return TrainingError(error.code, f"{error.message}; its images: {images}", error.cure)

    def _expect_more(self, seen: FeaturesSeen) -> Noted:
        found = expect_more_data(seen, self.lesson.samples, self.lesson.split, self.plan.settings.seed)
        if found:
            self.writer.write_learning_curve(found)
        return Noted(say_more_data(found))

    def _keep(self, event: Event) -> None:
        match event:
            case StepEnded():
                self.steps.append(event)
            case StateSaving():
                self._write_steps()
                self.writer.update()  # the seconds so far: a limit of time counts them
            case EpochEnded():
                self.writer.add_epoch({name: getattr(event, name) for name in _EPOCH})
                self._write_steps()
            case RateFound():
                self.writer.write_plan(_with_rate(self.plan, event).to_toml())
                self.writer.write_rates(event.rates, event.losses)
            case Resumed(epoch, step):
                self.steps.clear()
                self.writer.forget_after(epoch, step)
                if self.lesson.differs and "not_exact_since" not in self.writer.run.facts:
                    self.writer.update(not_exact_since=step, not_exact_because=self.lesson.differs)
            case TrainingStopped(reason, best_epoch, _):
                self.writer.update(stopped=reason, best_epoch=best_epoch)
            case PartsRaised(step, parts):
                self.writer.update(parts_raised={"step": step, "parts": parts})
            case StepFailed(step, epoch, positions, message):
                paths = self.lesson.samples.paths[self.lesson.split.rows("train")[positions]]
                self.setbacks.append({"step": step, "epoch": epoch, "message": message, "images": list(paths[:_KEPT])})
                self.writer.update(setbacks=self.setbacks)

    def _write_steps(self) -> None:
        self.writer.add_steps(self.steps)
        self.steps.clear()


def _keep_views(writer: RunWriter, train: Any, settings: Any, classes: int) -> None:
    """Write a few training images as the network gets them, small, for the report."""
    from sightline.training.preview import choose_rows, make_views

    views = make_views(train.take(choose_rows(train.labels, 4)), settings, classes, 6)
    small = views.shrunk(_VIEW_SIDE)
    writer.write_views(labels=small.labels, plain=small.plain, changed=small.changed, shares=small.shares)


def _with_rate(plan: Plan, found: RateFound) -> Plan:
    """Return the plan with the rate that was found; trained again from its file, it is not looked for again."""
    plan = plan.replace(Decision("learning_rate", found.rate, "finder", found.reason))
    return plan.replace(Decision("find_rate", False, "finder", "it was looked for, and stands in learning_rate"))
