"""One recipe, several trainings: over the folds of a cross-validation, or with several seeds. Decoded once."""

from __future__ import annotations

import time
from collections.abc import Generator

import numpy as np

from sightline.caches import cache_limit
from sightline.evaluation.intervals import Interval
from sightline.evaluation.repeats import describe_spread
from sightline.events import Event, Noted, RunEnded, RunStarted
from sightline.launch import refuse_launched
from sightline.measuring.repeated import join_metrics, join_tables
from sightline.pipeline.decide import plan_job
from sightline.pipeline.look import Job, Prepared, refuse_counts
from sightline.pipeline.train import data_name, decode_material, kept_status, run_facts, train_whole
from sightline.planning.plan import Plan
from sightline.reading.weights import fetch_weights
from sightline.reporting.page import write_page
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.writer import RunWriter, refuse_name

__all__ = ["repeat_job"]

_MOST_SEED = 2**31


def repeat_job(job: Job) -> Generator[Event, None, Run]:
    """Train ``job.folds`` or ``job.seeds`` times; returns the run that holds the others and their figures together.

    After each training the figures so far are written, so that whatever ends it early, they are there and say
    how many trainings they rest on.
    """
    started = time.monotonic()
    kind, times = ("folds", job.folds) if job.folds is not None else ("seeds", job.seeds or 0)
    refuse_launched(f"--{kind}")
    refuse_counts(job.folds, times if kind == "seeds" else job.seeds)
    refuse_name(job.out, job.name)
    cache_limit()
    prepared = yield from plan_job(job)
    weights, description = yield from fetch_weights(
        prepared.plan.settings, prepared.network, prepared.samples.classes, prepared.earlier
    )
    facts = run_facts(job, prepared, prepared.split, description)
    rule = f"{times} folds: every image is tested in one of them, and trained on in the others"
    top_facts = {**facts, "kind": kind, "times": times, "done": 0, **({"split_rule": rule} if kind == "folds" else {})}
    writer = RunWriter.create(job.out, job.name, data_name(job), top_facts)
    with kept_status(writer):
        writer.write_plan(prepared.plan.to_toml())
        yield RunStarted(str(writer.run.folder))
        material = yield from decode_material(prepared, weights)
        for number, split in enumerate(prepared.folds or (prepared.split,) * times, 1):
            what = f"{kind.removesuffix('s')} {number} of {times}"
            yield Noted(f"{what[:1].upper()}{what[1:]}.")
            name = f"{kind.removesuffix('s')}-{number}"
            own = {**facts, "split_rule": split.rule, "repeat": what}
            inner = RunWriter.create(writer.run.folder, name, "", own)
            plan = _plan_of(prepared, number, what)
            with kept_status(inner):
                inner.write_plan(plan.to_toml())
                yield RunStarted(str(inner.run.folder))
                said = yield from train_whole(inner, plan, material, split)
            inner.drop_checkpoints()
            yield RunEnded(str(inner.run.folder), said)
            headline = _write_together(writer, kind, times, number)
            yield from write_page(writer.run)
        writer.update(status="finished", files=hash_files(writer.run))
    yield RunEnded(str(writer.run.folder), f"{headline}; {time.monotonic() - started:.0f} s in all")
    return writer.run


def _plan_of(prepared: Prepared, number: int, what: str) -> Plan:
    """Return the plan with this training's seed; everything else is as in all others."""
    seed = (prepared.plan.settings.seed + number - 1) % _MOST_SEED
    reason = f"{what}: of weights, order and augmentation"
    if prepared.folds:
        why = "settings alone can't draw a fold again: data/split.csv holds it"
        return prepared.plan.with_seed(seed, f"{reason}, and of validation", f"{what}: {why}")
    return prepared.plan.with_seed(seed, reason, f"{what}: the split is that of the first")


def _write_together(writer: RunWriter, kind: str, times: int, done: int) -> str:
    """Write the figures of the trainings so far into the run that holds them; returns the headline."""
    runs = writer.run.parts
    rows = join_tables(runs)
    together = {"kind": kind, "times": times, "done": done, **join_metrics(runs, kind)}
    writer.write_evaluation(together, rows, np.concatenate([np.load(run.probabilities_file) for run in runs]), None)
    some = f"{times} {kind}" if done == times else f"{done} of {times} {kind}"
    part = "Test" if together["part"] == "test" else "Validation"
    headline = f"{part} accuracy over {some}: {Interval(**together['accuracy'])}; {describe_spread(together, kind)}"
    writer.update(done=done, headline=headline)
    return headline
