"""Each event as a line of text, or none: what a log, a pipe and ``log.txt`` get."""

from __future__ import annotations

from sightline.events import (
    CheckpointSaved,
    EpochEnded,
    Event,
    FeaturesSeen,
    InputsSeen,
    MistakesSeen,
    Noted,
    PartsRaised,
    Planned,
    Progressed,
    RateFound,
    Resumed,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    StateSaving,
    StepEnded,
    StepFailed,
    TrainingStopped,
    ValidationMeasured,
    Warned,
)
from sightline.text import duration, printable

__all__ = ["line_of", "plan_lines"]


def line_of(event: Event) -> str | None:
    """Return the line of an event, or None for those that a log does not show.

    Example:
        >>> from sightline.events import Noted
        >>> line_of(Noted("Split: 70 train, 30 val."))
        'Split: 70 train, 30 val.'
    """
    text = _text_of(event)
    return None if text is None else "\n".join(printable(line) for line in text.split("\n"))


def _text_of(event: Event) -> str | None:
    match event:
        case RunStarted(folder):
            return f"Run {folder}"
        case StageStarted(name, detail):
            return f"{name}{': ' if detail else ''}{detail} ..."
        case StageEnded(name, detail, seconds):
            return f"{name} done in {duration(seconds)}{': ' if detail else ''}{detail}"
        case Noted(message):
            return message
        case Warned(code, message, cure):
            return f"warning[{code}]: {message}\n  cure: {cure}"
        case Planned(rows, seconds):
            return "\n".join(plan_lines(rows, seconds))
        case RateFound(_, _, rate, reason):
            return f"Learning rate {rate:g}, by the finder: {reason}"
        case Resumed(0, _):
            return "Training starts anew: nothing was saved yet"
        case Resumed(epoch, step):
            return f"Training goes on in epoch {epoch}, after {step:,} steps"
        case EpochEnded():
            return _epoch_line(event)
        case TrainingStopped(reason, best_epoch, _):
            return f"Training stopped: {reason}; the network of epoch {best_epoch} is kept"
        case RunEnded(folder, headline):
            return f"{headline}\nRun {folder}"
        case Progressed() | StepEnded() | StepFailed() | StateSaving() | CheckpointSaved() | PartsRaised():
            return None
        case FeaturesSeen() | InputsSeen() | ValidationMeasured() | MistakesSeen():
            return None


def _epoch_line(event: EpochEnded) -> str:
    name = "start" if event.epoch == 0 else f"epoch {event.epoch}/{event.epochs}"
    return (
        f"{name}  loss {event.train_loss:.4f}  val loss {event.val_loss:.4f}  val accuracy {event.val_accuracy:.2%}  "
        f"{event.images_per_second:,.0f} images/s  {duration(event.seconds)}{'  best' if event.is_best else ''}"
    )


def plan_lines(rows: tuple[tuple[str, str, str, str], ...], seconds: float | None) -> list[str]:
    """Return the plan as aligned lines: setting, value, origin, reason."""
    width = [max(len(row[column]) for row in rows) for column in range(3)]
    width[1] = min(width[1], 40)
    lines = [f"  {n:<{width[0]}}  {v:<{width[1]}}  {o:<{width[2]}}  {why}" for n, v, o, why in rows]
    expected = [] if seconds is None else [f"The epochs will take about {duration(seconds)} on this machine."]
    return ["Plan (setting, value, origin, reason)", *lines, *expected]
