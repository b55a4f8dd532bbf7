"""What frozen features tell: what more images would give, and what fine-tuning was worth beside a head alone."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split, find_units, selection_rows
from sightline.data.units import number_units
from sightline.errors import RunError
from sightline.evaluation.frozen_head import compare_frozen_head
from sightline.evaluation.learning_curve import LearningCurve, measure_learning_curve
from sightline.evaluation.result import Evaluation
from sightline.events import Event, FeaturesSeen, Noted, StageEnded, StageStarted
from sightline.pipeline.torch_trained import TorchTrained
from sightline.pipeline.workbench import Workbench
from sightline.planning.ending import COMPARED_FROM, COMPARING_SHARE
from sightline.planning.plan import Plan
from sightline.runs.folder import Run

__all__ = ["compare_with_head", "expect_more_data", "say_more_data"]


def expect_more_data(seen: FeaturesSeen, samples: Samples, split: Split, seed: int) -> LearningCurve | None:
    """Return the learning curve of frozen features, or None where there are too few images to tell."""
    train, val = split.rows("train"), selection_rows(split, samples.labels)
    rows = np.concatenate([train[seen.positions], val])
    features = np.concatenate([seen.train, seen.val])
    fine = np.isfinite(features).all(axis=1)
    order = np.argsort(rows[fine], kind="stable")  # that in which the features were computed must not matter
    rows, features = rows[fine][order], features[fine][order]
    units = _units(samples, rows)
    return measure_learning_curve(features, samples.labels[rows], units, samples.classes, len(train), seed=seed)


def say_more_data(curve: LearningCurve | None) -> str:
    """Return in a sentence what twice the images would be expected to give."""
    if curve is None:
        return "There are too few images for a learning curve: what more of them would give can't be estimated."
    gain, low, high = (100 * number for number in curve.gain)
    if not curve.gain.is_clear:
        return "More images: twice as many would give no clear gain with frozen features, as far as these can tell."
    return (
        f"More images: with twice as many a head on frozen features would be expected to gain {gain:.1f} points of "
        f"accuracy ({low:.1f} to {high:.1f})."
    )


def compare_with_head(
    run: Run, plan: Plan, workbench: Workbench, rows: npt.NDArray[np.intp], evaluation: Evaluation
) -> Generator[Event, None, Evaluation]:
    """Return the evaluation with what the head alone reaches on the same images, before the rest was fine-tuned.

    It needs the checkpoint of that head, which a finished run has dropped: then the metrics of before stay.

    Args:
        run, plan, workbench: of the training.
        rows: positions in the samples of the evaluation's images.
        evaluation: of these.
    """
    if not (run.head_checkpoint / "manifest.json").is_file():
        before = None
        with contextlib.suppress(RunError):  # damaged metrics are made anew
            before = run.metrics.get("frozen_head") if run.metrics_file.is_file() else None
        return evaluation.with_values(frozen_head=before) if before else evaluation
    if not run.facts.get("best_epoch"):
        return evaluation  # the head alone is what ships
    settings, samples, store = plan.settings, workbench.samples, workbench.store
    if 0 < settings.time < COMPARED_FROM:
        yield Noted(f"The head alone is not measured beside it: that is done from --time {COMPARED_FROM:.0f}s on.")
        return evaluation
    yield StageStarted("Comparing", "with the head on frozen features, on the measured images")
    start = time.monotonic()
    head = TorchTrained.load(plan, len(samples.classes), run.head_checkpoint, run.weights_file)[0]
    places = np.flatnonzero(evaluation.used & ~np.isin(rows, list(store.errors)))
    if settings.time:
        places = np.random.default_rng(settings.seed).permutation(places)
    some = rows[places]
    until = start + COMPARING_SHARE * settings.time if settings.time else math.inf
    # In fp32, as the exported classifier answers, whatever the training computed in.
    features = yield from head.extract(workbench, some, len(some), 0, until)
    places = places[: len(features)]
    labels, predicted = evaluation.labels[places], evaluation.predictions.probabilities[places].argmax(1)
    found = compare_frozen_head(
        head.logits(features).argmax(1) == labels, predicted == labels, number_units(samples, rows[places])
    )
    yield StageEnded("Comparing", f"the head alone reaches {found.accuracy}", time.monotonic() - start)
    return evaluation.with_values(frozen_head=found.to_dict())


def _units(samples: Samples, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Return ``[N]``: the number of what each image must not be parted from: its group, its copies."""
    number = np.zeros(len(samples), np.int64)
    for place, unit in enumerate(find_units(samples, rows)):
        number[unit] = place
    units: npt.NDArray[np.int64] = number[rows]
    return units
