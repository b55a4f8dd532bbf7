"""Weights & Biases: configuration and metrics; with ``WANDB_MODE=offline`` on the disk only."""

from __future__ import annotations

import os

from sightline.events import EpochEnded, Event, RateFound, StepEnded
from sightline.runs.folder import Run

__all__ = ["WandbTracker"]


class WandbTracker:
    """Keeps a run in the project ``WANDB_PROJECT`` or ``sightline``; W&B's own files lie in the run's folder.

    Args:
        run: the run that starts.
    """

    def __init__(self, run: Run) -> None:
        import wandb

        self._run = run
        self._there = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sightline"),
            name=run.folder.name,
            dir=str(run.folder),
            config=run.plan.settings.model_dump(mode="json"),
            settings=wandb.Settings(silent=True, console="off"),
        )
        for axis, names in (("step", ("step/*",)), ("epoch", ("train/*", "val/*"))):
            self._there.define_metric(axis)
            for name in names:
                self._there.define_metric(name, step_metric=axis)
        self.where = f"W&B run {self._there.name} ({self._there.url or 'offline: wandb sync sends it'})"

    def show(self, event: Event) -> None:
        """Log a step or an epoch; a rate that was found takes the place of the planned one."""
        match event:
            case RateFound():
                found = {"learning_rate": event.rate, "find_rate": False}
                self._there.config.update(found, allow_val_change=True)
            case StepEnded():
                self._there.log(
                    {"step": event.step, "step/loss": event.loss, "step/learning_rate": event.learning_rate}
                )
            case EpochEnded():
                figures = {
                    f"{part}/{name}": getattr(event, f"{part}_{name}")
                    for part in ("train", "val")
                    for name in ("loss", "accuracy")
                }
                self._there.log({"epoch": event.epoch, **figures})

    def close(self) -> None:
        """Add the figures of a finished run to its summary, and finish it there too."""
        status = self._run.status
        if status == "finished":
            part = self._run.metrics["part"]
            for name, figure in self._run.metrics.items():
                if isinstance(figure, dict) and "low" in figure:
                    self._there.summary.update(
                        {f"{part}/{name}/{key}": figure[key] for key in ("value", "low", "high")}
                    )
        self._there.finish(exit_code=0 if status == "finished" else 1)
