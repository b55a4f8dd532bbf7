"""Each event as a line of text, or none: what a log, a pipe and ``log.txt`` get."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.events import (
    HEAD_FITTED,
    Blended,
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
    TrialEnded,
    ValidationMeasured,
    Warned,
)
from sightline.text import between, count_of, duration, printable, share

__all__ = ["decision_lines", "expected_line", "line_of", "plan_lines", "progress_line"]

Rows = tuple[tuple[str, str, str, str], ...]  # setting, value, origin, reason

_USUAL = ("default", "network", "unused")  # origins that tell nothing about this person, these data, this machine
_SHOWN = 12
_BUSY = 0.15  # share of the time of measuring that was spent on waiting, from which on it is told
_SURE = 1.5  # from which ratio on the longest and the shortest expected time are told
# The settings that change most, in the order in which a person wants to know them.
_FIRST = (
    "model",
    "weights",
    "time",
    "epochs",
    "width",
    "batch_size",
    "learning_rate",
    "size",
    "fit",
    "imbalance",
    "flip",
    "device",
    "precision",
    "threads",
    "accumulate",
)


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
        case Planned(rows):
            return "\n".join([*decision_lines(rows), *([] if event.seconds is None else [expected_line(event)])])
        case RateFound(_, _, rate, reason):
            return f"Learning rate {rate:g}, by the finder: {reason}"
        case Resumed(0, _):
            return "Training starts from the beginning"
        case Resumed(epoch, step):
            return f"Training continues in epoch {epoch}, after {step:,} steps"
        case EpochEnded():
            return _epoch_line(event)
        case Blended():
            return _blend_line(event)
        case TrainingStopped(reason, best_epoch, _, way):
            where = f"of epoch {best_epoch}" if way == 1 else f"{share(way, 0)} of the way to epoch {best_epoch}"
            kept = f"the network {where} is kept" if best_epoch else "the fitted head is kept"
            return f"Training stopped: {reason}; {kept}" if reason != HEAD_FITTED else None
        case TrialEnded(number, _, result, settings, seconds, is_best):
            best = "  best" if is_best else ""
            return f"trial {number:<3}  {result}  {duration(seconds)}{best}  {settings}"
        case RunEnded(folder, headline):
            return f"{headline}\nRun {folder}"
        case Progressed() | StepEnded() | StepFailed() | StateSaving() | CheckpointSaved() | PartsRaised():
            return None
        case FeaturesSeen() | InputsSeen() | ValidationMeasured() | MistakesSeen():
            return None


def _blend_line(event: Blended) -> str:
    if not event.share:
        why = "no epoch is better than it by more than chance"
        return f"Blending: the fitted head is kept, as {why}; val accuracy {share(event.val_accuracy)}"
    where = f"the network {share(event.share, 0)} of the way from the fitted head to epoch {event.epoch}"
    where = where if event.share < 1 else f"epoch {event.epoch} itself"
    return f"Blending: {where} is kept; val accuracy {share(event.val_accuracy)}"


def _epoch_line(event: EpochEnded) -> str:
    of = f" of about {event.epochs}" if event.is_about else f"/{event.epochs}"
    name = f"epoch {event.epoch}{of}" if event.epoch else "start" if event.epochs else "head"
    best = "  best" if event.is_best and event.epochs else ""
    left = f"  {between(*event.left)} left" if event.left[1] else ""
    speed = f"{event.images_per_second:,.0f} images/s  " if event.images_per_second else ""
    return (
        f"{name}  loss {event.train_loss:.4f}  val loss {event.val_loss:.4f}  "
        f"val accuracy {share(event.val_accuracy, 2)}  {speed}{duration(event.seconds)}{best}{left}"
    )


def progress_line(event: Progressed) -> str:
    """Return how far a stage is, and how long the rest of the training takes where that is known.

    Example:
        >>> progress_line(Progressed(300, 4000, "images", (480.0, 720.0)))
        '300 of 4,000 images, 8 to 12 min left'
    """
    left = f", {between(*event.left)} left" if event.left[1] else ""
    return f"{event.done:,} of {event.total:,} {event.unit}{left}"


def plan_lines(rows: Rows) -> list[str]:
    """Return the whole plan as aligned lines: setting, value, origin, reason; what it does not use is named in one."""
    used = [row for row in rows if row[2] != "unused"]
    unused = [row[0] for row in rows if row[2] == "unused"]
    rest = [f"  not used by this training: {', '.join(unused)}"] if unused else []
    return ["Plan (setting, value, origin, reason)", *_aligned(used), *rest]


def decision_lines(rows: Rows) -> list[str]:
    """Return the decisions of a plan that a person should know, the most important first, and how many more there are.

    These are what came from the person, the data, this machine or the time limit. Options are always shown; of the
    others as many as make ``_SHOWN`` lines. What is usual, or follows from the network alone, is left out.

    Example:
        >>> rows = (("warmup", "0", "default", "usual"), ("epochs", "5", "option", "chosen by you"))
        >>> print("\\n".join(decision_lines(rows)))
        Plan: what your options, the data and this machine decided
          epochs  5  option  chosen by you
          1 more setting: sightline train DATA --plan lists all, and plan.toml in the run has them with their reasons
    """
    decided = [row for row in rows if row[2] not in _USUAL]
    decided.sort(key=lambda row: (row[2] != "option", _FIRST.index(row[0]) if row[0] in _FIRST else len(_FIRST)))
    shown = decided[: max(_SHOWN, sum(row[2] == "option" for row in decided))]
    more = count_of(len(rows) - len(shown), "more setting")
    where = "sightline train DATA --plan lists all, and plan.toml in the run has them with their reasons"
    return ["Plan: what your options, the data and this machine decided", *_aligned(shown), f"  {more}: {where}"]


def expected_line(event: Planned) -> str:
    """Return how long the training is expected to take, in words, and how sure that is."""
    about = f"The training will take about {duration(event.seconds or 0.0)} on this machine"
    whole = duration((event.seconds or 0.0) + event.around)
    in_all = f" With reading, evaluation and report: about {whole} in all." if event.around else ""
    if event.most <= _SURE * event.least or not event.least:
        return f"{about}.{in_all}"
    why = "it was not equally fast while this was measured"
    if event.waited >= _BUSY:
        why = f"while this was measured, {share(event.waited, 0)} of the time was spent on waiting for other programs"
    return f"{about} ({between(event.least, event.most)}: {why}; it is estimated again while it runs).{in_all}"


def _aligned(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    width = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    width[1] = min(width[1], 40)
    return [f"  {n:<{width[0]}}  {v:<{width[1]}}  {o:<{width[2]}}  {why}" for n, v, o, why in rows]
