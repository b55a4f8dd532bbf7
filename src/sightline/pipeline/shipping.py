"""What ships with a network, and the images that its file is proved on."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.evaluation.abstain import TARGET_ERROR
from sightline.evaluation.conformal import COVERAGE
from sightline.pipeline.calibrate import Calibrated
from sightline.pixels.containers import Place
from sightline.planning.plan import Plan
from sightline.runs.folder import Run
from sightline.runtime.bundle import Bundle

__all__ = ["export_files", "make_bundle"]


def make_bundle(
    run: Run, plan: Plan, samples: Samples, feature_size: int, calibrated: Calibrated | None = None
) -> Bundle:
    """Return what belongs to a network where it ships."""
    facts = run.facts
    return Bundle(
        classes=samples.classes,
        preprocess=plan.preprocess,
        model=plan.settings.model,
        feature_size=feature_size,
        weights=facts["weights"],
        licence=facts["licence"],
        data_fingerprint=facts["data_fingerprint"],
        sightline=version("sightline"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        target_error=TARGET_ERROR,
        temperature=calibrated.calibration.temperature if calibrated else 1.0,
        min_confidence=calibrated.min_confidence if calibrated else None,
        set_mass=calibrated.set_mass if calibrated else None,
        set_coverage=COVERAGE,
        max_novelty=calibrated.max_novelty if calibrated else None,
    )


def export_files(samples: Samples, split: Split) -> list[Place]:
    """Return the images that an exported file is proved on: of validation and training, evenly."""
    from sightline.exporting.parity import MAX_IMAGES

    chosen = np.concatenate([split.rows("val"), split.rows("train")])
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MAX_IMAGES)).astype(int)]  # of every class
    return [samples.file(row) for row in chosen]
