"""Plain tables: a run always has ``history.csv`` and ``steps.csv``; this tracker reports where."""

from __future__ import annotations

from sightline.events import Event
from sightline.runs.folder import Run

__all__ = ["CsvTracker"]


class CsvTracker:
    """Writes nothing: the run's folder has the tables already.

    Args:
        run: the run that starts.
    """

    def __init__(self, run: Run) -> None:
        self.where = f"one row per epoch in {run.history_file}, one per step in {run.steps_file}"

    def show(self, event: Event) -> None:
        """Write nothing: ``pipeline`` does."""

    def close(self) -> None:
        """Do nothing."""
