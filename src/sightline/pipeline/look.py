"""The first step of a training: read the data, check and split them."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields

from sightline.checks.checkup import check_subject
from sightline.checks.finding import Findings
from sightline.checks.subject import Subject
from sightline.data.folds import make_folds
from sightline.data.inspect import refuse_bad
from sightline.data.samples import Samples
from sightline.data.split import Split, check_shares, keep_share, make_split, with_seen
from sightline.errors import DataError, InputError
from sightline.events import Event, Noted, Warned
from sightline.pipeline.job import Job
from sightline.planning.facts import DataFacts, EarlierRun, describe_data
from sightline.planning.learning import refuse_chosen
from sightline.planning.settings import Chosen
from sightline.reading.source import DataChoices, inspect_source
from sightline.reading.time_limit import TimeLimit
from sightline.reading.weights import refuse_absent
from sightline.runs.earlier import find_earlier
from sightline.text import count_of

__all__ = ["Looked", "look", "reading_of"]

_READING = tuple(field.name for field in fields(DataChoices))  # settings of reading the data
_WORST = 3  # findings that a training reports before it starts


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of the data and of an earlier run before torch is loaded.

    Attributes:
        samples: inspected.
        split: of the first training, without the test: what decides and trains is not told which images are in it.
        data: the facts that a plan depends on; of the test they have the count alone.
        findings: what is wrong with the data, worst first.
        earlier: the run that the network starts from; None: none.
    """

    samples: Samples
    split: Split
    data: DataFacts
    findings: Findings
    earlier: EarlierRun | None


def look(job: Job, *, needs_weights: bool = True) -> Generator[Event, None, tuple[Looked, tuple[Split, ...]]]:
    """Read, check and split the data, by the settings that were chosen.

    Args:
        job: what is asked for.
        needs_weights: refuse a chosen network or weights that can't be had, before data are read.

    Returns:
        What was found, and the whole splits, one a training: they are for recording the data and for ``finish``.
    """
    chosen = job.chosen
    refuse_chosen({**job.recipe.under(job.options).chosen, **job.options.chosen})
    if {"val_share", "test_share"} <= chosen.keys():
        check_shares(chosen["val_share"], chosen["test_share"])
    earlier = find_earlier(chosen.get("weights", ""), folder=job.out)
    if earlier and job.folds:
        message = f"every fold tests images that {earlier.name} was trained on"
        raise InputError("plan.conflict", message, "leave out --folds, or --weights; --seeds goes with --weights")
    if needs_weights:
        refuse_absent(chosen, earlier)
    choices = reading_of(chosen)
    limit = TimeLimit(chosen["time"], job.started, is_new=not job.resume) if chosen.get("time") else None
    samples = yield from inspect_source(job.source, choices, limit=limit)
    refuse_bad(samples, chosen.get("on_bad", "skip"))
    splits = _make_splits(samples, job, chosen)
    split = splits[0]
    if earlier:
        split = yield from _leave_out_seen(samples, split, earlier)
        splits = (split,) * len(splits)
    counts = ", ".join(f"{count:,} {part}" for part, count in split.counts().items() if count)
    yield Noted(f"Split: {counts}. {split.rule}." + "".join(f" {note}." for note in split.notes))
    findings = check_subject(Subject(samples, split, None, choices.value_range, choices.options()))
    yield from _warn_of_worst(findings, samples.source, choices)
    return Looked(samples, split.without_test(), describe_data(samples, split), findings, earlier), splits


def reading_of(chosen: Chosen) -> DataChoices:
    """Return how data are read, out of the settings of a training."""
    return DataChoices.of(**{name: chosen[name] for name in _READING if chosen.get(name)})


def _make_splits(samples: Samples, job: Job, chosen: Chosen) -> tuple[Split, ...]:
    """Return the split of each training that the job asks for."""
    seed = chosen.get("split_seed", chosen.get("seed", 0))
    if job.folds:
        return make_folds(samples, job.folds, seed=seed, val_share=chosen.get("val_share"))
    split = make_split(
        samples,
        seed=seed,
        val_share=chosen.get("val_share"),
        test_share=chosen.get("test_share"),
        select_on_val=chosen.get("select_on_val", False),
    )
    return (keep_share(samples, split, chosen.get("train_share", 1.0)),) * (job.seeds or 1)


def _leave_out_seen(samples: Samples, split: Split, earlier: EarlierRun) -> Generator[Event, None, Split]:
    """Mark what the network saw in an earlier run as leaked, so that no metric rests on it; say how many.

    Raises:
        DataError: if nothing is left to measure.
    """
    part = "test" if split.headline == "test" else "validation"
    if not earlier.is_traced:
        message = f"which images {earlier.name} was trained on is not recorded: {part} images may be among them"
        yield Warned("weights.untraced", message, f"give its run, or {part} images that it can't have seen")
    # Validation images choose the epoch anyway, so those that chose an earlier one may stay.
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
    yield Warned("weights.seen", f"{message}; the metrics leave them out", cure)
    return marked


def _warn_of_worst(findings: Findings, source: str, choices: DataChoices) -> Iterator[Event]:
    """Report the worst findings, and how to see the others."""
    worst = [finding for finding in findings if finding.severity != "note"][:_WORST]
    for finding in worst:
        yield Warned(f"data.{finding.code}", finding.message, finding.cure)
    if len(findings) > len(worst):
        more = count_of(len(findings) - len(worst), f"{'more ' if worst else ''}finding")
        yield Noted(f"{more} about the data: sightline check {shlex.quote(source)}{choices.options()}")
