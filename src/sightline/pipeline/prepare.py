"""What a training is asked for, and a look at its data: read, check, split."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sightline.checks.doctor import check_subject
from sightline.checks.finding import Findings
from sightline.checks.subject import Subject
from sightline.data.duplicates import find_duplicates
from sightline.data.fixes import apply_fixes, describe_fixes, read_fixes
from sightline.data.folds import make_folds
from sightline.data.groups import assign_groups
from sightline.data.inspect import inspect_samples, refuse_bad
from sightline.data.samples import Samples
from sightline.data.sources import Source, describe_source, fetch_source, read_samples
from sightline.data.split import Split, keep_share, make_split, with_seen
from sightline.errors import DataError, InputError
from sightline.events import Event, Noted, Progressed, StageEnded, StageStarted, Warned
from sightline.pipeline.progress import compared, counted
from sightline.planning.budget import Costs
from sightline.planning.facts import EarlierRun, Hardware, NetworkFacts
from sightline.planning.plan import Plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import check_names
from sightline.runs.earlier import find_earlier
from sightline.runs.folder import RUNS_FOLDER
from sightline.text import count_of

__all__ = [
    "DataChoices",
    "Job",
    "Prepared",
    "describe_groups",
    "inspect_source",
    "look_at_data",
    "refuse_counts",
    "refuse_repeats",
]


@dataclass(frozen=True, slots=True)
class DataChoices:
    """What a person may choose about reading the data; the settings of the same names say more.

    Attributes:
        value_range: (low, high) of 16-bit, 32-bit and float pictures.
        group: a column, or a regular expression on paths.
        fixes: path of a list of fixes.
    """

    value_range: tuple[float, float] | None = None
    group: str = ""
    fixes: str = ""

    def __post_init__(self) -> None:
        low, high = self.value_range or (0.0, 1.0)
        if not (low < high and math.isfinite(high - low)):
            message = f"the range {low:g},{high:g} does not rise, or has no end"
            raise InputError("plan.range", message, "give two numbers, LOW,HIGH, for example 0,4095")

    @classmethod
    def of(cls, **chosen: Any) -> DataChoices:
        """Return choices by the names of their settings; None is no choice.

        Raises:
            InputError: for another name, with the nearest right one.
        """
        check_names(chosen)
        names = [field.name for field in fields(cls)]
        other = next((name for name in chosen if name not in names), None)
        if other:
            message = f"{other!r} is a setting of the training, not of reading the data"
            raise InputError("check.setting", message, f"use {', '.join(names)}")
        return cls(**{name: value for name, value in chosen.items() if value is not None})

    def options(self) -> str:
        """Return the choices as they are typed for a command, each after a blank."""
        low_high = "" if self.value_range is None else f" --range {self.value_range[0]:g},{self.value_range[1]:g}"
        group = f" --group {shlex.quote(self.group)}" if self.group else ""
        return f"{low_high}{group}{f' --fixes {shlex.quote(self.fixes)}' if self.fixes else ''}"


_NO_CHOICES = DataChoices()
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
    """What is known before the first picture is decoded for training; ``folds`` are those of a cross-validation."""

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


def inspect_source(
    source: Source,
    choices: DataChoices = _NO_CHOICES,
    *,
    strict: bool = True,
    compare: bool = True,
    least_classes: int = 2,
) -> Generator[Event, None, Samples]:
    """Find the images of a source, decode each once, and find those that show one picture.

    Args:
        source: whatever ``read_samples`` takes.
        choices: about reading the data.
        strict: whether a class that train lacks is an error, or a finding.
        compare: whether near-duplicates are looked for.
        least_classes: as for ``read_samples``.
    """
    fixes = read_fixes(choices.fixes) if choices.fixes else []
    fetched = yield from _fetch(source)
    yield StageStarted("Reading", describe_source(source))
    start = time.monotonic()
    found = read_samples(fetched, strict=strict, least_classes=least_classes)
    samples = yield from counted(inspect_samples(found, value_range=choices.value_range), len(found))
    # What a person says of single images goes beyond a rule for all names; what is excluded needs no group.
    samples = apply_fixes(samples, [fix for fix in fixes if fix.action != "group"])
    excluded = {fix.path for fix in fixes if fix.action == "exclude"}
    groups = [fix for fix in fixes if fix.action == "group" and fix.path not in excluded]
    samples = apply_fixes(assign_groups(samples, choices.group), groups)
    bad = f", {len(samples.errors):,} unreadable" if samples.errors else ""
    skipped = f", {len(samples.skipped):,} files and folders skipped" if samples.skipped else ""
    detail = f"{len(samples):,} images in {len(samples.classes)} classes{bad}{skipped}"
    yield StageEnded("Reading", detail, time.monotonic() - start)
    if fixes:
        yield Noted(f"Fixes of {choices.fixes}: {describe_fixes(fixes)}.")
    if choices.group:
        yield from describe_groups(samples, choices.group)
    if compare:
        yield StageStarted("Comparing", "looking for copies that differ as files")
        start = time.monotonic()
        samples = yield from compared(find_duplicates(samples, value_range=choices.value_range))
        pairs = count_of(len(samples.near), "pair")
        yield StageEnded("Comparing", f"{pairs} of near-duplicates", time.monotonic() - start)
    return samples


def describe_groups(samples: Samples, rule: str) -> Iterator[Event]:
    """Say how many groups a rule makes, and warn of images that it leaves without one."""
    alone = int((samples.groups == "").sum())
    groups = count_of(len(set(samples.groups) - {""}), "group")
    yield Noted(f"--group {rule}: {groups} of {count_of(len(samples) - alone, 'image')}.")
    if alone:
        some = ", ".join(map(str, samples.paths[samples.groups == ""][:2]))
        message = (
            f"--group {rule} leaves {count_of(alone, 'image')} of {len(samples):,} without a group, such as {some}"
        )
        yield Warned("data.without-group", message, "correct the expression, unless these are right to be alone")


def _fetch(source: Source) -> Generator[Event, None, Source]:
    """Bring what is not here yet: a named set is downloaded, a compressed archive unpacked; each once."""
    steps, start, shown = fetch_source(source), time.monotonic(), 0.0
    is_long = False
    while True:
        try:
            done, total = next(steps)
        except StopIteration as stop:
            if is_long:
                yield StageEnded("Fetching", "", time.monotonic() - start)
            fetched: Source = stop.value
            return fetched
        if not is_long:
            is_long = True
            yield StageStarted("Fetching", describe_source(source))
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            yield Progressed(round(done / 1e6), round(total / 1e6), "MB")
