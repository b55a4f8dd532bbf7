"""What a training is asked for, and what is refused before anything is read."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from sightline.data.sources import Source, describe_source
from sightline.errors import InputError
from sightline.planning.recipe import Recipe
from sightline.planning.repeats import REPEATS, Repeats
from sightline.planning.settings import Chosen
from sightline.runs.folder import RUNS_FOLDER

__all__ = ["Job", "refuse_counts", "refuse_repeats"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a training is asked for.

    Attributes:
        source: whatever ``read_samples`` takes.
        recipe: choices from a file; may be empty.
        options: choices typed for this run; they win.
        out: folder that holds runs.
        name: of the run; None makes one.
        keep_checkpoints: keep the best epoch's checkpoint after the run is finished.
        folds: of a cross-validation; None: no cross-validation.
        seeds: trainings that differ in their seed alone; None: one training.
        resume: continue the run of that name, or the newest unfinished one of these data.
        started: by ``time.monotonic()``, when a time limit began to count.
        devices: how many processes train together, ``all`` for one a GPU; empty: one, or those that torchrun started.
    """

    source: Source
    recipe: Recipe = field(default_factory=Recipe)
    options: Recipe = field(default_factory=Recipe)
    out: str | Path = RUNS_FOLDER
    name: str | None = None
    keep_checkpoints: bool = False
    folds: int | None = None
    seeds: int | None = None
    resume: bool = False
    started: float = field(default_factory=time.monotonic)
    devices: str = ""

    @property
    def chosen(self) -> Chosen:
        """Setting -> value, for all that a person chose: by an option, or by the recipe."""
        return {**self.recipe.chosen, **self.options.chosen}

    @property
    def repeats(self) -> tuple[Repeats, int] | None:
        """The kind of repeats that is asked for, and how many trainings; None: a single training."""
        for kind, times in (("folds", self.folds), ("seeds", self.seeds)):
            if times is not None:
                return REPEATS[kind], times
        return None

    @property
    def data_name(self) -> str:
        """What the data are called in a run's name."""
        source = Path(describe_source(self.source)).resolve()
        return source.name if source.is_dir() else source.stem

    def seconds_left(self, limit: float) -> float:
        """Return what is left of a time limit, in seconds."""
        return self.started + limit - time.monotonic()


def refuse_repeats(job: Job) -> None:
    """Raise ``InputError`` for repeats that make no sense, before anything is read."""
    refuse_counts(job.folds, job.seeds)
    if job.repeats and job.chosen.get("time"):
        message = "a time limit is for a single training, and --folds or --seeds make several"
        raise InputError("plan.conflict", message, "give --time 0 and a number of --epochs, the same for each of them")
    for name in ("test_share", "select_on_val", "train_share") if job.folds else ():
        if job.options.chosen.get(name):
            message = f"{name} is given, and in folds every image is tested once"
            raise InputError("plan.conflict", message, "leave it out, or leave out --folds")


def refuse_counts(folds: int | None, seeds: int | None) -> None:
    """Raise ``InputError`` for fewer than two folds or seeds, or for both together; None is neither."""
    if folds is not None and seeds is not None:
        message = "--folds and --seeds ask for two different things"
        raise InputError("plan.conflict", message, "give one of them; folds vary the data, seeds the training")
    for kind, times in (("folds", folds), ("seeds", seeds)):
        if times is not None and times < 2:
            cure = f"give 2 or more, for example --{kind} 5; or leave it out"
            raise InputError(REPEATS[kind].code, f"--{kind} is {times}", cure)
