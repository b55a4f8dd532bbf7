"""From a prepared job to a finished run, step by step; and the last steps again for a run that was stopped."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.checks.doctor import check_subject
from sightline.checks.finding import Findings
from sightline.checks.subject import Subject
from sightline.data.inspect import refuse_bad
from sightline.data.samples import Samples
from sightline.data.sources import describe_source
from sightline.data.split import Split
from sightline.errors import ExportMismatch, RunError
from sightline.events import (
    EpochEnded,
    Event,
    RateFound,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    StepEnded,
    ValidationMeasured,
    Warned,
)
from sightline.installation import cache_folder, cache_limit, require_extra
from sightline.pipeline.measure import evaluate_samples, picture_mistakes, small_pictures
from sightline.pipeline.prepare import Job, Prepared, plan_job
from sightline.pipeline.progress import counted
from sightline.pipeline.start import compare_classes, fetch_weights
from sightline.pipeline.views import add_views
from sightline.pixels.cache import Known, PixelStore, open_store
from sightline.planning.decisions import Decision
from sightline.planning.facts import EarlierRun
from sightline.planning.plan import Plan
from sightline.runs.folder import Run, refuse_repeated
from sightline.runs.lock import lock_run
from sightline.runs.writer import RunWriter, refuse_name
from sightline.runtime.bundle import Bundle

if TYPE_CHECKING:
    from sightline.networks.weights import StartWeights

__all__ = [
    "Material",
    "data_name",
    "decode_material",
    "export_run",
    "kept_status",
    "run_facts",
    "train_job",
    "train_whole",
    "write_page",
]

_EPOCH = [name for name in EpochEnded.__dataclass_fields__ if name not in ("epochs", "is_best")]
_VIEW_SIDE = 96  # px of the pictures of random changes that a run keeps


def train_job(job: Job) -> Generator[Event, None, Run]:
    """Train, export, evaluate and report; returns the finished run.

    Whatever ends it early, the run folder says ``interrupted`` or ``failed`` and stays valid.
    """
    started = time.monotonic()
    refuse_name(job.out, job.name)
    cache_limit()  # a wrong one is said before anything is done
    prepared = yield from plan_job(job)
    weights, description = yield from fetch_weights(prepared)
    facts = run_facts(job, prepared, prepared.split, description)
    writer = RunWriter.create(job.out, job.name, data_name(job), facts)
    run = writer.run
    with kept_status(writer):
        writer.write_plan(prepared.plan.to_toml())  # first: who listens looks it up
        yield RunStarted(str(run.folder))
        material = yield from decode_material(prepared, weights)
        headline = yield from train_whole(writer, prepared.plan, material, prepared.split)
    if not job.keep_checkpoints:
        writer.drop_checkpoints()
    yield RunEnded(str(run.folder), f"{headline}; {time.monotonic() - started:.0f} s in all")
    return run


@dataclass(frozen=True, slots=True)
class Material:
    """What trainings on the same images share: the pictures, decoded once, and the weights that they start from.

    ``findings`` are those of ``split``; a training on another one has its own.
    """

    samples: Samples
    store: PixelStore
    weights: StartWeights | None
    findings: Findings
    split: Split
    earlier: EarlierRun | None = None


def decode_material(prepared: Prepared, weights: StartWeights | None) -> Generator[Event, None, Material]:
    """Decode the pictures, once; what became unreadable since they were inspected is a finding."""
    samples, store = yield from decode_pictures(prepared.samples, prepared.plan)
    refuse_bad(samples, prepared.plan.settings.on_bad)
    findings = prepared.findings
    if samples.errors != prepared.samples.errors:
        split = _without_bad(prepared.split, samples)
        findings = check_subject(Subject(samples, split, None, prepared.plan.preprocess.value_range))
    return Material(samples, store, weights, findings, prepared.split, prepared.earlier)


def train_whole(writer: RunWriter, plan: Plan, material: Material, split: Split) -> Generator[Event, None, str]:
    """Fill a run's folder, from its data to its report; returns the headline."""
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
    yield from _train(writer, plan, samples, split, store, material.weights)
    headline = yield from _finish(writer, plan, samples, split, store)
    writer.update(headline=headline)
    yield from write_page(writer.run)
    writer.update(status="finished")
    return headline


@contextlib.contextmanager
def kept_status(writer: RunWriter) -> Iterator[None]:
    """Write into the run's folder that it was interrupted or failed, whatever ends it early."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        with contextlib.suppress(RunError):  # a full disk must not hide what went wrong first
            writer.update(status="interrupted" if stopped else "failed", error=str(error) or type(error).__name__)
        raise


def data_name(job: Job) -> str:
    """Return what the data are called in a run's name."""
    source = Path(describe_source(job.source)).resolve()
    return source.name if source.is_dir() else source.stem


def export_run(run: Run) -> Generator[Event, None, Run]:
    """Make a classifier of a run's best epoch so far, evaluate it and write the report.

    Raises:
        RunError: if the run has no epoch to export, or another process writes into it.
    """
    require_extra("train", "exporting")
    refuse_repeated(run)
    if not run.split_file.is_file():
        raise RunError("run.no-checkpoint", f"{run.folder} was stopped before its first epoch", "train again")
    with lock_run(run.folder):  # a training that goes on would replace what is exported
        headline = yield from _export_again(run)
    yield RunEnded(str(run.folder), headline)
    return run


def _export_again(run: Run) -> Generator[Event, None, str]:
    plan = run.plan
    samples, split = _load_data(run)
    writer = RunWriter(run, run.facts)
    samples, store = yield from decode_pictures(samples, plan)
    headline = yield from _finish(writer, plan, samples, split, store)
    status = "interrupted" if run.status == "running" else run.status  # killed: nobody could say so
    writer.update(headline=headline, status=status)
    yield from write_page(run)
    return headline


def run_facts(job: Job, prepared: Prepared, split: Split, weights: tuple[str, str]) -> dict[str, Any]:
    """Return what ``run.json`` says before a training starts; ``weights`` are (source, licence) in words."""
    from sightline.training.setup import versions

    return {
        "command": " ".join(sys.argv),
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
    return {"earlier_classes": compare_classes(prepared), "start_is_traced": prepared.earlier.is_traced}


def decode_pictures(samples: Samples, plan: Plan) -> Generator[Event, None, tuple[Samples, PixelStore]]:
    """Return (samples with what can't be read, the store of their pictures)."""
    yield StageStarted("Decoding", f"{len(samples):,} images, once")
    start = time.monotonic()
    folder = cache_folder() / "pixels"
    known = Known(samples.errors, samples.widths, samples.heights)
    threads, limit = plan.settings.threads, cache_limit()
    filling = open_store(
        samples.files, list(samples.digests), plan.preprocess, folder, threads=threads, limit=limit, known=known
    )
    store = yield from counted(filling, len(samples))
    if store.fallback:
        yield _describe_fallback(store)
    took = max(1e-9, time.monotonic() - start)
    speed = "from the cache" if store.was_cached else f"{(len(samples) - store.streamed) / took:,.0f} images/s"
    yield StageEnded("Decoding", f"{store.streamed:,} images in every epoch" if store.streamed else speed, took)
    return samples.with_errors(store.errors), store


def _describe_fallback(store: PixelStore) -> Warned:
    """Say why pictures are not cached, what that means, and what to do."""
    means = f"{store.streamed:,} are decoded again in every epoch" if store.streamed else "they stay in memory"
    if store.is_too_large:
        cure = "allow more with SIGHTLINE_CACHE_LIMIT, for example 40G, or set SIGHTLINE_CACHE to a folder with space"
        return Warned("cache.too-large", f"decoded pictures are not kept: {store.fallback}; {means}", cure)
    cure = "set SIGHTLINE_CACHE to a folder that can be written and has space"
    return Warned("cache.unwritable", f"decoded pictures can't be kept: {store.fallback}; {means}", cure)


def _without_bad(split: Split, samples: Samples) -> Split:
    """Take images that turned out unreadable out of training and validation; in a test they are counted."""
    parts = split.parts.copy()
    parts[~samples.is_ok & (parts != "test")] = ""
    return Split(parts, split.seed, split.rule, split.notes, split.headline, split.leaked)


def _train(
    writer: RunWriter, plan: Plan, samples: Samples, split: Split, store: PixelStore, weights: StartWeights | None
) -> Generator[Event, None, None]:
    from sightline.training.loop import train_network
    from sightline.training.setup import make_batches, set_up_network, whiten_network

    yield StageStarted("Training", plan.settings.model)
    start = time.monotonic()
    network = set_up_network(plan.settings, len(samples.classes), weights)
    train, val = (
        make_batches(plan, store, rows.tolist(), samples.labels[rows].tolist())
        for rows in (split.rows("train"), split.rows("val"))
    )
    if weights is None:
        whiten_network(network, train, plan.settings.seed)
    _keep_views(writer, train, plan.settings, len(samples.classes))
    steps: list[StepEnded] = []
    for event in train_network(network, train, val, plan.settings, writer.run.best_checkpoint):
        if isinstance(event, StepEnded):
            steps.append(event)
        elif isinstance(event, RateFound):
            writer.write_plan(_with_rate(plan, event).to_toml())
            writer.write_rates(event.rates, event.losses)
        elif isinstance(event, EpochEnded):
            writer.add_epoch({name: getattr(event, name) for name in _EPOCH})
            writer.add_steps(steps)
            steps = []
        yield event
        if isinstance(event, ValidationMeasured):
            yield picture_mistakes(event, store, plan.preprocess, split.rows("val"))
    yield StageEnded("Training", "", time.monotonic() - start)


def _keep_views(writer: RunWriter, train: Any, settings: Any, classes: int) -> None:
    """Write a few training images as the network gets them, small, for the report."""
    from sightline.training.views import choose_rows, make_views

    views = make_views(train.take(choose_rows(train.labels, 4)), settings, classes, 6)
    small = views.shrunk(_VIEW_SIDE)
    writer.write_views(labels=small.labels, plain=small.plain, changed=small.changed, shares=small.shares)


def _with_rate(plan: Plan, found: RateFound) -> Plan:
    """Return the plan with the rate that was found; trained again from its file, it is not looked for again."""
    plan = plan.replace(Decision("learning_rate", found.rate, "finder", found.reason))
    return plan.replace(Decision("find_rate", False, "finder", "it was looked for, and stands in learning_rate"))


def _finish(
    writer: RunWriter, plan: Plan, samples: Samples, split: Split, store: PixelStore
) -> Generator[Event, None, str]:
    """Export the best epoch, evaluate what was exported, and write both down; returns the headline."""
    run = writer.run
    yield from _export(writer, plan, samples, split)
    rows = split.rows(split.headline)
    measured = evaluate_samples(run.classifier(), samples, rows, samples.labels[rows], split.leaked[rows])
    evaluation = (yield from measured).with_part(split.headline)
    train = split.rows("train")
    evaluation = evaluation.with_baselines(
        samples.labels[train],
        small_pictures(store, plan.preprocess, train, 20_000),
        small_pictures(store, plan.preprocess, rows, None),
    )
    if plan.settings.views > 1:
        looks = plan.settings.views, plan.settings.flip > 0
        evaluation = yield from add_views(run.classifier(), samples, rows, evaluation, looks)
    said = evaluation.predictions
    features = said.features.astype(np.float16)
    writer.write_evaluation(evaluation.metrics, evaluation.columns(), said.probabilities, features)
    return evaluation.headline()


def _export(writer: RunWriter, plan: Plan, samples: Samples, split: Split) -> Generator[Event, None, None]:
    from sightline.exporting.export import export_classifier
    from sightline.exporting.parity import MAX_IMAGES
    from sightline.training.setup import load_trained

    run = writer.run
    facts = run.facts
    yield StageStarted("Exporting", "model.onnx, compared with the network on real images")
    start = time.monotonic()
    network, epoch = load_trained(plan.settings, len(samples.classes), run.best_checkpoint, run.weights_file)
    bundle = Bundle(
        classes=samples.classes,
        preprocess=plan.preprocess,
        model=plan.settings.model,
        feature_size=network.feature_size,
        weights=facts["weights"],
        licence=facts["licence"],
        data_fingerprint=facts["data_fingerprint"],
        sightline=version("sightline"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    chosen = np.concatenate([split.rows("val"), split.rows("train")])
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MAX_IMAGES)).astype(int)]  # of every class
    try:
        proof = export_classifier(network, bundle, run.classifier_folder, [samples.file(row) for row in chosen])
    except ExportMismatch as error:
        writer.update(export={"error": error.message})
        raise
    writer.update(export=proof.to_dict(), **({} if epoch is None else {"best_epoch": epoch}))
    detail = f"same decisions as the network on {proof.images} images, probabilities within {proof.max_difference:.1g}"
    yield StageEnded("Exporting", detail, time.monotonic() - start)


def write_page(run: Run) -> Generator[Event, None, None]:
    """Write the report, with events."""
    from sightline.reporting.page import write_report

    yield StageStarted("Reporting", "")
    start = time.monotonic()
    write_report(run)
    yield StageEnded("Reporting", str(run.report_file), time.monotonic() - start)


def _load_data(run: Run) -> tuple[Samples, Split]:
    """Return the samples and the split as a run wrote them."""
    facts, rows = run.facts, run.samples
    classes = tuple(facts["classes"])
    samples = Samples(
        root=Path(facts["data_root"]),
        source=facts["data"],
        classes=classes,
        paths=np.array([row["path"] for row in rows], object),
        labels=np.array([classes.index(row["label"]) for row in rows], np.int64),
        digests=np.array([row["sha256"] for row in rows], object),
        errors={position: row["error"] for position, row in enumerate(rows) if row["error"]},
    )
    parts = np.array([row["split"] for row in rows], object)
    part = facts["headline_part"]
    leaked = np.array([row["leaked"] == "1" for row in rows], bool)
    return samples, Split(parts, 0, facts["split_rule"], tuple(facts["split_notes"]), part, leaked)
