"""``Recorded``: what a run recorded, each file read once; what pages and verification are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.evaluation.corruption_drops import Robustness
from sightline.evaluation.learning_curve import LearningCurve
from sightline.evaluation.shift import LabelledPredictions
from sightline.pixels.containers import Place, place_of
from sightline.pixels.modes import Range
from sightline.planning.plan import Plan
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.kept_images import Explanations, Views
from sightline.runs.measured import Measured, read_measured
from sightline.runs.search_record import SearchRecord
from sightline.runs.versions_record import VersionsRecord

__all__ = ["Recorded"]

T = TypeVar("T")


class Recorded:
    """A run as it is now: each file is read when it is first needed, and never again.

    A :class:`Run` reads a file each time, so that a training can be watched; a page must not change while it is made.

    Args:
        run: whose files are read; it knows where they lie.

    Raises:
        RunError: by each attribute whose file is damaged.

    Example:
        ``Recorded(sightline.Run("runs/photos")).measured.correct.mean()``
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._made: dict[str, Any] = {}

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @cached_property
    def facts(self) -> dict[str, Any]:
        """``run.json``, or ``evaluation.json``."""
        return self.run.facts

    @property
    def is_repeated(self) -> bool:
        """Whether this evaluates a recipe by several runs, which are inside."""
        from sightline.planning.repeats import REPEATS

        return self.facts.get("kind") in REPEATS

    @cached_property
    def plan(self) -> Plan:
        """``plan.toml``."""
        return self.run.plan

    @cached_property
    def value_range(self) -> Range | None:
        """Black and white of 16-bit, 32-bit and float images; None where there was none to choose."""
        if self.run.plan_file.is_file():
            return self.plan.preprocess.value_range
        found = self.facts.get("value_range")
        return None if found is None else (found[0], found[1])

    @cached_property
    def dataset(self) -> tuple[Samples, Split] | None:
        """``data/samples.csv`` and ``data/split.csv``; None where the folder has no data of its own."""
        is_there = self.run.samples_file.is_file() and self.run.split_file.is_file()
        return read_dataset(self.run, self.facts) if is_there else None

    @property
    def samples(self) -> Samples:
        """The images that the run has.

        Raises:
            FileNotFoundError: where the folder has no data of its own.
        """
        return self._data()[0]

    @property
    def split(self) -> Split:
        """Which part each image is in; raises like ``samples``."""
        return self._data()[1]

    def _data(self) -> tuple[Samples, Split]:
        if self.dataset is None:
            raise FileNotFoundError(f"{self.run.samples_file} or {self.run.split_file.name} is missing")
        return self.dataset

    @cached_property
    def measured(self) -> Measured:
        """``evaluation/predictions.csv``, with ``probabilities.npy`` and ``features.npy``."""
        return read_measured(self.run, self.facts, self.dataset[0] if self.dataset else None)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """``evaluation/metrics.json``."""
        return self.run.metrics

    @property
    def is_head_alone(self) -> bool:
        """Whether a head was fitted and no network was trained after it."""
        return self.history.get("epoch") == [0] and self.plan.settings.epochs == 0

    @cached_property
    def history(self) -> dict[str, list[float]]:
        """``history.csv``."""
        return self.run.history

    @cached_property
    def steps(self) -> dict[str, list[float]]:
        """``steps.csv``."""
        return self.run.steps

    @cached_property
    def rates(self) -> dict[str, list[float]]:
        """``learning_rate.csv``."""
        return self.run.rates

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """``data/findings.json``."""
        return self.run.findings

    @property
    def shortcuts(self) -> tuple[str, ...]:
        """The properties that predict a class without the content, in words, the strongest first."""
        return tuple(row["message"] for row in self.findings if row["code"] == "shortcut")

    @cached_property
    def views(self) -> Views | None:
        """``data/augmented.npz``."""
        return self.run.views

    @cached_property
    def explanations(self) -> Explanations | None:
        """``evaluation/explanations.npz``."""
        return self.run.explanations

    @cached_property
    def validation(self) -> LabelledPredictions | None:
        """``evaluation/validation.npz``."""
        return self.run.validation

    @cached_property
    def search(self) -> SearchRecord | None:
        """``search.json``."""
        return self.run.search

    @cached_property
    def versions(self) -> VersionsRecord | None:
        """``versions/versions.json``."""
        return self.run.versions

    @cached_property
    def robustness(self) -> Robustness | None:
        """``evaluation/robustness.json``."""
        return self.run.robustness

    @cached_property
    def learning_curve(self) -> LearningCurve | None:
        """``learning_curve.json``."""
        return self.run.learning_curve

    @cached_property
    def root(self) -> Path:
        """What paths of images are relative to."""
        return Path(self.facts["data_root"])

    def place(self, path: str) -> Place:
        """Return where an image of the run lies."""
        return place_of(self.root, path)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` gives; of each name it is called once."""
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made
