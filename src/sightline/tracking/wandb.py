"""Weights & Biases: configuration and metrics; with ``WANDB_MODE=offline`` only on the disk."""

from __future__ import annotations

import os

from sightline.events import EpochEnded, Event, RateFound, StepEnded
from sightline.runs.folder import Run
from sightline.runs.metrics_file import recorded_intervals

__all__ = ["WandbTracker"]


class WandbTracker:
    """Logs a run in the project ``WANDB_PROJECT`` or ``sightline``; W&B's own files are in the run's folder.

    Args:
        run: the run that starts.
    """

    def __init__(self, run: Run) -> None:
        import wandb

        self._run = run
        self._wandb = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sightline"),
            name=run.folder.name,
            dir=str(run.folder),
            config=run.plan.settings.model_dump(mode="json"),
            settings=wandb.Settings(silent=True, console="off"),
        )
        for axis, names in (("step", ("step/*",)), ("epoch", ("train/*", "val/*"))):
            self._wandb.define_metric(axis)
            for name in names:
                self._wandb.define_metric(name, step_metric=axis)
        self.where = f"W&B run {self._wandb.name} ({self._wandb.url or 'offline; upload it with wandb sync'})"

    def show(self, event: Event) -> None:
        """Log a step or an epoch; a found learning rate replaces the planned one."""
        match event:
            case RateFound():
                found = {"learning_rate": event.rate, "find_rate": False}
                self._wandb.config.update(found, allow_val_change=True)
            case StepEnded():
                self._wandb.log(
                    {"step": event.step, "step/loss": event.loss, "step/learning_rate": event.learning_rate}
                )
            case EpochEnded():
                metrics = {
                    f"{part}/{name}": getattr(event, f"{part}_{name}")
                    for part in ("train", "val")
                    for name in ("loss", "accuracy")
                }
                self._wandb.log({"epoch": event.epoch, **metrics})

    def close(self) -> None:
        """Add the metrics of a finished run to its summary, and finish it."""
        status = self._run.status
        if status == "finished":
            part = self._run.metrics["part"]
            for name, interval in recorded_intervals(self._run.metrics).items():
                self._wandb.summary.update({f"{part}/{name}/{key}": interval[key] for key in ("value", "low", "high")})
        self._wandb.finish(exit_code=0 if status == "finished" else 1)
