"""The winner and the plain recipe trained with several seeds each: what they reach on the images that all measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval
from sightline.evaluation.over_seeds import SeedsGain, compare_over_seeds
from sightline.evaluation.repeats import average_metrics
from sightline.runs.folder import Run
from sightline.runs.measured import read_measured
from sightline.text import signed

__all__ = ["describe_seeds"]


def describe_seeds(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return what trainings with several seeds reach, as JSON-able values with a sentence.

    Args:
        runs: ``plain``, and ``best`` where it is another trial, -> a run of each seed, measured on the same images.
    """
    metrics = {role: average_metrics([run.metrics for run in made]) for role, made in runs.items()}
    accuracies = {role: Interval(**found["accuracy"]) for role, found in metrics.items()}
    words = {"plain": "the plain recipe", "best": "the best trial"}
    reached = ", ".join(f"{words[role]} {accuracies[role]}" for role in words if role in runs)
    sentence = f"Mean over {len(runs['plain'])} seeds: {reached}."
    found: dict[str, Any] = {
        role: {
            "accuracy": accuracies[role].to_dict(),
            "values": one["spread"]["accuracy"]["values"],
            "runs": [str(run.folder) for run in runs[role]],
        }
        for role, one in metrics.items()
    }
    if "best" in runs:
        gain = _gain(runs["plain"], runs["best"])
        sentence += f" {_words(gain)}"
        found["gain"] = {**asdict(gain), "is_clear": gain.is_clear}
    if all(len({run.metrics["accuracy"]["value"] for run in made}) == 1 for made in runs.values()):
        sentence += " The seed changed no result."
    return {"count": len(runs["plain"]), "sentence": sentence, **found}


def _gain(plain: Sequence[Run], best: Sequence[Run]) -> SeedsGain:
    """Return the mean gain on the images that all runs could read and none was trained on."""
    every = [read_measured(run) for run in (*plain, *best)]
    used = np.logical_and.reduce([one.used for one in every])
    hits = np.stack([one.correct[used] for one in every])
    units: npt.NDArray[np.int64] | None = None if every[0].units is None else every[0].units[used]
    return compare_over_seeds(hits[: len(plain)], hits[len(plain) :], units)


def _words(gain: SeedsGain) -> str:
    mean, low, high = (signed(100 * value) for value in (gain.mean, gain.low, gain.high))
    verdict = "more than chance" if gain.is_clear else "this can be chance"
    return f"The best trial has {mean} points ({low} to {high}, over seeds and images): {verdict}."
