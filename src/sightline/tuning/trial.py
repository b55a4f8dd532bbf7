"""One trial of a search: a plan, fitted on the training images and measured on the validation images.

It goes through ``decide_again`` and the ``fit`` step alone: no test image is in reach.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from sightline.data.folds import fold_validation
from sightline.data.split import Split, selection_rows
from sightline.errors import InputError, TrainingError, WeightsError
from sightline.events import Blended, EpochEnded, Event, Progressed, TrainingStopped, ValidationMeasured
from sightline.pipeline.decide import Decided, decide_again
from sightline.pipeline.engine import ENGINES
from sightline.pipeline.look import Looked
from sightline.pipeline.workbench import Session, Workbench, readable, set_up_workbench
from sightline.planning.plan import Plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Chosen
from sightline.reading.weights import fetch_weights
from sightline.runs.writer import RunWriter
from sightline.tuning.outcome import Outcome, pack_hits
from sightline.tuning.space import resolve

if TYPE_CHECKING:
    from sightline.networks.weights import StartWeights

__all__ = ["Bench", "measure_trial"]

Started = tuple["StartWeights | None", tuple[str, str]]
Watch = Callable[[int | None, float], tuple[str, str]]  # (epoch, accuracy) -> (state, reason) to stop with; "": go on


@dataclass(frozen=True, slots=True)
class Bench:
    """What the trials of a search share: the data, the plain plan, images decoded once, weights fetched once.

    Attributes:
        options: typed for the plain recipe.
        looked: at the data.
        decided: the plain recipe's plan, and what it was decided from.
        folds: into how many parts training and validation images are put, each of which validates once; 0: the
            validation images alone measure a trial.
        turns: folder of locks by which processes that share a cache fill it one after the other; None: there is one.
    """

    options: Recipe
    looked: Looked
    decided: Decided
    folds: int = 0
    turns: Path | None = None
    _parts: list[Bench] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _workbenches: dict[str, Workbench] = field(default_factory=dict)
    _weights: dict[str, Started] = field(default_factory=dict)

    @property
    def val(self) -> npt.NDArray[np.intp]:
        """``[V]``, positions in the samples of the images that measure a trial, fold after fold."""
        labels = self.looked.samples.labels
        return np.concatenate([selection_rows(part.looked.split, labels) for part in self.parts])

    @property
    def parts(self) -> list[Bench]:
        """A bench for each training of a trial: one a fold, with its split, or this one; all share what they compute.

        Raises:
            DataError: if a class has fewer units than there are folds.
        """
        if not self.folds:
            return [self]
        if not self._parts:
            looked = self.looked
            self.put_folds(fold_validation(looked.samples, looked.split, self.folds, seed=looked.split.seed))
        return self._parts

    def put_folds(self, splits: Sequence[Split]) -> None:
        """Take these splits as the folds."""
        self._parts[:] = [
            replace(self, looked=replace(self.looked, split=split), folds=0, _parts=[]) for split in splits
        ]

    def options_with(self, values: Chosen) -> Recipe:
        """Return the options with the values of a trial's dials."""
        return Recipe(**{**self.options.chosen, **resolve(values, self.decided.plan.settings)})

    def decide(self, values: Chosen) -> Generator[Event, None, Decided]:
        """Return the plan of a trial; of no values the plain one.

        Raises:
            InputError: for settings that can't be combined.
        """
        if not values:
            return self.decided
        return (yield from decide_again(self.options_with(values), self.looked, self.decided))

    def fetch(self, decided: Decided) -> Generator[Event, None, Started]:
        """Return the weights that a plan starts from, and their (source, licence) in words."""
        settings = decided.plan.settings
        key = f"{settings.model} {settings.pretrained} {settings.weights}"
        if key not in self._weights:
            looked = self.looked
            fetching = fetch_weights(settings, decided.network, looked.samples.classes, looked.earlier)
            self._weights[key] = yield from fetching
        return self._weights[key]

    def set_up(self, decided: Decided) -> Generator[Event, None, Workbench]:
        """Return the workbench of a plan, with the images as it sees them."""
        weights, _ = yield from self.fetch(decided)
        key = repr(decided.plan.preprocess)
        if key not in self._workbenches:
            looked = self.looked
            setting_up = set_up_workbench(looked.samples, looked.split, decided.plan)
            with self.turn(key):
                self._workbenches[key] = yield from setting_up
        found = self._workbenches[key]
        return replace(found, weights=weights, split=readable(self.looked.split.without_test(), found.samples))

    @contextmanager
    def turn(self, what: str) -> Iterator[None]:
        """Wait until no other process computes the same for the cache; once, as it is in the cache afterwards."""
        if self.turns is None or not what or what in self._known:
            yield
            return
        name = hashlib.sha256(what.encode()).hexdigest()[:16]
        with FileLock(self.turns / f"{name}.lock", fallback_to_soft=False):
            yield
        self._known.add(what)


@dataclass(slots=True)
class _Seen:
    """What the events of a training told of it."""

    hits: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    course: list[float] = field(default_factory=list)
    best: int = 0
    share: float = 1.0
    loss: float | None = None

    def take(self, event: Event) -> None:
        match event:
            case ValidationMeasured(epoch, labels, predicted, _):
                self.hits[epoch] = labels == predicted
            case EpochEnded():
                self.losses[event.epoch] = event.val_loss
                if event.epoch:
                    self.course.append(event.val_accuracy)
            case Blended():
                self.loss = event.val_loss
            case TrainingStopped(_, best, _, share):
                self.best, self.share = best, share


def measure_trial(bench: Bench, values: Chosen, folder: Path, watch: Watch) -> Generator[Event, None, Outcome]:
    """Train once, and return what came of it; what can't be trained is an outcome too.

    Args:
        bench: what all trials share.
        values: dial -> value; none: the plain recipe.
        folder: for its files while it runs; not there yet, and gone afterwards.
        watch: asked at every event, with an epoch that ended and its validation accuracy; or with None.
    """
    start, seen = time.monotonic(), _Seen()
    found: dict[str, Any]
    try:
        found = yield from _train(bench, values, folder, watch, seen)
    except (TrainingError, InputError, WeightsError) as error:
        found = {"state": "failed", "reason": f"{error.code}: {error.message}"}
    except MemoryError:
        found = {"state": "failed", "reason": "machine.memory: there is not enough memory"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    course = tuple(round(value, 6) for value in seen.course)
    return Outcome(-1, course=course, seconds=round(time.monotonic() - start, 3), **found)


def _train(
    bench: Bench, values: Chosen, folder: Path, watch: Watch, seen: _Seen
) -> Generator[Event, None, dict[str, Any]]:
    decided = yield from bench.decide(values)
    workbench = yield from bench.set_up(decided)
    engine = ENGINES[decided.plan.settings.engine]
    writer = RunWriter.create(folder.parent, folder.name, "", {"kind": "trial"})
    events = _in_turn(bench, decided, engine.fit(decided.plan, workbench, Session(writer, is_trial=True)))
    try:
        for event in events:
            seen.take(event)
            ended = event if isinstance(event, EpochEnded) and event.epoch else None
            state, reason = watch(*((ended.epoch, ended.val_accuracy) if ended else (None, 0.0)))
            if state:
                return {"state": state, "reason": reason}
            if isinstance(event, Progressed):
                yield event
        hits = seen.hits.get(seen.best) if seen.share == 1 else None
        if hits is None:  # the fitted head, or a network between it and an epoch: what is kept is measured itself
            hits = yield from _measure(bench, decided, workbench, writer)
    finally:
        events.close()
        writer.close()
    hits = _in_place(hits, bench, workbench)
    loss = seen.loss if seen.loss is not None else seen.losses.get(seen.best)
    measured = {"score": float(hits.mean()), "loss": loss, "epoch": seen.best, "hits": pack_hits(hits)}
    return {"state": "complete", **measured}


def _in_place(hits: npt.NDArray[np.bool_], bench: Bench, workbench: Workbench) -> npt.NDArray[np.bool_]:
    """Return ``[V]`` for all images that measure a trial: those that can't be read any more are not right."""
    labels = workbench.samples.labels
    every = np.zeros(len(labels), bool)
    every[selection_rows(workbench.split, labels)] = hits
    found: npt.NDArray[np.bool_] = every[bench.val]
    return found


def _in_turn(bench: Bench, decided: Decided, events: Generator[Event, None, Plan]) -> Generator[Event, None, Plan]:
    """Pass on the events of a training; where nearly all of its time goes into features, one process computes them."""
    settings = decided.plan.settings
    is_head = settings.engine == "onnxruntime"
    what = f"{settings.model} {settings.weights} {settings.features} {decided.plan.preprocess}" if is_head else ""
    with bench.turn(what):
        return (yield from events)


def _measure(
    bench: Bench, decided: Decided, workbench: Workbench, writer: RunWriter
) -> Generator[Event, None, npt.NDArray[np.bool_]]:
    """Return for each validation image whether the kept network is right."""
    plan, samples = decided.plan, workbench.samples
    trained, _ = ENGINES[plan.settings.engine].open(writer.run, plan, len(samples.classes))
    rows = selection_rows(workbench.split, samples.labels)
    features = yield from trained.extract(workbench, rows, len(rows), 0)
    hits: npt.NDArray[np.bool_] = trained.logits(features).argmax(1) == samples.labels[rows]
    return hits
