"""What a search is asked for, and what is refused before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.pipeline.engine import engine_of
from sightline.pipeline.job import Job, refuse_counts
from sightline.planning.head_alone import refuse_torch_settings
from sightline.runs.earlier import find_earlier
from sightline.tuning.sampling import check_sampling
from sightline.tuning.space import STRENGTH, Space, check_space, read_space

__all__ = ["SearchJob", "refuse_search"]


@dataclass(frozen=True, slots=True)
class SearchJob:
    """What a search is asked for.

    Attributes:
        job: the plain recipe: the first trial, and what the others are compared with. Its time is the search's.
        trials: in all, the plain recipe among them; None: as many as the time allows.
        space: file, or tables of what is searched; None: a few dials that suit the recipe and the data.
        sampler: one of ``SAMPLERS``.
        pruner: one of ``PRUNERS``; None: halving where there are folds, or epochs, to stop after.
        storage: URL of a database; empty: a journal in the search's folder.
        is_new: begin another search beside the one of the same name.
        seeds: with how many the winner and the plain recipe are trained in the end; None: with one.
        folds: in which training and validation images measure a trial; None: the validation images do.
        workers: processes that make trials at the same time; 1: this one.
    """

    job: Job
    trials: int | None = None
    space: str | Path | Mapping[str, Any] | None = None
    sampler: str = "tpe"
    pruner: str | None = None
    storage: str = ""
    is_new: bool = False
    folds: int | None = None
    seeds: int | None = None
    workers: int = 1

    @property
    def limit(self) -> float:
        """Seconds for the whole command; 0: no limit."""
        return float(self.job.chosen.get("time") or 0.0)

    @property
    def plain(self) -> Job:
        """The plain recipe, without the search's limit of time and name."""
        job = self.job
        return replace(job, recipe=job.recipe.without("time"), options=job.options.without("time"), name=None)


def refuse_search(search: SearchJob) -> Space | None:
    """Return the space that was given, checked, or None; raise for what can't be searched, before data are read.

    Raises:
        InputError: for no budget, a wrong sampler, pruner, number of folds or seeds, or space.
    """
    if search.trials is None and not search.limit:
        raise InputError("tune.budget", "a search needs an end", "give --time 20m, --trials 30, or both")
    if search.trials is not None and search.trials < 2:
        message = f"--trials {search.trials}: the first trial is the plain recipe, and another is compared with it"
        raise InputError("tune.budget", message, "give 2 or more, for example --trials 30")
    if search.workers < 1:
        raise InputError("tune.workers", f"--workers {search.workers}: there must be one", "give --workers 1, or more")
    check_sampling(search.sampler, search.pruner)
    _refuse_repeats(search)
    if search.space is None:
        return None
    space = check_space(search.space) if isinstance(search.space, Mapping) else read_space(search.space)
    if engine_of(search.plain) == "onnxruntime":
        cure = "search what a head has: features, imbalance, size, fit, interpolation"
        for dial in space:
            tried = {"rotate": 1.0} if dial.name == STRENGTH else {dial.name: dial.ends()[-1]}
            refuse_torch_settings({**search.plain.chosen, **tried}, None, "torch does not compute here", cure)
    return space


def _refuse_repeats(search: SearchJob) -> None:
    """Raise ``InputError`` for fewer than two folds or seeds, and for weights that saw what a fold measures."""
    refuse_counts(search.folds, None)
    refuse_counts(None, search.seeds)
    weights = search.job.chosen.get("weights")
    earlier = find_earlier(str(weights), folder=search.job.out) if search.folds and weights else None
    if earlier is not None:
        message = f"the folds measure trials on images that {earlier.name} was trained on"
        raise InputError("plan.conflict", message, "leave out --folds, or the setting weights")
