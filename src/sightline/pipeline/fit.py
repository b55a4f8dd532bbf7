"""The third step of a training: one network learns, and its run folder keeps what happens while it does."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sightline.data.split import selection_rows
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
from sightline.pipeline.rehearse import rehearse_finish
from sightline.pipeline.workbench import Session, Training, Workbench, set_up_training
from sightline.planning.budget import Costs, least_training, too_short
from sightline.planning.decisions import Decision
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.runs.writer import RunWriter
from sightline.text import count_of, listed

if TYPE_CHECKING:
    from sightline.training.batches import Batches
    from sightline.training.pace import Pace
    from sightline.training.process_group import Group

__all__ = ["fit"]

_EPOCH = [name for name in EpochEnded.__dataclass_fields__ if name not in ("epochs", "is_best")]
_VIEW_SIDE = 96  # px of the images of random changes that a run keeps
_NAMED, _KEPT = 5, 500  # images of a failed step that an error names, and the run keeps


def fit(plan: Plan, workbench: Workbench, session: Session) -> Generator[Event, None, int]:
    """Train the planned network; its best epoch and, until the end, its whole state are in the run's folder.

    Args:
        plan: of the training.
        workbench: the images and the weights to start from; no test image is in reach.
        session: of this training.

    Returns:
        The best epoch; 0: the start, with its head fitted.

    Raises:
        InputError: if too little time is left.
        TrainingError: as ``train_network``, with the images of the step that failed.
    """
    from sightline.training.loop import train_network
    from sightline.training.process_group import ALONE
    from sightline.training.setup import whiten_network

    settings, writer, processes = plan.settings, session.writer, session.processes
    training = set_up_training(plan, workbench)
    if workbench.weights is None:
        whiten_network(training.network, training.train, settings.seed)
    _keep_views(writer, training.train, settings, len(workbench.samples.classes))
    pace = yield from _find_pace(plan, workbench, session, training)
    yield StageStarted("Training", settings.model)
    start = time.monotonic()
    keeper = _Keeper(plan, workbench, session, setbacks=list(writer.run.facts.get("setbacks", [])))
    try:
        group = processes.connect(settings) if processes else ALONE
        yield from _describe_processes(writer, settings, group, training)
        events = train_network(
            training.network,
            training.train,
            training.val,
            settings,
            writer.run.checkpoints_folder,
            pace=pace,
            resume=session.resume,
            group=group,
        )
        yield from keeper.relay(events)
    except TrainingError as error:
        raise keeper.explained(error) from error
    finally:
        if processes:
            processes.end()
    yield StageEnded("Training", keeper.describe_gain(), time.monotonic() - start)
    return int(writer.run.facts.get("best_epoch", 0))


def _find_pace(
    plan: Plan, workbench: Workbench, session: Session, training: Training
) -> Generator[Event, None, Pace | None]:
    """Return how many updates fit into the time, after the end of the run was rehearsed; None without a limit."""
    from sightline.training.pace import Pace

    costs = workbench.costs
    if costs is None or session.ends == float("inf"):
        return None
    closing = yield from rehearse_finish(session.writer.run, plan, workbench, training.network)
    deadline = session.ends - closing
    if not session.resume:
        _refuse_too_short(plan.settings, costs, len(training.train), len(training.val), deadline)
    steps = training.train.steps(plan.settings.batch_size)
    return Pace(plan.settings, steps, deadline, costs.step, costs.forward * len(training.val))


def _describe_processes(
    writer: RunWriter, settings: Settings, group: Group, training: Training
) -> Generator[Event, None, None]:
    """Say that several processes train, what each has of a step, and what that does to batch norms.

    Raises:
        InputError: if batch norms could not see a whole step, because a process has no image of it.
    """
    if group.size == 1:
        return
    from sightline.training.layer_groups import norm_layers

    steps = training.train.steps(settings.batch_size)
    largest, smallest = -(-len(training.train) // steps), len(training.train) // steps
    own = -(-largest // group.size)
    yield Noted(f"{group.size} processes train together, each with up to {own} of the {largest} images of a step.")
    if settings.freeze_norm or not any(True for _ in norm_layers(training.network)):
        return
    if settings.device != "cpu" and smallest < group.size:
        message = f"steps of {smallest} images are too small for {group.size} processes with batch norms"
        raise InputError("plan.devices", message, "give a larger --batch-size, or fewer --devices")
    norms = "the whole step" if settings.device != "cpu" else f"the images of their own process, up to {own}"
    writer.update(batch_norms_see=norms)
    if settings.device == "cpu":
        yield Noted(f"Batch norms learn from {norms}: not what one process would do, whose norms see {largest}.")


def _refuse_too_short(settings: Settings, costs: Costs, train: int, val: int, deadline: float) -> None:
    """Raise ``InputError`` where not even the least training ends before the deadline."""
    least = least_training(settings, costs, train, val)
    left = deadline - time.monotonic()
    if left < least:
        raise too_short(settings.time, left, least)


@dataclass(slots=True)
class _Keeper:
    """Writes down what happens, in time: before a state is saved, all that led to it is on the disk."""

    plan: Plan
    workbench: Workbench
    session: Session
    steps: list[StepEnded] = field(default_factory=list)
    setbacks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def writer(self) -> RunWriter:
        return self.session.writer

    def relay(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        """Yield the events, each after it was kept; a request to stop is passed on to their source."""
        for event in events:
            if self.session.processes:
                self.session.processes.check()
            self._keep(event)
            try:
                yield event
                if isinstance(event, FeaturesSeen):
                    yield self._expect_more(event)
                if isinstance(event, ValidationMeasured):
                    rows = selection_rows(self.workbench.split, self.workbench.samples.labels)
                    yield show_mistakes(event, self.workbench.store, self.plan.preprocess, rows)
            except StopRequested as stop:
                self._write_steps()
                events.throw(stop)  # saves the state, and raises it again

    def describe_gain(self) -> str:
        """Return in words what the training gained, from its start to its best epoch."""
        history, best = self.writer.run.history, int(self.writer.run.facts.get("best_epoch", 0))
        first = "the fitted head" if self.plan.settings.head_first else "the random start"
        accuracies = history.get("val_accuracy", [])
        if not accuracies:
            return ""
        words = f"validation accuracy {100 * accuracies[0]:.1f} % with {first}"
        if len(accuracies) == 1:
            return words
        epochs = count_of(len(accuracies) - 1, "epoch")
        gained = f"{100 * accuracies[best]:.1f} % in epoch {best}" if best else "none of them better"
        return f"{words}; {epochs}, {gained}"

    def explained(self, error: TrainingError) -> TrainingError:
        """Return an error with the images of the step that it is about, or with the first cause of a lost process."""
        if self.session.processes:
            self.session.processes.explain(error)
        if not self.setbacks or error.message != self.setbacks[-1]["message"]:
            return error
        images = listed(self.setbacks[-1]["images"], _NAMED)
        return TrainingError(error.code, f"{error.message}; its images: {images}", error.cure)

    def _expect_more(self, seen: FeaturesSeen) -> Noted:
        samples, split = self.workbench.samples, self.workbench.split
        curve = expect_more_data(seen, samples, split, self.plan.settings.seed)
        if curve is not None:
            self.writer.write_learning_curve(curve)
        return Noted(say_more_data(curve))

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
                if self.session.differs and "not_exact_since" not in self.writer.run.facts:
                    self.writer.update(not_exact_since=step, not_exact_because=self.session.differs)
            case TrainingStopped(reason, best_epoch, _):
                self.writer.update(stopped=reason, best_epoch=best_epoch)
            case PartsRaised(step, parts):
                self.writer.update(parts_raised={"step": step, "parts": parts})
            case StepFailed(step, epoch, positions, message):
                paths = self.workbench.samples.paths[self.workbench.split.rows("train")[positions]]
                self.setbacks.append({"step": step, "epoch": epoch, "message": message, "images": list(paths[:_KEPT])})
                self.writer.update(setbacks=self.setbacks)

    def _write_steps(self) -> None:
        self.writer.add_steps(self.steps)
        self.steps.clear()


def _keep_views(writer: RunWriter, train: Batches, settings: Settings, classes: int) -> None:
    """Write a few training images as the network gets them, small, for the report."""
    from sightline.training.preview import choose_rows, make_views

    views = make_views(train.take(choose_rows(train.labels, 4)), settings, classes, 6)
    writer.write_views(views.shrunk(_VIEW_SIDE))


def _with_rate(plan: Plan, found: RateFound) -> Plan:
    """Return the plan with the rate that was found; trained again from its file, it is not looked for again."""
    plan = plan.replace(Decision("learning_rate", found.rate, "finder", found.reason))
    return plan.replace(Decision("find_rate", False, "finder", "it was found, and is in learning_rate"))
