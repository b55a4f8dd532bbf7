"""From a prepared job to a finished run, step by step; and the last steps again for a run that was stopped."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.caches import cache_limit
from sightline.checks.checkup import check_subject
from sightline.checks.finding import Findings
from sightline.checks.subject import Subject
from sightline.data.inspect import refuse_bad
from sightline.data.samples import Samples
from sightline.data.sources import describe_source
from sightline.data.split import Split
from sightline.errors import InputError, RunError, StopRequested
from sightline.events import (
    Event,
    Noted,
    RunEnded,
    RunStarted,
    StageEnded,
    Warned,
)
from sightline.pipeline.decide import plan_job
from sightline.pipeline.finish import finish_run
from sightline.pipeline.fit import Lesson, learn
from sightline.pipeline.look import Job, Prepared
from sightline.pipeline.processes import Company
from sightline.pipeline.resume import find_unfinished, has_state, prepare_again
from sightline.pixels.cache import PixelStore
from sightline.planning.budget import Costs
from sightline.planning.facts import EarlierRun
from sightline.planning.plan import Plan
from sightline.reading.decode import decode_images
from sightline.reading.progress import noting_stages
from sightline.reading.weights import compare_classes, fetch_weights
from sightline.reporting.page import write_page
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.writer import RunWriter, refuse_name
from sightline.text import duration

if TYPE_CHECKING:
    from sightline.networks.weights import StartWeights

__all__ = [
    "Material",
    "data_name",
    "decode_material",
    "kept_status",
    "run_facts",
    "train_job",
    "train_whole",
]


def train_job(job: Job) -> Generator[Event, None, Run]:
    """Train, export, evaluate and report; returns the finished run.

    Whatever ends it early, the run folder says ``interrupted`` or ``failed`` and stays valid.
    """
    stages: list[StageEnded] = []
    with contextlib.closing(Company(job.devices)) as company:
        return (yield from noting_stages(_train(job, company, stages), stages))


def _train(job: Job, company: Company, stages: list[StageEnded]) -> Generator[Event, None, Run]:
    run = find_unfinished(job) if job.resume else None
    if run is not None and run.status == "finished":
        yield Noted(f"{run.folder} is finished: there is nothing to go on with, and nothing was changed.")
        return run
    if run is None:
        refuse_name(job.out, job.name)
    cache_limit()  # a wrong one is said before anything is done
    differs = ""
    if run is not None and run.plan_file.is_file():
        prepared, differs = yield from prepare_again(job, run, company)
    else:
        prepared = yield from plan_job(job)
    processes = company.count(prepared.plan.settings.device)
    weights, description = None, ("", "")
    if run is None or not has_state(run):  # a saved state holds all weights
        weights, description = yield from fetch_weights(
            prepared.plan.settings, prepared.network, prepared.samples.classes, prepared.earlier
        )
    if run is None:
        facts = {**run_facts(job, prepared, prepared.split, description), "processes": processes}
        writer = RunWriter.create(job.out, job.name, data_name(job), facts, job.started)
    else:
        writer = RunWriter.open(run, job.started)
        writer.update(status="running", data_root=str(prepared.samples.root.resolve()), error=None, files=None)
    is_new, run = run is None, writer.run
    before = 0.0 if is_new else float(run.facts.get("seconds", 0))
    with kept_status(writer, is_new=is_new):
        if is_new or not run.plan_file.is_file():  # another device is used for once, and is not planned for ever
            writer.write_plan(prepared.plan.to_toml())  # first: who listens looks it up
        yield RunStarted(str(run.folder))
        if writer.lock_problem:
            yield Warned("run.no-lock", writer.lock_problem, "never let two commands write into one run")
        material = yield from decode_material(prepared, weights)
        material = replace(material, resume=job.resume, differs=differs, company=company, processes=processes)
        limit = prepared.plan.settings.time
        ends = job.started + limit - before if limit else math.inf
        headline = yield from train_whole(writer, prepared.plan, material, prepared.split, ends, stages)
        if not job.keep_checkpoints:
            writer.drop_checkpoints()
    seconds = time.monotonic() - job.started
    if limit and seconds + before > limit:
        over = f"the run took {duration(seconds + before - limit)} more than its {duration(limit)}"
        yield Warned(
            "run.over-time", over, "give more time, or leave the machine to it: the end took longer than before"
        )
    yield RunEnded(str(run.folder), f"{headline}; {seconds:.0f} s in all")
    return run


@dataclass(frozen=True, slots=True)
class Material:
    """What trainings on the same images share: the images, decoded once, and the weights that they start from.

    ``findings`` are those of ``split``; a training on another one has its own. ``resume`` and ``differs`` are of a run
    that goes on; ``company`` and ``processes`` are of one that several processes make together.
    """

    samples: Samples
    store: PixelStore
    weights: StartWeights | None
    findings: Findings
    split: Split
    earlier: EarlierRun | None = None
    costs: Costs | None = None
    resume: bool = False
    differs: str = ""
    company: Company | None = None
    processes: int = 1


def decode_material(prepared: Prepared, weights: StartWeights | None) -> Generator[Event, None, Material]:
    """Decode the images, once; what became unreadable since they were inspected is a finding."""
    samples, store = yield from decode_images(prepared.samples, prepared.plan)
    refuse_bad(samples, prepared.plan.settings.on_bad)
    findings = prepared.findings
    if samples.errors != prepared.samples.errors:
        split = _without_bad(prepared.split, samples)
        findings = check_subject(Subject(samples, split, None, prepared.plan.preprocess.value_range))
    return Material(samples, store, weights, findings, prepared.split, prepared.earlier, prepared.costs)


def train_whole(
    writer: RunWriter,
    plan: Plan,
    material: Material,
    split: Split,
    ends: float = math.inf,
    stages: Sequence[StageEnded] = (),
) -> Generator[Event, None, str]:
    """Fill a run's folder, from data to report, until ``ends`` by ``time.monotonic()``; returns the headline.

    ``stages`` are those that ended so far, whoever made them; they grow.
    """
    samples, store, findings = material.samples, material.store, material.findings
    if split is not material.split:  # another fold: what the split does to groups and copies differs
        subject = Subject(samples, _without_bad(split, samples), None, plan.preprocess.value_range)
        findings = check_subject(subject)
    split = _without_bad(split, samples)
    if plan.settings.fixes:
        writer.keep_fixes(plan.settings.fixes)
    writer.write_data(samples.columns(), split.columns(), [finding.to_dict() for finding in findings])
    if material.earlier:
        writer.write_earlier(material.earlier.seen)
    if material.company:
        material.company.start(writer.run.folder, material.processes)
    lesson = Lesson(
        samples,
        split,
        store,
        material.weights,
        material.costs,
        material.resume,
        material.differs,
        material.company,
    )
    yield from learn(writer, plan, lesson, ends)
    headline = yield from finish_run(writer, plan, samples, split, store)
    writer.update(headline=headline, stages=[asdict(stage) for stage in stages])
    yield from write_page(writer.run)
    writer.update(status="finished", files=hash_files(writer.run))
    return headline


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


def data_name(job: Job) -> str:
    """Return what the data are called in a run's name."""
    source = Path(describe_source(job.source)).resolve()
    return source.name if source.is_dir() else source.stem


def run_facts(job: Job, prepared: Prepared, split: Split, weights: tuple[str, str]) -> dict[str, Any]:
    """Return what ``run.json`` says before a training starts; ``weights`` are (source, licence) in words."""
    from sightline.training.setup import versions

    return {
        "command": " ".join(sys.argv),
        "chosen": json.loads(json.dumps({**job.recipe.chosen, **job.options.chosen}, default=str)),
        "data": describe_source(job.source),
        "data_root": str(prepared.samples.root.resolve()),
        "data_fingerprint": prepared.samples.fingerprint(),
        "classes": list(prepared.samples.classes),
        "split_rule": split.rule,
        "split_notes": list(split.notes),
        "headline_part": split.headline,
        "model": prepared.plan.settings.model,
        "weights": weights[0],
        "licence": weights[1],
        **_facts_of_start(prepared),
        "hardware": {
            "device": prepared.hardware.device,
            "name": prepared.hardware.name,
            "threads": prepared.hardware.threads,
        },
        "versions": {"sightline": version("sightline"), "python": sys.version.split()[0], **versions()},
    }


def _facts_of_start(prepared: Prepared) -> dict[str, Any]:
    if prepared.earlier is None:
        return {}
    return {
        "earlier_classes": compare_classes(prepared.samples.classes, prepared.earlier),
        "start_is_traced": prepared.earlier.is_traced,
    }


def _without_bad(split: Split, samples: Samples) -> Split:
    """Take images that turned out unreadable out of training and validation; in a test they are counted."""
    parts = split.parts.copy()
    parts[~samples.is_ok & (parts != "test")] = ""
    return Split(parts, split.seed, split.rule, split.notes, split.headline, split.leaked)
