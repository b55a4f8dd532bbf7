"""Plain tables: a run keeps ``history.csv`` and ``steps.csv`` anyway; this tracker says where."""

from __future__ import annotations

from sightline.events import Event
from sightline.runs.folder import Run

__all__ = ["CsvTracker"]


class CsvTracker:
    """Adds nothing to what the run's folder holds.

    Args:
        run: the run that starts.
    """

    def __init__(self, run: Run) -> None:
        self.where = f"one row an epoch in {run.history_file}, one a step in {run.steps_file}"

    def show(self, event: Event) -> None:
        """Keep nothing: ``pipeline`` does."""

    def close(self) -> None:
        """Keep nothing."""
