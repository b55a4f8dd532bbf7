"""``KeptEvaluation``: what measuring a classifier on further images left, read like a run, for its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.pixels.modes import Range
from sightline.runs.folder import Run
from sightline.runs.safe_files import write_json

__all__ = ["FACTS_FILE", "KeptEvaluation", "write_facts"]

FACTS_FILE = "evaluation.json"


class KeptEvaluation(Run):
    """A folder with ``metrics.json``, ``predictions.csv`` and ``probabilities.npy`` of an evaluation, without a run.

    Args:
        folder: one that :func:`write_facts` and ``keep_evaluation`` wrote into.

    Raises:
        RunError: if it is none.
    """

    @property
    def facts_file(self) -> Path:
        """``evaluation.json``: what was measured, on what, and when."""
        return self.folder / FACTS_FILE

    @property
    def metrics_file(self) -> Path:
        """``metrics.json``."""
        return self.folder / "metrics.json"

    @property
    def predictions_file(self) -> Path:
        """``predictions.csv``."""
        return self.folder / "predictions.csv"

    @property
    def probabilities_file(self) -> Path:
        """``probabilities.npy``."""
        return self.folder / "probabilities.npy"

    @property
    def value_range(self) -> Range | None:
        """Black and white of 16-bit, 32-bit and float images; None where there was none to choose."""
        found = self.facts["value_range"]
        return None if found is None else (found[0], found[1])


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write ``evaluation.json``: ``model``, ``classes``, ``started``, ``data``, ``data_root``, ``value_range`` ..."""
    write_json(folder / FACTS_FILE, {"schema_version": 1, "kind": "evaluation", "status": "finished", **facts})
