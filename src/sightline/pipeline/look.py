"""What a training is asked for, and a look at its data: read, check, split."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.checks.checkup import check_subject
from sightline.checks.finding import Findings
from sightline.checks.subject import Subject
from sightline.data.folds import make_folds
from sightline.data.inspect import refuse_bad
from sightline.data.samples import Samples
from sightline.data.sources import Source
from sightline.data.split import Split, keep_share, make_split, with_seen
from sightline.errors import DataError, InputError
from sightline.events import Event, Noted, Warned
from sightline.planning.budget import Costs
from sightline.planning.facts import EarlierRun, Hardware, NetworkFacts
from sightline.planning.plan import Plan
from sightline.planning.recipe import Recipe
from sightline.reading.source import DataChoices, inspect_source
from sightline.runs.earlier import find_earlier
from sightline.runs.folder import RUNS_FOLDER
from sightline.text import count_of

__all__ = ["Job", "Prepared", "look_at_data", "refuse_counts", "refuse_repeats"]


_WORST = 3  # findings that a training says before it starts


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
        resume: go on with the run of that name, or with the newest unfinished one of these data.
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

    def seconds_left(self, limit: float) -> float:
        """Return what is left of a time limit, in seconds."""
        return self.started + limit - time.monotonic()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known before the first image is decoded for training; ``folds`` are those of a cross-validation."""

    samples: Samples
    split: Split
    plan: Plan
    hardware: Hardware
    network: NetworkFacts
    findings: Findings = Findings()  # noqa: RUF009  (a tuple)
    earlier: EarlierRun | None = None
    folds: tuple[Split, ...] = ()
    costs: Costs | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of the data and of an earlier run before torch is loaded."""

    samples: Samples
    split: Split
    findings: Findings
    earlier: EarlierRun | None
    folds: tuple[Split, ...]


def look_at_data(job: Job, chosen: dict[str, Any]) -> Generator[Event, None, Looked]:
    """Read, check and split the data, by the settings that were chosen."""
    earlier = find_earlier(chosen.get("weights", ""), folder=job.out)
    if earlier and job.folds:
        message = f"every fold tests images that {earlier.name} was trained on"
        raise InputError("plan.conflict", message, "leave out --folds, or --weights; --seeds goes with --weights")
    choices = DataChoices(chosen.get("value_range") or None, chosen.get("group", ""), chosen.get("fixes", ""))
    samples = yield from inspect_source(job.source, choices)
    refuse_bad(samples, chosen.get("on_bad", "skip"))
    folds = _make_folds(samples, job, chosen)
    split = folds[0] if folds else _make_split(samples, chosen)
    if earlier:
        split = yield from _leave_out_seen(samples, split, earlier)
    counts = ", ".join(f"{count:,} {part}" for part, count in split.counts().items() if count)
    yield Noted(f"Split: {counts}. {split.rule}." + "".join(f" {note}." for note in split.notes))
    findings = check_subject(Subject(samples, split, None, choices.value_range))
    yield from _warn_of_worst(findings, samples.source, choices)
    return Looked(samples, split, findings, earlier, folds)


def _make_split(samples: Samples, chosen: dict[str, Any]) -> Split:
    split = make_split(
        samples,
        seed=_split_seed(chosen),
        val_share=chosen.get("val_share"),
        test_share=chosen.get("test_share"),
        select_on_val=chosen.get("select_on_val", False),
    )
    return keep_share(samples, split, chosen.get("train_share", 1.0))


def _split_seed(chosen: dict[str, Any]) -> int:
    seed: int = chosen.get("split_seed", chosen.get("seed", 0))
    return seed


def _leave_out_seen(samples: Samples, split: Split, earlier: EarlierRun) -> Generator[Event, None, Split]:
    """Mark what the network saw in an earlier run as leaked, so that no figure rests on it; say how many.

    Raises:
        DataError: if nothing is left to measure.
    """
    part = "test" if split.headline == "test" else "validation"
    if not earlier.is_traced:
        message = f"which images {earlier.name} was trained on can't be told: {part} images may be among them"
        yield Warned("weights.untraced", message, f"give its run, or {part} images that it can't have seen")
    # A validation figure is one of images that chose the epoch anyway.
    seen = set().union(*(earlier.seen.get(name, ()) for name in ("train", "val") if name != split.headline))
    marked = with_seen(samples, split, seen)
    new = marked.leaked & ~split.leaked
    if not new.any():
        return split
    rows = marked.rows(split.headline)
    rows = rows[samples.is_ok[rows]]
    same = (
        ""
        if earlier.split_seed is None
        else f"keep its split with --set split_seed={earlier.split_seed} on the same data, or "
    )
    cure = f"{same}give a test set of its own (a folder test/)"
    message = f"{int(new.sum()):,} of {len(rows):,} {part} images trained {earlier.name} or chose its epoch"
    if marked.leaked[rows].all():
        raise DataError("weights.all-seen", f"{message}: nothing is left to measure", cure)
    yield Warned("weights.seen", f"{message}; the figures leave them out", cure)
    return marked


def _make_folds(samples: Samples, job: Job, chosen: dict[str, Any]) -> tuple[Split, ...]:
    if not job.folds:
        return ()
    return make_folds(samples, job.folds, seed=_split_seed(chosen), val_share=chosen.get("val_share"))


def refuse_repeats(job: Job) -> None:
    """Raise ``InputError`` for repeats that make no sense, before anything is read."""
    refuse_counts(job.folds, job.seeds)
    if (job.folds or job.seeds) and {**job.recipe.chosen, **job.options.chosen}.get("time"):
        message = "a time limit is for a single training, and --folds or --seeds make several"
        raise InputError("plan.conflict", message, "give --time 0 and a number of --epochs, the same for each of them")
    for name in ("test_share", "select_on_val", "train_share") if job.folds else ():
        if job.options.chosen.get(name):
            message = f"{name} is given, and in folds every image is tested once"
            raise InputError("plan.conflict", message, "leave it out, or leave out --folds")


def refuse_counts(folds: int | None, seeds: int | None) -> None:
    """Raise ``InputError`` for folds or seeds that can't be counted to, or both together; None is neither."""
    if folds is not None and seeds is not None:
        message = "--folds and --seeds ask for two different things"
        raise InputError("plan.conflict", message, "give one of them; folds vary the data, seeds the training")
    if folds is not None and folds < 2:
        raise InputError("split.folds", f"--folds is {folds}", "give 2 or more, for example --folds 5; or leave it out")
    if seeds is not None and seeds < 2:
        raise InputError("plan.seeds", f"--seeds is {seeds}", "give 2 or more, for example --seeds 5; or leave it out")


def _warn_of_worst(findings: Findings, source: str, choices: DataChoices) -> Iterator[Event]:
    """Say the worst findings, and how to see the others."""
    worst = [finding for finding in findings if finding.severity != "note"][:_WORST]
    for finding in worst:
        yield Warned(f"data.{finding.code}", finding.message, finding.cure)
    if len(findings) > len(worst):
        more = count_of(len(findings) - len(worst), f"{'more ' if worst else ''}finding")
        yield Noted(f"{more} about the data: sightline check {shlex.quote(source)}{choices.options()}")
