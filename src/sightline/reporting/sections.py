"""The sections of the report: each collects what its template shows.

A section is one function of the run, one template ``templates/ID.html.jinja`` and one row of ``SECTIONS``.
"""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import UnreadableImage
from sightline.evaluation.intervals import Interval
from sightline.events import TIME_LIMIT_REACHED
from sightline.pixels.containers import place_of
from sightline.reporting.behind import embedding_map
from sightline.reporting.canvas import both_themes
from sightline.reporting.confidence import confidence, unknown
from sightline.reporting.corruptions import robustness
from sightline.reporting.explanations import explanations
from sightline.reporting.figures import best_row, draw_curves, draw_rates, draw_steps
from sightline.reporting.more_data import more_data
from sightline.reporting.performance import classes, confusion, figures, mistakes, slices
from sightline.reporting.preview import describe_mix
from sightline.reporting.thumbnails import image_uri
from sightline.reporting.verdicts import measured, repeated, verdict
from sightline.runs.folder import Run
from sightline.text import count_of, duration

__all__ = ["OF_EVALUATION", "OF_FOLDS", "OF_SEEDS", "SECTIONS", "Section"]

_SEEN = 6
_EPOCHS_TO_TELL = 4
_CHANCE = 0.05
_SMALL = 128  # px: fewer are shown as the squares that they are


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its anchor, its title, and what collects its values; None where a run has nothing to show."""

    id: str
    title: str
    collect: Callable[[Run], dict[str, Any] | None]


def data(run: Run) -> dict[str, Any]:
    """Images per class and part, sizes, and what was found wrong."""
    samples = run.samples
    counts = Counter((row["label"], row["split"]) for row in samples)
    sides = np.array([min(int(row["width"]), int(row["height"])) for row in samples if row["width"] != "0"])
    return {
        "total": len(samples),
        "classes": [
            {"class": name, **{part: counts[name, part] for part in ("train", "val", "test")}}
            for name in run.facts["classes"]
        ],
        "unused": sum(count for (_, part), count in counts.items() if not part),
        "short_side": np.quantile(sides, (0, 0.5, 1)).astype(int).tolist() if len(sides) else None,
        "rule": run.facts["split_rule"],
        "notes": run.facts["split_notes"],
        "findings": run.findings,
        "fingerprint": run.facts["data_fingerprint"],
    }


_HOW = {
    "crop": "its centre is cut out",
    "pad": "all of it, with a background beside it",
    "squash": "all of it, with its sides stretched to one length",
}


def seen(run: Run) -> dict[str, Any]:
    """What the network sees of some images, and what a crop leaves out."""
    plan, root = run.plan, Path(run.facts["data_root"])
    preprocess = plan.preprocess
    sizes = {(int(row["width"]), int(row["height"])) for row in run.samples if row["width"] != "0"}
    shares = {size: preprocess.kept_area(*size) for size in sizes}
    kept = [shares[int(row["width"]), int(row["height"])] for row in run.samples if row["width"] != "0"]
    rows = [row for row in run.samples if row["split"] == run.facts["headline_part"] and not row["error"]]
    cards = []
    for row in rows[:: max(1, len(rows) // _SEEN)][:_SEEN]:
        with contextlib.suppress(UnreadableImage):
            pixels = preprocess.decode(place_of(root, row["path"]))
            square = preprocess.apply(pixels)
            is_small = max(pixels.shape) < _SMALL
            cards.append(
                {
                    "path": row["path"],
                    "whole": image_uri(pixels),
                    "square": image_uri(square),
                    "is_small": is_small,
                }
            )
    reason = next(decision.reason for decision in plan.decisions if decision.name == "fit")
    return {
        "size": preprocess.size,
        "how": _HOW[preprocess.fit],
        "reason": reason[:1].upper() + reason[1:],
        "kept": float(np.mean(kept)) if kept else 1.0,
        "worst": float(np.min(kept)) if kept else 1.0,
        "cards": cards,
        "learning": _learning(run),
    }


def _learning(run: Run) -> list[dict[str, Any]]:
    """Return a row for each training image whose random changes the run kept."""
    views = run.views
    if views is None:
        return []
    names = run.facts["classes"]
    return [
        {
            "label": names[label],
            "plain": image_uri(views["plain"][number]),
            "changed": [
                {"uri": image_uri(image), "words": describe_mix(names, shares, int(label))}
                for image, shares in zip(views["changed"][number], views["shares"][number], strict=True)
            ],
        }
        for number, label in enumerate(views["labels"])
    ]


def training(run: Run) -> dict[str, Any]:
    """The curves, and what was trained on what."""
    history, facts = run.history, run.facts
    drawn = {"curves": draw_curves, "steps": draw_steps, "rates": draw_rates}
    figures = {name: both_themes(run, draw) for name, draw in drawn.items()}
    best, settings, clipped = best_row(run), run.plan.settings, run.steps.get("is_clipped", [])
    return {
        **figures,
        "clipped": float(np.mean(clipped)) if clipped and (settings.clip_norm or settings.clip_value) else None,
        "count_steps": len(clipped),
        "select_by": f"{'lowest' if settings.select_by == 'loss' else 'highest'} validation {settings.select_by}",
        "rate": next(d for d in run.plan.decisions if d.name == "learning_rate"),
        "epochs": int(max(history.get("epoch", [0]))),
        "best": {name: column[best] for name, column in history.items()},
        "seconds": duration(sum(history.get("seconds", []))),
        "speed": max(history.get("images_per_second", [0])),
        "facts": facts,
        "stages": facts.get("stages", []),
        "limit": duration(settings.time) if settings.time else "",
        "head": head_alone(run.metrics.get("frozen_head")),
        "more": more_time(history, best, facts.get("stopped", "")) if settings.time else "",
    }


def head_alone(found: dict[str, Any] | None) -> str:
    """Return in words what the head alone reached on the measured images, and what fine-tuning did to that."""
    if found is None:
        return ""
    chance = "under 0.001" if found["p"] < 0.001 else f"{found['p']:.3f}"
    verdict = "more than chance" if found["p"] < _CHANCE else "which may be chance"
    did = f"fine-tuning then mended {count_of(found['fixed'], 'answer')} and broke {found['broken']:,}"
    return f"The head on frozen features alone: {Interval(**found['accuracy'])}; {did} (p {chance}: {verdict})."


def more_time(history: dict[str, list[float]], best: int, reason: str) -> str:
    """Return in words what a longer training could be expected to give, from how this one went.

    The factor by which the error fell from half of the time to its end is taken for what doubling gives; a schedule
    that ends with the training makes that too hopeful, which is said.
    """
    if reason not in ("", TIME_LIMIT_REACHED, "the time is used"):  # the last in older runs
        return f"Nothing: the training ended before its time ({reason})."
    errors = [1 - accuracy for accuracy in history.get("val_accuracy", [])]
    seconds = np.cumsum(history.get("seconds", []))
    if len(errors) < _EPOCHS_TO_TELL:
        return "Too few epochs to tell: more time would make more of them."
    half = int(np.searchsorted(seconds, seconds[-1] / 2))
    before, after = min(errors[: half + 1]), min(errors)
    if not after or after >= before:
        return "Little: the validation error did not fall in the second half of the training."
    hoped = after * after / before
    fell = f"In the second half of the training the best validation error fell from {before:.1%} to {after:.1%}."
    hope = f"If that goes on, twice the time gives about {hoped:.1%}: hopeful, since part of it is the schedule."
    return f"{fell} {hope}"


def plan(run: Run) -> dict[str, Any]:
    """Every setting with its origin and reason, as the run wrote it."""
    tables = tomllib.loads(run.plan_file.read_text(encoding="utf-8"))
    rows = [{"name": name, **fields} for name, fields in tables.items()]
    return {"rows": rows}


def use(run: Run) -> dict[str, Any]:
    """What lies where, and what to type."""
    bundle = run.classifier().bundle
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(run.classifier_folder.iterdir())}
    # JSON's text in quotes is Python's too, and rarely has the quote that the shell's quoting makes long.
    named = json.dumps(str(run.folder), ensure_ascii=False)
    python = f'import sightline; print(sightline.load({named}).predict("photo.jpg")[0])'
    return {"facts": run.facts, "bundle": bundle, "sizes": sizes, "folder": str(run.folder), "python": python}


# A new section is one function, one template and one row; they stand in the order of a reader's questions.
SECTIONS = (
    Section("verdict", "Verdict", verdict),
    Section("mistakes", "Most confident mistakes", mistakes),
    Section("confusion", "What is taken for what", confusion),
    Section("classes", "Each class", classes),
    Section("slices", "Where it is worse", slices),
    Section("explanations", "What moved the score", explanations),
    Section("robustness", "What harm to the images costs", robustness),
    Section("confidence", "Confidence", confidence),
    Section("unknown", "Unlike the training", unknown),
    Section("map", "Map of the images", embedding_map),
    Section("figures", "All figures", figures),
    Section("more_data", "More images", more_data),
    Section("training", "Training", training),
    Section("seen", "What the network sees", seen),
    Section("data", "Data", data),
    Section("plan", "Every choice and its reason", plan),
    Section("use", "Using the classifier", use),
)

# Of further images that a finished classifier was measured on.
OF_EVALUATION = (
    Section("measured", "Verdict", measured),
    Section("mistakes", "Most confident mistakes", mistakes),
    Section("confusion", "What is taken for what", confusion),
    Section("classes", "Each class", classes),
    Section("slices", "Where it is worse", slices),
    Section("confidence", "Confidence", confidence),
    Section("unknown", "Unlike the training", unknown),
    Section("figures", "All figures", figures),
)

# Of a run that holds several trainings: pooled predictions are there for folds alone.
OF_FOLDS = (
    Section("repeated", "Verdict", repeated),
    Section("mistakes", "Most confident mistakes", mistakes),
    Section("confusion", "What is taken for what", confusion),
    Section("classes", "Each class", classes),
    Section("figures", "All figures", figures),
    Section("plan", "Every choice and its reason", plan),
)
OF_SEEDS = (OF_FOLDS[0], OF_FOLDS[-1])
