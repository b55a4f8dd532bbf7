"""The section on the training: its curves and stages, what fine-tuning was worth, and what more time might give."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.evaluation.frozen_head import FrozenHead
from sightline.events import TIME_LIMIT_REACHED
from sightline.planning.inputs import SMALL_SIDE
from sightline.reporting.canvas import both_themes
from sightline.reporting.figures import best_row, draw_curves, draw_rates, draw_steps
from sightline.runs.recorded import Recorded
from sightline.text import count_of, duration

__all__ = ["head_alone", "more_time", "training"]

_EPOCHS_TO_TELL = 4
_CHANCE = 0.05
_TIME_LIMIT = (TIME_LIMIT_REACHED, "the time is used")  # the latter in runs of before 0.2


def training(run: Recorded) -> dict[str, Any]:
    """The curves, and what was trained on what."""
    history, facts = run.history, run.facts
    drawn = {"curves": draw_curves, "steps": draw_steps, "rates": draw_rates}
    figures = {name: both_themes(run, draw) for name, draw in drawn.items()}
    best, settings, clipped = best_row(run), run.plan.settings, run.steps.get("is_clipped", [])
    return {
        **figures,
        "clipped": float(np.mean(clipped)) if clipped and (settings.clip_norm or settings.clip_value) else None,
        "count_steps": len(clipped),
        "is_head_alone": run.is_head_alone,
        "adds": _torch_adds(run) if settings.engine == "onnxruntime" else "",
        "select_by": f"{'lowest' if settings.select_by == 'loss' else 'highest'} validation {settings.select_by}",
        "rate": next(d for d in run.plan.decisions if d.name == "learning_rate"),
        "epochs": int(max(history.get("epoch", [0]))),
        "best": {name: column[best] for name, column in history.items()},
        "seconds": duration(sum(history.get("seconds", []))),
        "speed": max(history.get("images_per_second", [0])),
        "facts": facts,
        "stages": facts.get("stages", []),
        "limit": duration(settings.time) if settings.time else "",
        "head": head_alone(FrozenHead.of(run.metrics)),
        "more": more_time(history, best, facts.get("stopped", "")) if settings.time else "",
    }


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


def head_alone(found: FrozenHead | None) -> str:
    """Return in words what the head alone reached on the measured images, and what fine-tuning did to that."""
    if found is None:
        return ""
    chance = "under 0.001" if found.p < 0.001 else f"{found.p:.3f}"
    verdict = "more than chance" if found.p < _CHANCE else "which may be chance"
    did = f"fine-tuning corrected {count_of(found.corrected, 'prediction')} and made {found.newly_wrong:,} wrong"
    return f"The head on frozen features alone: {found.accuracy}; {did} (p {chance}: {verdict})."


def more_time(history: dict[str, list[float]], best: int, reason: str) -> str:
    """Return in words what a longer training could be expected to give, from how this one went.

    The factor by which the error fell in the second half of the time is taken as what doubling gives; a schedule that
    ends with the training makes that optimistic, which the words say.
    """
    if reason and reason not in _TIME_LIMIT:
        return f"Nothing: training ended before the time limit ({reason})."
    errors = [1 - accuracy for accuracy in history.get("val_accuracy", [])]
    seconds = np.cumsum(history.get("seconds", []))
    if len(errors) < _EPOCHS_TO_TELL:
        return "Too few epochs to tell: more time would allow more of them."
    half = int(np.searchsorted(seconds, seconds[-1] / 2))
    before, after = min(errors[: half + 1]), min(errors)
    if not after or after >= before:
        return "Little: the validation error did not fall in the second half of the training."
    hoped = after * after / before
    fell = f"In the second half of the training the best validation error fell from {before:.1%} to {after:.1%}."
    hope = f"If that continues, twice the time gives about {hoped:.1%}: optimistic, since part of it is the schedule."
    return f"{fell} {hope}"
