"""From the best epoch to what ships: export, evaluation, report; also for a run that was stopped."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.split import Split
from sightline.errors import ExportMismatch, RunError
from sightline.events import Event, RunEnded, StageEnded, StageStarted, Warned
from sightline.installation import require_extra
from sightline.measuring.averaged_views import add_views
from sightline.measuring.evaluate import count_evaluations, evaluate_samples, small_images
from sightline.measuring.explain import explain_some
from sightline.pipeline.calibrate import Calibrated, calibrate
from sightline.pipeline.engine import find_engine
from sightline.pipeline.frozen_features import compare_with_head
from sightline.pipeline.shipping import export_files, make_bundle
from sightline.pipeline.trained import Trained
from sightline.pipeline.trust import judge_evaluation
from sightline.pipeline.validation_gap import compare_with_validation, without_torn_groups
from sightline.pipeline.workbench import Workbench, set_up_workbench
from sightline.pixels.containers import Place
from sightline.planning.plan import Plan
from sightline.reporting.page import write_page
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.lock import lock_run
from sightline.runs.lookup import refuse_repeated, refuse_version
from sightline.runs.moved import refuse_gone
from sightline.runs.put_back import put_back_unless_done
from sightline.runs.targets import refuse_folder_target
from sightline.runs.unchanged import refuse_changed
from sightline.runs.writer import RunWriter, sweep_finished
from sightline.runtime.bundle import Bundle

if TYPE_CHECKING:
    from sightline.exporting.parity import ParityProof

__all__ = ["export_run", "finish", "measure_shipped"]


def export_run(run: Run, format: str = "onnx", *, without_images: bool = False) -> Generator[Event, None, Run]:
    """Make a classifier of a run's best epoch so far, evaluate it and write the report.

    Args:
        run: stopped or finished.
        format: a further format of the same network, beside ``model.onnx``.
        without_images: replace an evaluation by one of fewer images, where some are gone.

    Raises:
        InputError: if there is no such format.
        RunError: if the run has no epoch to export, another process writes into it, or images are gone.
    """
    require_extra("light", "exporting")
    refuse_folder_target(run.folder, "export a copy of the run's folder")
    from sightline.exporting.formats import find_format

    require_extra(find_format(format).extra, f"exporting to {format}")
    refuse_repeated(run)
    refuse_version(run)
    require_extra(find_engine(run.plan.settings.engine).extra, "exporting this run")
    if not run.split_file.is_file():
        raise RunError("run.no-checkpoint", f"{run.folder} was stopped before its first epoch", "train again")
    refuse_changed(run, run.plan_file, run.samples_file, run.split_file, run.weights_file)
    refuse_gone(run, "export", least=0)
    if run.metrics_file.is_file() and not without_images:
        refuse_gone(run, "export", parts=("val",))
    with lock_run(run.folder):  # a running training would replace what is exported
        before = run.facts.get("export", {}).get("formats", {})  # all files in the folder are of one network
        headline = yield from _export_again(run, tuple(dict.fromkeys(["onnx", *before, format])))
    sweep_finished(run)
    yield RunEnded(str(run.folder), headline)
    return run


def _export_again(run: Run, formats: tuple[str, ...]) -> Generator[Event, None, str]:
    plan = run.plan.without_limit()
    samples, split = read_dataset(run)
    writer = RunWriter(run, run.recorded_facts)
    workbench = yield from set_up_workbench(samples, split, plan)
    facts = {"files": None, **run.recorded_facts}
    try:
        with put_back_unless_done([run.classifier_folder, run.metrics_file.parent]):
            writer.update(files=None)  # whoever kills this leaves a run whose files are not vouched for
            headline = yield from finish(writer, plan, workbench, split, formats)
            status = "interrupted" if run.status == "running" else run.status  # killed: nobody could say so
            writer.update(headline=headline, status=status, files=hash_files(run))
    except BaseException:
        writer.update(**facts)
        raise
    yield from write_page(run)
    for name, result in run.facts["export"].get("formats", {}).items():
        if "error" in result:
            cure = "model.onnx is exported and evaluated; use it, or report this with the network's name"
            raise ExportMismatch("export.failed", f"no {name} file: {result['error']}", cure)
    return headline


def finish(
    writer: RunWriter,
    plan: Plan,
    workbench: Workbench,
    split: Split,
    formats: tuple[str, ...] = ("onnx",),
    *,
    is_counted: bool = True,
) -> Generator[Event, None, str]:
    """Export the best epoch, evaluate what was exported, and write both down; returns the headline.

    Args:
        writer: of the run.
        plan: that it followed.
        workbench: that it was trained on.
        split: the whole one. This step alone has the test images, when nothing is left to choose.
        formats: of ``FORMATS``, that are written.
        is_counted: whether this counts as an evaluation of the test images, see ``count_evaluations``.
    """
    calibrated = yield from _export(writer, plan, workbench, formats)
    return (yield from measure_shipped(writer, plan, workbench, split, calibrated, is_counted=is_counted))


def measure_shipped(
    writer: RunWriter,
    plan: Plan,
    workbench: Workbench,
    split: Split,
    calibrated: Calibrated,
    *,
    is_counted: bool = True,
) -> Generator[Event, None, str]:
    """Evaluate the classifier that is in the run's folder, and write it down; returns the headline.

    Args:
        calibrated: what its network learnt about itself on validation.
        writer, plan, workbench, split, is_counted: as for :func:`finish`.
    """
    run, samples, store = writer.run, workbench.samples, workbench.store
    rows, classifier = split.rows(split.headline), run.classifier()
    measured = evaluate_samples(classifier, samples, rows, samples.labels[rows], split.leaked[rows])
    evaluation = (yield from measured).with_part(split.headline)
    evaluation = judge_evaluation(evaluation, calibrated, classifier, samples, rows)
    if split.headline == "test":
        evaluation = yield from count_evaluations(evaluation, samples, rows, is_counted=is_counted)
        evaluation = yield from compare_with_validation(evaluation, calibrated, samples, split)
    evaluation = without_torn_groups(evaluation, samples, split)
    train = split.rows("train")
    evaluation = evaluation.with_baselines(
        samples.labels[train],
        small_images(store, plan.preprocess, train, 20_000),
        small_images(store, plan.preprocess, rows, None),
    )
    evaluation = yield from compare_with_head(run, plan, workbench, rows, evaluation)
    if plan.settings.views > 1:
        looks = plan.settings.views, plan.settings.flip > 0
        evaluation = yield from add_views(classifier, samples, rows, evaluation, looks)
    predictions = evaluation.predictions
    features = predictions.features.astype(np.float16)
    writer.write_evaluation(evaluation.metrics, evaluation.columns(), predictions.probabilities, features)
    writer.write_validation(calibrated.validation)
    yield from explain_some(writer, samples, rows, evaluation)
    return evaluation.headline()


def _export(
    writer: RunWriter, plan: Plan, workbench: Workbench, formats: tuple[str, ...]
) -> Generator[Event, None, Calibrated]:
    from sightline.exporting.formats import FORMATS
    from sightline.exporting.parity import ParityProof

    run, samples = writer.run, workbench.samples
    engine = find_engine(plan.settings.engine, formats)
    trained, epoch = engine.open(run, plan, len(samples.classes))
    with engine.named_errors(plan.settings):  # memory may be enough for training, and not for this
        calibrated = yield from calibrate(trained, plan, workbench)
    shipped = {name: FORMATS[name].file for name in formats}
    yield StageStarted("Exporting", f"{', '.join(shipped.values())}, compared with the network on real images")
    start = time.monotonic()
    bundle = make_bundle(run, plan, samples, trained.feature_size, calibrated)
    files = export_files(samples, workbench.split)
    try:
        with engine.named_errors(plan.settings):
            results = yield from _write_classifier(trained, calibrated, bundle, run.classifier_folder, files, formats)
    except ExportMismatch as error:
        writer.update(export={"error": error.message})
        raise
    proof, *_ = results.values()
    assert isinstance(proof, ParityProof)
    more = {name: {"file": shipped[name], **_describe(results[name])} for name in formats[1:]}
    facts = {**proof.to_dict(), **({"formats": more} if more else {})}
    writer.update(export=facts, **({} if epoch is None else {"best_epoch": epoch}))
    detail = f"same decisions as the network on {proof.images} images, probabilities within {proof.max_difference:.1g}"
    yield StageEnded("Exporting", detail, time.monotonic() - start)
    return calibrated


def _write_classifier(
    trained: Trained,
    calibrated: Calibrated,
    bundle: Bundle,
    folder: Path,
    files: list[Place],
    formats: tuple[str, ...],
) -> Generator[Event, None, dict[str, ParityProof | ExportMismatch]]:
    """Export with novelty, or without where it can't be proved: it is an extra, and the classifier is not."""
    from sightline.exporting.export import export_classifier

    try:
        return export_classifier(trained.graph(bundle.temperature, calibrated.novelty), bundle, folder, files, formats)
    except ExportMismatch as error:
        if error.code != "export.novelty":
            raise
        message = f"{error.message}; the classifier is exported without it, and calls no image new"
        yield Warned("export.novelty", message, "nothing: predictions are not affected")
    plain = replace(bundle, max_novelty=None)
    return export_classifier(trained.graph(bundle.temperature, None), plain, folder, files, formats)


def _describe(result: ParityProof | ExportMismatch) -> dict[str, Any]:
    return {"error": result.message} if isinstance(result, ExportMismatch) else result.to_dict()
