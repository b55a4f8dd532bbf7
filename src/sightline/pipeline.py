"""The whole way, in order: inspect, split, plan, decode, train, export, evaluate, report.

Comes in: a :class:`Job`. Goes out: events, and a run folder. It knows every room below it and no terminal; what
each step does stands in the room that does it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sightline.checks.doctor import check_samples
from sightline.checks.finding import Finding
from sightline.data.inspect import inspect_samples, refuse_too_many_bad
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.data.split import Split, make_split
from sightline.errors import ExportMismatch, RunError
from sightline.evaluation.result import Evaluation, evaluate_rows
from sightline.events import (
    EpochEnded,
    Event,
    Noted,
    Planned,
    Progressed,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    Warned,
)
from sightline.installation import cache_folder, require_extra
from sightline.pixels.cache import PixelStore, open_store
from sightline.planning.facts import Hardware, NetworkFacts, describe_data
from sightline.planning.plan import Plan, choose_model, make_plan
from sightline.planning.recipe import Recipe
from sightline.runs.folder import RUNS_FOLDER, Run
from sightline.runs.writer import RunWriter
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier
from sightline.runtime.predictions import Predictions

T = TypeVar("T")

__all__ = ["Job", "check_source", "evaluate_files", "export_run", "plan_job", "train_job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a training is asked for.

    Attributes:
        source: folder or table of images.
        recipe: choices from a file; may be empty.
        options: choices typed for this run; they win.
        out: folder that holds runs.
        name: of the run; None makes one.
        keep_checkpoints: keep the best epoch's checkpoint after the run is finished.
    """

    source: str | Path
    recipe: Recipe = field(default_factory=Recipe)
    options: Recipe = field(default_factory=Recipe)
    out: str | Path = RUNS_FOLDER
    name: str | None = None
    keep_checkpoints: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known before the first picture is decoded for training."""

    samples: Samples
    split: Split
    plan: Plan
    hardware: Hardware
    network: NetworkFacts


def check_source(source: str | Path) -> Generator[Event, None, tuple[Samples, list[Finding]]]:
    """Read and decode every image of a source and return what is wrong with it."""
    samples = yield from _inspect(source, full=True)
    return samples, check_samples(samples, make_split(samples))


def plan_job(job: Job) -> Generator[Event, None, Prepared]:
    """Look at data, machine and network, and decide every setting; nothing is written and nothing trained."""
    require_extra("train", "training")
    samples = yield from _inspect(job.source)
    refuse_too_many_bad(samples)
    chosen = {**job.recipe.chosen, **job.options.chosen}
    split = make_split(
        samples,
        seed=chosen.get("seed", 0),
        val_share=chosen.get("val_share"),
        test_share=chosen.get("test_share"),
        select_on_val=chosen.get("select_on_val", False),
    )
    counts = ", ".join(f"{count:,} {part}" for part, count in split.counts().items() if count)
    yield Noted(f"Split: {counts}. {split.rule}." + "".join(f" {note}." for note in split.notes))
    for finding in check_samples(samples, split)[:3]:
        if finding.severity != "note":
            yield Warned(f"data.{finding.code}", finding.message, finding.cure)

    yield StageStarted("Planning", "loading torch")
    start = time.monotonic()
    from sightline.networks.describe import describe_network
    from sightline.training.hardware import probe_hardware
    from sightline.training.setup import estimate_seconds

    hardware = probe_hardware(chosen.get("device"))
    if hardware.warning:
        yield Warned("device.broken-cuda", hardware.warning, "sightline doctor says more; the CPU is used")
    data = describe_data(samples, split)
    network = describe_network(str(choose_model(job.recipe, job.options, data, hardware).value))
    plan = make_plan(job.recipe, job.options, data, hardware, network)
    seconds = estimate_seconds(plan.settings, len(samples.classes), data.counts["train"], data.counts["val"])
    yield StageEnded("Planning", f"{plan.settings.model} on {hardware.device}", time.monotonic() - start)
    yield Planned(plan.rows(), seconds)
    return Prepared(samples, split, plan, hardware, network)


def train_job(job: Job) -> Generator[Event, None, Run]:
    """Train, export, evaluate and report; returns the finished run.

    Whatever ends it early, the run folder says ``interrupted`` or ``failed`` and stays valid.
    """
    started = time.monotonic()
    prepared = yield from plan_job(job)
    weights, description = yield from _fetch_weights(prepared)
    writer = RunWriter.create(job.out, job.name, Path(job.source).resolve().stem, _facts(job, prepared, description))
    run = writer.run
    yield RunStarted(str(run.folder))
    try:
        writer.write_plan(prepared.plan.to_toml())
        samples, store = yield from _decode(prepared.samples, prepared.plan)
        refuse_too_many_bad(samples)
        split = _without_bad(prepared.split, samples)
        findings = [finding.to_dict() for finding in check_samples(samples, split)]
        writer.write_data(samples.columns(), list(split.parts), findings)
        yield from _train(writer, prepared.plan, samples, split, store, weights)
        headline = yield from _finish(writer, prepared.plan, samples, split, store)
        writer.update(headline=headline)
        yield from _report(run)
        writer.update(status="finished")
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        writer.update(status="interrupted" if stopped else "failed", error=str(error) or type(error).__name__)
        raise
    if not job.keep_checkpoints:
        writer.drop_checkpoints()
    yield RunEnded(str(run.folder), f"{headline}; {time.monotonic() - started:.0f} s in all")
    return run


def export_run(run: Run) -> Generator[Event, None, Run]:
    """Make a classifier of a run's best epoch so far, evaluate it and write the report.

    Raises:
        RunError: if the run is still running, or has no epoch to export.
    """
    require_extra("train", "exporting")
    if not run.split_file.is_file():
        raise RunError("run.no-checkpoint", f"{run.folder} was stopped before its first epoch", "train again")
    plan = Plan.from_toml(run.plan_file.read_text(encoding="utf-8"), source=str(run.plan_file))
    samples, split = _load_data(run)
    writer = RunWriter(run, run.facts)
    _, store = yield from _decode(samples, plan)
    headline = yield from _finish(writer, plan, samples, split, store)
    writer.update(headline=headline)
    yield from _report(run)
    yield RunEnded(str(run.folder), headline)
    return run


def evaluate_files(
    classifier: Classifier, files: list[Path], names: list[str], labels: npt.NDArray[np.int64]
) -> Generator[Event, None, Evaluation]:
    """Predict images whose classes are known and return every figure.

    Args:
        classifier: the exported one: what it says is what is measured.
        files, names: the images, and what to call them.
        labels: positions in the classifier's classes.
    """
    yield StageStarted("Evaluating", f"{len(files):,} images with the exported classifier")
    start, parts, done = time.monotonic(), [], 0
    for part in classifier.predict_stream(files):
        parts.append(part)
        done += len(part)
        yield Progressed(done, len(files), "images")
    said = Predictions.join(parts)
    said = Predictions(said.classes, tuple(names), said.probabilities, said.features, said.errors)
    evaluation = evaluate_rows(said, labels)
    yield StageEnded("Evaluating", str(evaluation.accuracy), time.monotonic() - start)
    return evaluation


# -- steps, in the order in which they happen ---------------------------------------------------------------


def _inspect(source: str | Path, *, full: bool = False) -> Generator[Event, None, Samples]:
    yield StageStarted("Reading", str(source))
    start = time.monotonic()
    found = read_samples(source)
    samples = yield from _counted(inspect_samples(found, full=full), len(found))
    bad = f", {len(samples.errors):,} unreadable" if samples.errors else ""
    skipped = f", {len(samples.skipped):,} files and folders skipped" if samples.skipped else ""
    detail = f"{len(samples):,} images in {len(samples.classes)} classes{bad}{skipped}"
    yield StageEnded("Reading", detail, time.monotonic() - start)
    return samples


def _fetch_weights(prepared: Prepared) -> Generator[Event, None, tuple[Path | None, tuple[str, str]]]:
    """Return (file, (source, licence) in words); download them first where they are not here yet."""
    settings = prepared.plan.settings
    if not settings.pretrained:
        return None, ("none: trained from scratch", "not needed")
    from sightline.networks.weights import download_weights, find_weights

    weights = find_weights(prepared.network, settings.weights)
    if weights.path is None:
        size = f"{weights.size / 1e6:.1f} MB, licence: {weights.licence}, into {weights.target}"
        yield StageStarted("Downloading", f"{weights.source}: {size}")
        start = time.monotonic()
        path = download_weights(prepared.network, weights)
        yield StageEnded("Downloading", size, time.monotonic() - start)
    else:
        path = weights.path
        yield Noted(f"Weights: {weights.source}; licence: {weights.licence}.")
    return path, (weights.source, weights.licence)


def _facts(job: Job, prepared: Prepared, weights: tuple[str, str]) -> dict[str, Any]:
    from sightline.training.setup import versions

    return {
        "command": " ".join(sys.argv),
        "data": str(job.source),
        "data_root": str(prepared.samples.root.resolve()),
        "data_fingerprint": prepared.samples.fingerprint(),
        "classes": list(prepared.samples.classes),
        "split_rule": prepared.split.rule,
        "split_notes": list(prepared.split.notes),
        "headline_part": prepared.split.headline,
        "model": prepared.plan.settings.model,
        "weights": weights[0],
        "licence": weights[1],
        "hardware": {
            "device": prepared.hardware.device,
            "name": prepared.hardware.name,
            "threads": prepared.hardware.threads,
        },
        "versions": {"sightline": version("sightline"), "python": sys.version.split()[0], **versions()},
    }


def _decode(samples: Samples, plan: Plan) -> Generator[Event, None, tuple[Samples, PixelStore]]:
    yield StageStarted("Decoding", f"{len(samples):,} images, once")
    start = time.monotonic()
    folder = cache_folder() / "pixels"
    filling = open_store(samples.files, list(samples.digests), plan.preprocess, folder, threads=plan.settings.threads)
    store = yield from _counted(filling, len(samples))
    if store.fallback:
        cure = "set SIGHTLINE_CACHE to a folder with space; until then pictures stay in memory"
        yield Warned("cache.unwritable", f"the cache can't be used: {store.fallback}", cure)
    took = max(1e-9, time.monotonic() - start)
    speed = "from the cache" if store.was_cached else f"{len(samples) / took:,.0f} images/s"
    yield StageEnded("Decoding", speed, took)
    return samples.with_errors(store.errors), store


def _without_bad(split: Split, samples: Samples) -> Split:
    """Take images that turned out unreadable out of training and validation; in a test they are counted."""
    parts = split.parts.copy()
    parts[~samples.is_ok & (parts != "test")] = ""
    return Split(parts, split.seed, split.rule, split.notes, split.headline, split.leaked)


def _train(
    writer: RunWriter, plan: Plan, samples: Samples, split: Split, store: PixelStore, weights: Path | None
) -> Generator[Event, None, None]:
    from sightline.training.loop import train_network
    from sightline.training.setup import make_batches, set_up_network

    yield StageStarted("Training", plan.settings.model)
    start = time.monotonic()
    network = set_up_network(plan.settings, len(samples.classes), weights)
    train, val = (
        make_batches(plan, store, rows.tolist(), samples.labels[rows].tolist())
        for rows in (split.rows("train"), split.rows("val"))
    )
    for event in train_network(network, train, val, plan.settings, writer.run.best_checkpoint):
        if isinstance(event, EpochEnded):
            names = [name for name in EpochEnded.__dataclass_fields__ if name not in ("epochs", "is_best")]
            writer.add_epoch({name: getattr(event, name) for name in names})
        yield event
    yield StageEnded("Training", "", time.monotonic() - start)


def _finish(
    writer: RunWriter, plan: Plan, samples: Samples, split: Split, store: PixelStore
) -> Generator[Event, None, str]:
    """Export the best epoch, evaluate what was exported, and write both down; returns the headline."""
    run = writer.run
    yield from _export(writer, plan, samples, split)
    rows = split.rows(split.headline)
    names = [str(samples.paths[row]) for row in rows]
    files = [samples.file(row) for row in rows]
    evaluation = yield from evaluate_files(run.classifier(), files, names, samples.labels[rows])
    evaluation = evaluation.with_leaks(split.leaked[rows]).with_part(split.headline)
    train = split.rows("train")
    evaluation = evaluation.with_baselines(
        samples.labels[train], _thumbnails(store, plan, train, 20_000), _thumbnails(store, plan, rows, None)
    )
    said = evaluation.predictions
    features = said.features.astype(np.float16)
    writer.write_evaluation(evaluation.metrics, evaluation.columns(), said.probabilities, features)
    return evaluation.headline()


def _export(writer: RunWriter, plan: Plan, samples: Samples, split: Split) -> Generator[Event, None, None]:
    from sightline.exporting.export import export_classifier
    from sightline.training.setup import load_trained

    run = writer.run
    facts = run.facts
    yield StageStarted("Exporting", "model.onnx, compared with the network on real images")
    start = time.monotonic()
    shipped = run.classifier_folder / "model.safetensors"
    network, epoch = load_trained(plan.settings, len(samples.classes), run.best_checkpoint, shipped)
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
    order: Iterable[int] = np.concatenate([split.rows("val"), split.rows("train")])
    try:
        proof = export_classifier(network, bundle, run.classifier_folder, [samples.file(row) for row in order])
    except ExportMismatch as error:
        writer.update(export={"error": error.message})
        raise
    writer.update(export=proof.to_dict(), **({} if epoch is None else {"best_epoch": epoch}))
    detail = f"same decisions as the network on {proof.images} images, probabilities within {proof.max_difference:.1g}"
    yield StageEnded("Exporting", detail, time.monotonic() - start)


def _thumbnails(store: PixelStore, plan: Plan, rows: npt.NDArray[np.intp], most: int | None) -> dict[int, Any]:
    """Return position in ``rows`` -> a 16 x 16 picture as a vector, for the baseline; at most ``most``, evenly."""
    from PIL import Image

    step = max(1, len(rows) // most) if most else 1
    small = {}
    for position in range(0, len(rows), step):
        if int(rows[position]) not in store.errors:
            square = Image.fromarray(plan.preprocess.finish(store[int(rows[position])]))
            small[position] = np.asarray(square.resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
    return small


def _report(run: Run) -> Generator[Event, None, None]:
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
    seen = set(samples.digests[np.isin(parts, ("train", "val"))]) - {""}
    leaked = np.array([row["split"] == "test" and row["sha256"] in seen for row in rows], bool)
    return samples, Split(parts, 0, facts["split_rule"], tuple(facts["split_notes"]), facts["headline_part"], leaked)


def _counted(steps: Generator[int, None, T], total: int) -> Generator[Event, None, T]:
    """Turn a generator of counts into one of progress events, at most ten a second."""
    shown = 0.0
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            yield Progressed(done, total, "images")
