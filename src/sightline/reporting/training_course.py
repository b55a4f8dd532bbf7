"""The section on the training: its curves and stages, what fine-tuning was worth, and what more time might give."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.evaluation.frozen_head import FrozenHead
from sightline.events import ALL_EPOCHS_DONE, TIME_LIMIT_REACHED
from sightline.planning.inputs import SMALL_SIDE
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.reporting.canvas import both_themes
from sightline.reporting.figures import best_row, draw_curves, draw_rates, draw_steps
from sightline.runs.recorded import Recorded
from sightline.text import count_of, duration, part_of, share

__all__ = ["head_on_validation", "more_time", "started_over", "training"]

_EPOCHS_TO_TELL = 4
_FALLING = ("cosine", "linear", "one-cycle")  # schedules that lower the rate to the end of the training
_WHOSE = {
    "option": "that you asked for",
    "recipe": "that the recipe asks for",
    "time": "that are planned at most, whatever the time limit",
}
_TIME_LIMIT = (TIME_LIMIT_REACHED, "the time is used")  # the latter in runs of before 0.2


def training(run: Recorded) -> dict[str, Any]:
    """The curves, and what was trained on what."""
    history, facts = run.history, run.facts
    drawn = {"curves": draw_curves, "steps": draw_steps, "rates": draw_rates}
    figures = {name: both_themes(run, draw) for name, draw in drawn.items()}
    best, settings, clipped = best_row(run), run.plan.settings, run.steps.get("is_clipped", [])
    head = FrozenHead.of(run.metrics)
    can_clip = bool(clipped and (settings.clip_norm or settings.clip_value))
    return {
        **figures,
        "clipped": part_of(round(sum(clipped)), len(clipped), "step") if can_clip else "",
        "is_head_alone": run.is_head_alone,
        "adds": _torch_adds(run) if settings.engine == "onnxruntime" else "",
        "select_by": f"{'lowest' if settings.select_by == 'loss' else 'highest'} validation {settings.select_by}",
        "rate": next(d for d in run.plan.decisions if d.name == "learning_rate"),
        "epochs": int(max(history.get("epoch", [0]))),
        "blend": _describe_blend(facts),
        "best": {name: column[best] for name, column in history.items()},
        "seconds": duration(sum(history.get("seconds", []))),
        "speed": _highest_speed(history),
        "facts": facts,
        "stages": facts.get("stages", []),
        "started_over": [started_over(entry) for entry in facts.get("started_over", [])],
        "limit": duration(settings.time) if settings.time else "",
        "head": "" if head is None else head.words(),
        "head_on_validation": "" if facts.get("blend") else head_on_validation(history, best, settings.select_by),
        "more": more_time(history, run.plan, facts.get("stopped", ""), float(facts.get("seconds") or 0)),
    }


def started_over(entry: dict[str, Any]) -> str:
    """Return in words that a training was begun at another width, and why it was given up.

    Example:
        >>> started_over({"width": 32, "to": 96, "seconds": 12.0, "because": "it is fast"})
        'The training started over at width 96 after 12 s at width 32, which are not shown: it is fast.'
    """
    lost = f"after {duration(float(entry['seconds']))} at width {entry['width']}, which are not shown"
    return f"The training started over at width {entry['to']} {lost}: {entry['because']}."


def _describe_blend(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what lies between the fitted head and the last epoch and ships: in words, and its accuracy; or nothing."""
    found = facts.get("blend")
    if not found:
        return {}
    words = f"the weights {share(found['share'], 0)} of the way from the fitted head to those of epoch {found['epoch']}"
    if found["share"] in (0, 1):
        words = f"the network of epoch {found['epoch']}" if found["share"] else "the fitted head, with no other change"
    return {"words": words, "accuracy": found["val_accuracy"]}


def _highest_speed(history: dict[str, list[float]]) -> float:
    """Return images per second of the fastest epoch; of the head alone where there was none after it."""
    speeds = list(zip(history.get("epoch", []), history.get("images_per_second", []), strict=True))
    return max((speed for epoch, speed in speeds if epoch), default=max((speed for _, speed in speeds), default=0.0))


def _torch_adds(run: Recorded) -> str:
    """Return in words what torch would add to a training without it."""
    images = run.samples
    sides = np.minimum(images.widths, images.heights)[images.widths > 0]
    if len(sides) and np.median(sides) <= SMALL_SIDE:
        return (
            f"For images of {np.median(sides):.0f} px it trains a better network from scratch; here they were "
            "enlarged to what a network for photos expects."
        )
    return (
        "It would fine-tune the network itself, which can correct mistakes that a head can't, and it brings other "
        "networks, augmentation and GPUs."
    )


def head_on_validation(history: dict[str, list[float]], best: int, select_by: str) -> str:
    """Return in words where the fitted head was more often right on validation than the network of the best epoch.

    Args:
        history: of the run; its first row is the state before the first epoch.
        best: row of the best epoch.
        select_by: ``loss`` or ``accuracy``, by which the best epoch was chosen.
    """
    accuracies = history.get("val_accuracy", [])
    if not best or accuracies[best] >= accuracies[0]:
        return ""
    return (
        f"On validation images the fitted head was right for {share(accuracies[0])}, the network of epoch "
        f"{history['epoch'][best]:.0f} for {share(accuracies[best])}: it was chosen by its {select_by}."
    )


def more_time(history: dict[str, list[float]], plan: Plan, reason: str, seconds: float) -> str:
    """Return in words why the training ended when it did, and what a longer one could be expected to give.

    Args:
        history: of the run.
        plan: that it followed.
        reason: why it ended, of ``TrainingStopped``; empty where it was interrupted.
        seconds: that the run took so far.
    """
    settings, done = plan.settings, int(max(history.get("epoch", [0])))
    left = settings.time - seconds
    unused = f" {duration(left)} of the {duration(settings.time)} were not used." if settings.time and left >= 1 else ""
    if not settings.epochs:
        return _more_than_a_head(plan) + unused
    most = f"at most {settings.epochs}" if settings.time else str(settings.epochs)
    if not reason:
        return f"The training was interrupted in epoch {done + 1} of {most}: --resume continues it."
    if reason in _TIME_LIMIT:
        return _hoped(history)
    if reason != ALL_EPOCHS_DONE:
        return f"It ended after epoch {done} of {most}: {reason}.{unused}{_after_stop(history, settings)}"
    origin = next(one.origin for one in plan.decisions if one.name == "epochs")
    who = _WHOSE.get(origin, "that are planned where nobody asks for another number")
    return f"All {count_of(settings.epochs, 'epoch')} were trained {who}.{unused}{_after_all(history, settings)}"


def _more_than_a_head(plan: Plan) -> str:
    """Return in words what more time would add where a head alone was trained."""
    timed = {one.name: one.value for one in plan.decisions if one.origin == "time"}
    if "engine" in timed and not any(one.name == "epochs" and one.origin in _WHOSE for one in plan.decisions):
        return "There was no time for torch to fine-tune the network: more time would allow it."
    if "epochs" in timed:
        return "There was no time for an epoch of fine-tuning: more time would allow some."
    if "size" in timed:
        return f"A head is fitted once. More time may allow a larger input than {timed['size']} px."
    return "A head is fitted once: there are no epochs that more time would add."


def _after_stop(history: dict[str, list[float]], settings: Settings) -> str:
    """Return what is not known of the epochs that were left out, and how to train them."""
    rates = [rate for rate in history.get("learning_rate", []) if rate]
    if settings.schedule not in _FALLING or not rates:
        return " --patience 0 trains all epochs."
    return (
        f" The learning rate was at {share(rates[-1] / settings.learning_rate, 0)} of its highest, and the schedule "
        f"({settings.schedule}) lowers it to the last epoch: what that would have given is not known. "
        "--patience 0 trains all epochs."
    )


def _after_all(history: dict[str, list[float]], settings: Settings) -> str:
    """Return whether more epochs are likely to help, by whether the last one was the best, and how to train them."""
    column = history["val_loss"] if settings.select_by == "loss" else [-value for value in history["val_accuracy"]]
    best = int(np.argmin(column))
    if best == len(column) - 1:
        return f" The last one was the best so far, so more may help: --epochs {2 * settings.epochs}."
    which = f"epoch {history['epoch'][best]:.0f}" if history["epoch"][best] else "the state before the first"
    return f" The best was {which}: more of them promise little."


def _hoped(history: dict[str, list[float]]) -> str:
    """Return what twice the time could be expected to give, from how the training went.

    The factor by which the error fell in the second half of the time is taken as what doubling gives; a schedule that
    ends with the training makes that optimistic, which the words say.
    """
    errors = [1 - accuracy for accuracy in history.get("val_accuracy", [])]
    seconds = np.cumsum(history.get("seconds", []))
    if len(errors) < _EPOCHS_TO_TELL:
        return "The time limit was reached, after too few epochs to tell: more time would allow more of them."
    half = int(np.searchsorted(seconds, seconds[-1] / 2))
    before, after = min(errors[: half + 1]), min(errors)
    if not after or after >= before:
        return "Little: the validation error did not fall in the second half of the training."
    hoped = after * after / before
    fell = f"In the second half of the training the best validation error fell from {share(before)} to {share(after)}."
    hope = (
        f"If that continues, twice the time gives about {share(hoped)}: optimistic, since part of it is the schedule."
    )
    return f"{fell} {hope}"
