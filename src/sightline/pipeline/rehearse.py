"""What a run still needs when its training is over, measured before it begins: export, evaluation, report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from sightline.data.split import calibration_rows
from sightline.errors import ExportMismatch
from sightline.events import Event, StageEnded, StageStarted, Warned
from sightline.machine import waited_seconds
from sightline.measuring.evaluate import small_images
from sightline.pipeline.calibrate import MOST_REFERENCES, SHARE_OF_TIME
from sightline.pipeline.frozen_features import COMPARED_FROM, COMPARING_SHARE
from sightline.pipeline.shipping import export_files, make_bundle
from sightline.pipeline.trained import Trained
from sightline.pipeline.workbench import Workbench
from sightline.planning.plan import Plan
from sightline.reading.file_contents import contents_of
from sightline.runs.folder import Run
from sightline.runtime.classifier import MODEL_FILE, Classifier

__all__ = ["rehearse_finish", "reserve_factor"]

_WARM, _IMAGES = 8, 64  # that are looked at: the first ones take longer, and are not timed
_DRAWN = 5  # times the seconds of importing the library that draws: a report of ten classes
_LEAST, _MOST = 3.0, 15.0  # seconds of a report, where the library was imported already, or lay on a slow disk
_ROW = 0.0004  # seconds of a report for each measured image
# The machine may be busier then: on a quiet one a fifth is added, and more where this process waits for a processor.
_MARGIN, _BUSIER = 1.2, 0.6
_COVERED, _GRADIENTS = 520, 60  # predictions that explanations take at most, and what their gradients cost beside
_EXIT = 1.2  # seconds: what the process needs to end
_BASELINE = 20_000  # most training images of the baseline


def rehearse_finish(run: Run, plan: Plan, workbench: Workbench, trained: Trained) -> Generator[Event, None, float]:
    """Return the seconds that the end of the run will take.

    The network is exported and proved as it is, and some validation images are predicted with that file: what comes
    at the end is done once before, with weights that are not yet worth anything.
    """
    from sightline.exporting.export import export_classifier

    yield StageStarted("Rehearsing", "export, evaluation and report, to know what they take")
    begun, computed, waited = time.monotonic(), time.process_time(), waited_seconds()
    samples, split, store = workbench.samples, workbench.split, workbench.store
    rows = split.rows("val")
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _IMAGES)).astype(int)]
    with tempfile.TemporaryDirectory() as scratch:
        folder, start = Path(scratch) / "classifier", time.monotonic()
        looking = 0.0
        try:
            bundle = make_bundle(run, plan, samples, trained.feature_size)
            export_classifier(trained.graph(), bundle, folder, export_files(samples, split))
        except ExportMismatch as error:  # the training is worth its time even so; the end reports it again
            words = "the network can be trained and kept; only model.onnx will be missing"
            yield Warned(error.code, f"the rehearsal of the export failed: {error.message}", words)
        exporting = time.monotonic() - start
        if (folder / MODEL_FILE).is_file():
            classifier = Classifier.open(folder / MODEL_FILE)
            for chosen in (some[:_WARM], some):
                start = time.monotonic()
                for _ in classifier.predict_stream(contents_of(samples, chosen)):
                    pass
            looking = (time.monotonic() - start) / max(1, len(some))
    start = time.monotonic()
    small_images(store, plan.preprocess, some, None)
    shrinking = (time.monotonic() - start) / max(1, len(some))
    start = time.monotonic()
    import matplotlib.pyplot  # noqa: F401

    reporting = min(_MOST, max(_LEAST, _DRAWN * (time.monotonic() - start)))
    count = workbench.count_measured
    looks = 1 + (plan.settings.views if plan.settings.views > 1 else 0)
    evaluating = count * looking * looks + shrinking * (count + min(_BASELINE, len(split.rows("train"))))
    calibrating = max(len(calibration_rows(split, samples.labels)) * looking, SHARE_OF_TIME * plan.settings.time)
    calibrating = min(calibrating, looking * (len(rows) + min(MOST_REFERENCES, len(split.rows("train")))))
    if plan.settings.head_first and plan.settings.time >= COMPARED_FROM:
        evaluating += min(count * looking, COMPARING_SHARE * plan.settings.time)
    reporting += _ROW * count
    explaining = looking * (min(count, _COVERED) + _GRADIENTS)
    margin = reserve_factor(waited_seconds() - waited, time.process_time() - computed)
    seconds = margin * (calibrating + exporting + evaluating + explaining + reporting + _EXIT)
    words = f"calibration {calibrating:.1f} s, export {exporting:.1f} s, {count:,} images {evaluating:.1f} s"
    words += f", explanations {explaining:.1f} s, report {reporting:.1f} s"
    words += f", and {margin - 1:.0%} more"
    yield StageEnded("Rehearsing", f"{seconds:.0f} s are reserved for the end: {words}", time.monotonic() - begun)
    return seconds


def reserve_factor(waited: float, computed: float) -> float:
    """Return by how much more time than was measured is reserved.

    Args:
        waited: seconds that this process waited for a processor while it was measured.
        computed: seconds that it computed.

    Example:
        >>> reserve_factor(0, 5), reserve_factor(5, 5)
        (1.2, 1.5)
    """
    return _MARGIN + _BUSIER * max(0.0, waited) / max(1e-9, max(0.0, waited) + computed)
