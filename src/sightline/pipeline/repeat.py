"""One recipe, several trainings: over the folds of a cross-validation, or with several seeds. Decoded once."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from sightline.evaluation.intervals import Figure, units_of
from sightline.evaluation.repeats import average_metrics, describe_spread, pool_folds
from sightline.events import Event, Noted, RunEnded, RunStarted
from sightline.installation import cache_limit
from sightline.pipeline.company import refuse_launched
from sightline.pipeline.decide import plan_job
from sightline.pipeline.finish import write_page
from sightline.pipeline.prepare import Job, Prepared, refuse_counts
from sightline.pipeline.run import data_name, decode_material, kept_status, run_facts, train_whole
from sightline.pipeline.start import fetch_weights
from sightline.planning.plan import Plan
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.measured import read_measured
from sightline.runs.writer import RunWriter, refuse_name

__all__ = ["join_metrics", "join_tables", "repeat_job"]

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
    weights, description = yield from fetch_weights(prepared)
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
    headline = f"{part} accuracy over {some}: {Figure(**together['accuracy'])}; {describe_spread(together, kind)}"
    writer.update(done=done, headline=headline)
    return headline


def join_tables(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the predictions of several trainings as one table, with the name of the training in front."""
    tables = [run.predictions for run in runs]
    rows: dict[str, list[Any]] = {
        "run": [run.folder.name for run, table in zip(runs, tables, strict=True) for _ in table]
    }
    return rows | {column: [row[column] for table in tables for row in table] for column in tables[0][0]}


def join_metrics(runs: Sequence[Run], kind: str) -> dict[str, Any]:
    """Return the figures of several trainings together: pooled over ``folds``, averaged over ``seeds``."""
    metrics = [run.metrics for run in runs]
    if kind != "folds":
        return average_metrics(metrics)
    measured = [read_measured(run) for run in runs]
    units = units_of(np.concatenate([one.groups for one in measured]))
    return pool_folds([one.predictions for one in measured], [one.labels for one in measured], metrics, units)
