"""One training, from a job to a finished run: look, decide, fit, finish."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from sightline.caches import cache_limit
from sightline.checks.checkup import check_subject
from sightline.checks.subject import Subject
from sightline.data.inspect import refuse_bad
from sightline.data.sources import describe_source
from sightline.data.split import Split
from sightline.data.units import with_units
from sightline.errors import InputError, RunError, StopRequested
from sightline.events import Event, Noted, RunEnded, RunStarted, StageEnded, Warned
from sightline.installation import require_extra
from sightline.pipeline.decide import Decided, decide
from sightline.pipeline.engine import ENGINES, engine_of, refuse_for_head
from sightline.pipeline.finish import finish
from sightline.pipeline.job import Job, refuse_repeats
from sightline.pipeline.look import Looked, look, reading_of
from sightline.pipeline.processes import Processes
from sightline.pipeline.resume import TakenUp, find_unfinished, has_state, take_up
from sightline.pipeline.workbench import Session, Workbench, readable, set_up_workbench
from sightline.planning.plan import Plan
from sightline.process_settings import set_up_process
from sightline.reading.progress import noting_stages
from sightline.reading.weights import compare_classes, fetch_weights
from sightline.reporting.page import write_page
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.writer import RunWriter, refuse_name, sweep_finished
from sightline.text import duration

__all__ = ["describe_run", "kept_status", "record_data", "train_job", "write_report_of"]


def train_job(job: Job) -> Generator[Event, None, Run]:
    """Train, export, evaluate and report; returns the finished run.

    Whatever ends it early, the run folder says ``interrupted`` or ``failed`` and stays valid.
    """
    stages: list[StageEnded] = []
    with contextlib.closing(Processes(job.devices)) as processes:
        return (yield from noting_stages(_train(job, processes, stages), stages))


def _train(job: Job, processes: Processes, stages: list[StageEnded]) -> Generator[Event, None, Run]:
    before = find_unfinished(job) if job.resume else None
    if before is not None and before.status == "finished":
        sweep_finished(before)
        yield Noted(f"{before.folder} is finished: there is nothing to continue, and nothing was changed.")
        return before
    name = _engine_of(before, job)
    require_extra(ENGINES[name].extra, "training")
    refuse_repeats(job)
    refuse_for_head(job, name)
    if before is None:
        refuse_name(job.out, job.name)
    cache_limit()  # a wrong one is reported before anything is done
    begun = yield from _begin(job, before, processes)
    looked, decided, plan = begun.looked, begun.decided, begun.decided.plan
    engine = ENGINES[plan.settings.engine]  # without torch where a time limit is too short for it
    size = processes.count(plan.settings.device)
    weights, origin = None, ("", "")
    if before is None or not has_state(before):  # a saved state holds all weights
        weights, origin = yield from fetch_weights(
            plan.settings, decided.network, looked.samples.classes, looked.earlier
        )
    seconds_before = 0.0 if before is None else float(before.facts.get("seconds") or 0)  # before this one is added
    if before is None:
        own = {"processes": size, "keep_checkpoints": job.keep_checkpoints}
        facts = {**describe_run(job, looked, decided, begun.split, origin), **own}
        writer = RunWriter.create(job.out, job.name, job.data_name, facts, job.started)
    else:
        writer = RunWriter.open(before, job.started)
        root, keep = str(looked.samples.root.resolve()), job.keep_checkpoints
        writer.update(status="running", data_root=root, error=None, files=None, keep_checkpoints=keep)
    run = writer.run
    limit = plan.settings.time
    with kept_status(writer, is_new=before is None):
        if before is None or not run.plan_file.is_file():  # another device is used this once
            writer.write_plan(plan.to_toml())  # first: trackers read it
        yield RunStarted(str(run.folder))
        if limit and seconds_before:
            left = f"{duration(max(0.0, limit - seconds_before))} of {duration(limit)} are left"
            yield Noted(f"The time limit counts the {duration(seconds_before)} before the stop too: {left}.")
        if writer.lock_problem:
            yield Warned("run.no-lock", writer.lock_problem, "never let two commands write into one run")
        workbench = yield from set_up_workbench(looked.samples, begun.split, plan, weights, decided.costs)
        refuse_bad(workbench.samples, plan.settings.on_bad)
        split = record_data(writer, plan, looked, workbench, begun.split)
        processes.start(run.folder, size)
        ends = job.started + limit - seconds_before if limit else math.inf
        session = Session(writer, ends, job.resume, begun.differs, processes)
        plan = yield from engine.fit(plan, workbench, session)
        headline = yield from finish(writer, plan, workbench, split)
        yield from write_report_of(writer, headline, stages)
        if not job.keep_checkpoints:
            writer.drop_checkpoints()
    seconds = time.monotonic() - job.started
    if limit and seconds + seconds_before > limit:
        over = f"the run took {duration(seconds + seconds_before - limit)} more than its {duration(limit)}"
        cure = "give more time, or keep other jobs off this machine: finishing took longer than estimated"
        yield Warned("run.over-time", over, cure)
    yield RunEnded(str(run.folder), f"{headline}; {seconds:.0f} s in all")
    return run


def _engine_of(before: Run | None, job: Job) -> str:
    """Return what computes: as in the run that is continued, or as chosen."""
    if before is not None and before.plan_file.is_file():
        return str(before.plan.settings.engine)
    return engine_of(job)


def _begin(job: Job, before: Run | None, processes: Processes) -> Generator[Event, None, TakenUp]:
    """Look and decide; or take up what the run before was decided with."""
    if before is not None and before.plan_file.is_file():
        return (yield from take_up(job, before, processes))
    looked, (split, *_) = yield from look(job)
    decided = yield from decide(job, looked)
    return TakenUp(looked, split, decided)


def record_data(writer: RunWriter, plan: Plan, looked: Looked, workbench: Workbench, split: Split) -> Split:
    """Write samples, split and findings of a training into its run; returns the whole split as it was written.

    Findings are made again where they are those of another split, or images became unreadable since.
    """
    samples, findings = workbench.samples, looked.findings
    split = readable(split, samples)
    is_other = (split.without_test().parts != looked.split.parts).any()
    if is_other or samples.errors != looked.samples.errors:
        choices = reading_of(plan.settings.model_dump())
        findings = check_subject(Subject(samples, split, None, choices.value_range, choices.options()))
    if plan.settings.fixes:
        writer.keep_fixes(plan.settings.fixes)
    writer.write_data(with_units(samples).columns(), split.columns(), [finding.to_dict() for finding in findings])
    if looked.earlier:
        writer.write_earlier(looked.earlier.seen)
    return split


def write_report_of(
    writer: RunWriter, headline: str, stages: Sequence[StageEnded] = ()
) -> Generator[Event, None, None]:
    """Write the last facts and the report of a run that was evaluated."""
    writer.update(headline=headline, stages=[asdict(stage) for stage in stages])
    yield from write_page(writer.run)
    writer.update(status="finished", files=hash_files(writer.run))


@contextlib.contextmanager
def kept_status(writer: RunWriter, *, is_new: bool = False) -> Iterator[None]:
    """Write into the run's folder that it was interrupted or failed, whatever ends it early.

    A new run whose time is too short for anything is removed: its name is free for another limit.
    """
    try:
        yield
    except BaseException as error:
        if is_new and isinstance(error, InputError) and error.code == "plan.time":
            writer.discard()
            raise
        stopped = isinstance(error, StopRequested | KeyboardInterrupt | SystemExit | GeneratorExit)
        with contextlib.suppress(RunError):  # a full disk must not hide what went wrong first
            writer.update(status="interrupted" if stopped else "failed", error=str(error) or type(error).__name__)
        raise
    finally:
        writer.close()


def describe_run(job: Job, looked: Looked, decided: Decided, split: Split, weights: tuple[str, str]) -> dict[str, Any]:
    """Return what ``run.json`` records before a training starts; ``weights`` are (source, licence) in words."""
    samples, earlier, hardware = looked.samples, looked.earlier, decided.hardware
    start = {}
    if earlier:
        classes = compare_classes(samples.classes, earlier)
        start = {"earlier_classes": classes, "start_is_traced": earlier.is_traced}
    return {
        "command": " ".join(sys.argv),
        "chosen": json.loads(json.dumps(job.chosen, default=str)),
        "data": describe_source(job.source),
        "data_root": str(samples.root.resolve()),
        "data_fingerprint": samples.fingerprint(),
        "classes": list(samples.classes),
        "split_rule": split.rule,
        "split_notes": list(split.notes),
        "headline_part": split.headline,
        "model": decided.plan.settings.model,
        "weights": weights[0],
        "licence": weights[1],
        **start,
        "hardware": {"device": hardware.device, "name": hardware.name, "threads": hardware.threads},
        "process_settings": set_up_process().record(),
        "versions": {
            "sightline": version("sightline"),
            "python": sys.version.split()[0],
            **ENGINES[decided.plan.settings.engine].versions(),
        },
    }
