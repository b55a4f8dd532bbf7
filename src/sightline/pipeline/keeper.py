"""What a run's folder keeps while a network learns."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from sightline.data.split import selection_rows
from sightline.errors import StopRequested, TrainingError
from sightline.events import (
    Blended,
    EpochEnded,
    Event,
    FeaturesSeen,
    Noted,
    PartsRaised,
    RateFound,
    Resumed,
    StateSaving,
    StepEnded,
    StepFailed,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.measuring.evaluate import show_mistakes
from sightline.pipeline.frozen_features import expect_more_data, say_more_data
from sightline.pipeline.workbench import Session, Workbench
from sightline.planning.decisions import Decision
from sightline.planning.plan import Plan
from sightline.runs.writer import RunWriter
from sightline.text import count_of, listed, share

__all__ = ["Keeper"]

_EPOCH = [name for name in EpochEnded.__dataclass_fields__ if name not in ("epochs", "is_best", "is_about", "left")]
_NAMED, _KEPT = 5, 500  # images of a failed step that an error names, and the run keeps


@dataclass(slots=True)
class Keeper:
    """Writes down what happens, in time: before a state is saved, all that led to it is on the disk."""

    plan: Plan
    workbench: Workbench
    session: Session
    steps: list[StepEnded] = field(default_factory=list)
    setbacks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def writer(self) -> RunWriter:
        """What writes the run."""
        return self.session.writer

    def relay(self, events: Generator[Event, None, object]) -> Iterator[Event]:
        """Yield the events, each after it was kept; a request to stop is passed on to their source."""
        for event in events:
            if self.session.processes:
                self.session.processes.check()
            self._keep(event)
            try:
                yield event
                if self.session.is_trial:
                    continue
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
        words = f"validation accuracy {share(accuracies[0])} with {first}"
        if len(accuracies) == 1:
            return words
        epochs, found = count_of(len(accuracies) - 1, "epoch"), self.writer.run.facts.get("blend", {})
        if 0 < found.get("share", 0) < 1:
            where = f"{share(found['share'], 0)} of the way to epoch {found['epoch']}"
            return f"{words}; {epochs}, {share(found['val_accuracy'])} {where}"
        select_by = self.plan.settings.select_by
        if not best:
            return f"{words}; {epochs}, none of them better by its {select_by}"
        why = f", chosen by its {select_by}" if accuracies[best] < accuracies[0] else ""
        return f"{words}; {epochs}, {share(accuracies[best])} in epoch {best}{why}"

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
            case Blended(between, epoch, loss, accuracy):
                found = {"share": between, "epoch": epoch, "val_loss": loss, "val_accuracy": accuracy}
                self.writer.update(blend=found)
            case RateFound():
                self.writer.write_plan(_with_rate(self.plan, event).to_toml())
                self.writer.write_rates(event.rates, event.losses)
            case Resumed(epoch, step):
                self.steps.clear()
                self.writer.forget_after(epoch, step)
                if self.session.differs and "not_exact_since" not in self.writer.run.facts:
                    self.writer.update(not_exact_since=step, not_exact_because=self.session.differs)
            case TrainingStopped(reason, best_epoch):
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


def _with_rate(plan: Plan, found: RateFound) -> Plan:
    """Return the plan with the rate that was found; trained again from its file, it is not looked for again."""
    plan = plan.replace(Decision("learning_rate", found.rate, "finder", found.reason))
    return plan.replace(Decision("find_rate", False, "finder", "it was found, and is in learning_rate"))
