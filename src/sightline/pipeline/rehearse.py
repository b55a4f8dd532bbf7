"""What a run still needs when its training is over, measured before it begins: export, evaluation, report."""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from sightline.data.feature_cache import keeps_features
from sightline.data.split import calibration_rows
from sightline.errors import ExportMismatch
from sightline.events import Event, StageEnded, StageStarted, Warned
from sightline.machine import waited_seconds
from sightline.measuring.evaluate import small_images
from sightline.pipeline.shipping import export_files, make_bundle
from sightline.pipeline.trained import Trained
from sightline.pipeline.workbench import Workbench
from sightline.planning.ending import DRAWING, EndOfRun, reserve_factor
from sightline.planning.plan import Plan
from sightline.reading.file_contents import contents_of
from sightline.runs.folder import Run
from sightline.runtime.classifier import MODEL_FILE, Classifier

__all__ = ["rehearse_finish", "time_drawing"]

_WARM, _IMAGES = 8, 32  # that are looked at: the first ones take longer, and are not timed
_PROOF = 16  # images that the rehearsed export is proved on; what the others take is added


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
        files = export_files(samples, split)
        few = files[:: max(1, -(-len(files) // _PROOF))]
        try:
            bundle = make_bundle(run, plan, samples, trained.feature_size)
            export_classifier(trained.graph(), bundle, folder, few)
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
    counts = {"calibrating": len(calibration_rows(split, samples.labels)), "val": len(rows)}
    counts |= {"train": len(split.rows("train")), "measured": workbench.count_measured}
    end = EndOfRun(
        plan.settings,
        counts,
        looking,
        exporting + 2 * looking * (len(files) - len(few)),  # by the network, and by its file
        shrinking,
        time_drawing(),
        reserve_factor(waited_seconds() - waited, time.process_time() - computed),
        plan.settings.engine == "onnxruntime" and keeps_features(),
    )
    yield StageEnded("Rehearsing", f"{end.seconds:.0f} s are reserved for the end: {end}", time.monotonic() - begun)
    return end.seconds


@functools.cache
def time_drawing() -> float:
    """Return the seconds of importing the library that draws: needed anyway, it tells how fast this machine is."""
    if "matplotlib.pyplot" in sys.modules:
        return DRAWING
    computed, waited = time.process_time(), waited_seconds()
    import matplotlib.pyplot  # noqa: F401

    return time.process_time() - computed + max(0.0, waited_seconds() - waited)  # without the wait for a disk
