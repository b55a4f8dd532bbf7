"""One recipe, several trainings: over the folds of a cross-validation, or with several seeds. Decoded once."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np

from sightline.caches import cache_limit
from sightline.data.inspect import refuse_bad
from sightline.data.split import Split
from sightline.evaluation.intervals import Interval
from sightline.evaluation.repeats import describe_spread
from sightline.events import Event, Noted, RunEnded, RunStarted
from sightline.launch import refuse_launched
from sightline.pipeline.decide import decide
from sightline.pipeline.engine import ENGINES, engine_of, refuse_for_head
from sightline.pipeline.finish import finish
from sightline.pipeline.job import Job, refuse_counts, refuse_repeats
from sightline.pipeline.look import Looked, look
from sightline.pipeline.train import describe_run, kept_status, record_data, write_report_of
from sightline.pipeline.workbench import Session, Workbench, readable, set_up_workbench
from sightline.planning.plan import Plan
from sightline.planning.repeats import REPEATS, Repeats
from sightline.reading.weights import fetch_weights
from sightline.reporting.page import write_page
from sightline.runs.array_files import read_array
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.repeated import join_metrics, join_tables
from sightline.runs.writer import RunWriter, refuse_name

__all__ = ["repeat_job", "seeded_plan"]

_MOST_SEED = 2**31


def repeat_job(job: Job) -> Generator[Event, None, Run]:
    """Train ``job.folds`` or ``job.seeds`` times; returns the run that holds the others and their metrics together.

    After each training the metrics so far are written, so that whatever ends it early, they are there and say
    how many trainings they rest on.
    """
    started = time.monotonic()
    repeats, times = job.repeats or (REPEATS["seeds"], 0)
    refuse_launched(f"--{repeats.kind}")
    refuse_counts(job.folds, job.seeds if job.repeats else times)
    refuse_repeats(job)
    refuse_for_head(job, engine_of(job))
    refuse_name(job.out, job.name)
    cache_limit()
    looked, splits = yield from look(job)
    decided = yield from decide(job, looked)
    plan = decided.plan
    weights, origin = yield from fetch_weights(plan.settings, decided.network, looked.samples.classes, looked.earlier)
    facts = describe_run(job, looked, decided, splits[0], origin)
    together = {**facts, "kind": repeats.kind, "times": times, "done": 0}
    if repeats.splits_data:
        together["split_rule"] = f"{times} folds: every image is tested in one of them, and trained on in the others"
    writer = RunWriter.create(job.out, job.name, job.data_name, together)
    with kept_status(writer):
        writer.write_plan(plan.to_toml())
        yield RunStarted(str(writer.run.folder))
        workbench = yield from set_up_workbench(looked.samples, splits[0], plan, weights)
        refuse_bad(workbench.samples, plan.settings.on_bad)
        for number, split in enumerate(splits, 1):
            what = repeats.describe(number, times)
            yield Noted(f"{what[:1].upper()}{what[1:]}.")
            own = {**facts, "split_rule": split.rule, "repeat": what, "keep_checkpoints": False}
            inner = RunWriter.create(writer.run.folder, f"{repeats.one}-{number}", "", own)
            yield from _train_one(inner, seeded_plan(plan, repeats, number, times), looked, workbench, split)
            headline = _write_together(writer, repeats, times, number)
            yield from write_page(writer.run)
        writer.update(status="finished", files=hash_files(writer.run))
    yield RunEnded(str(writer.run.folder), f"{headline}; {time.monotonic() - started:.0f} s in all")
    return writer.run


def _train_one(
    writer: RunWriter, plan: Plan, looked: Looked, workbench: Workbench, split: Split
) -> Generator[Event, None, None]:
    """Fit and finish one of the trainings, in a run of its own."""
    own = replace(workbench, split=readable(split.without_test(), workbench.samples))
    with kept_status(writer):
        writer.write_plan(plan.to_toml())
        yield RunStarted(str(writer.run.folder))
        whole = record_data(writer, plan, looked, own, split)
        yield from ENGINES[plan.settings.engine].fit(plan, own, Session(writer))
        headline = yield from finish(writer, plan, own, whole)
        yield from write_report_of(writer, headline)
    writer.drop_checkpoints()
    yield RunEnded(str(writer.run.folder), headline)


def seeded_plan(plan: Plan, repeats: Repeats, number: int, times: int) -> Plan:
    """Return the plan with the seed of one of several trainings; everything else is as in all others.

    Args:
        plan: of the first, or of the only one: that stays as it is.
        repeats: why there are several.
        number: of the training, from 1.
        times: how many there are.
    """
    if times == 1:
        return plan
    seed, what = (plan.settings.seed + number - 1) % _MOST_SEED, repeats.describe(number, times)
    reason = f"{what}: of weights, order and augmentation"
    if repeats.splits_data:
        why = "settings alone can't draw a fold again: data/split.csv holds it"
        return plan.with_seed(seed, f"{reason}, and of validation", f"{what}: {why}")
    return plan.with_seed(seed, reason, f"{what}: the split is that of the first")


def _write_together(writer: RunWriter, repeats: Repeats, times: int, done: int) -> str:
    """Write the metrics of the trainings so far into the run that holds them; returns the headline."""
    runs, kind = writer.run.parts, repeats.kind
    rows = join_tables(runs, kind)
    together = {"kind": kind, "times": times, "done": done, **join_metrics(runs, kind)}
    writer.write_evaluation(together, rows, np.concatenate([read_array(run.probabilities_file) for run in runs]), None)
    some = f"{times} {kind}" if done == times else f"{done} of {times} {kind}"
    part = "Test" if together["part"] == "test" else "Validation"
    headline = f"{part} accuracy over {some}: {Interval(**together['accuracy'])}; {describe_spread(together, kind)}"
    writer.update(done=done, headline=headline)
    return headline
