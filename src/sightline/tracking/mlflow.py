"""MLflow: parameters, metrics, report and classifier, at the tracking URI of the user's environment."""

from __future__ import annotations

import os
import time
from typing import Any

from sightline.errors import InputError
from sightline.events import EpochEnded, Event, RateFound, StepEnded
from sightline.runs.folder import Run
from sightline.runs.metrics_file import recorded_intervals

__all__ = ["MlflowTracker"]

_AT_ONCE = 1000  # metrics that a server accepts in one request
_LONGEST = 500  # characters of a parameter
# MLflow's defaults wait for minutes if a server is gone; values set by the user are kept.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


class MlflowTracker:
    """Logs a run at ``MLFLOW_TRACKING_URI``, in the experiment ``MLFLOW_EXPERIMENT_NAME`` or ``sightline``.

    Metrics are sent once per epoch, with those of its steps. The status is FINISHED, KILLED (interrupted) or FAILED.

    Args:
        run: the run that starts.
    """

    def __init__(self, run: Run) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("file:"):  # chosen by the user, and sufficient here
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._run = run
        try:
            self._client = MlflowClient()
        except Exception as error:
            message = f"MLflow can't open its store: {' '.join(str(error).split())[:120]}"
            cure = "set one: export MLFLOW_TRACKING_URI=http://SERVER:5000 (or file:FOLDER)"
            raise InputError("track.mlflow", message, cure) from error
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "sightline")
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._id = self._client.create_run(experiment, run_name=run.folder.name).info.run_id
        settings = run.plan.settings.model_dump()
        self._client.log_batch(self._id, params=[Param(key, str(value)[:_LONGEST]) for key, value in settings.items()])
        self._metrics: list[Any] = []
        self.where = f"MLflow run {self._id} of experiment {name} at {self._client.tracking_uri}"

    def show(self, event: Event) -> None:
        """Store a step; send an epoch; log a found learning rate as a tag, since a parameter can't change."""
        match event:
            case RateFound():
                self._add(0, found_learning_rate=event.rate)
                self._client.set_tag(self._id, "learning_rate", f"{event.rate:g}: {event.reason}"[:_LONGEST])
            case StepEnded():
                self._add(event.step, step_loss=event.loss, learning_rate=event.learning_rate)
            case EpochEnded():
                names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
                self._add(event.epoch, **{name: getattr(event, name) for name in names})
                self._send()

    def close(self) -> None:
        """Send the rest, the metrics and files of a finished run, and the status."""
        run, status = self._run, self._run.status
        if status == "finished":
            part = run.metrics["part"]
            for name, interval in recorded_intervals(run.metrics).items():
                self._add(0, **{f"{part}_{name}{end}": interval[key] for end, key in _ENDS.items()})
        self._send()
        if status == "finished":
            self._client.log_artifact(self._id, str(run.report_file))
            self._client.log_artifacts(self._id, str(run.classifier_folder), "classifier")
        ended = {"finished": "FINISHED", "interrupted": "KILLED"}.get(status, "FAILED")
        self._client.set_terminated(self._id, ended)

    def _add(self, step: int, **values: float) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics += [Metric(name, value, now, step) for name, value in values.items()]

    def _send(self) -> None:
        for start in range(0, len(self._metrics), _AT_ONCE):
            self._client.log_batch(self._id, metrics=self._metrics[start : start + _AT_ONCE])
        self._metrics = []


_ENDS = {"": "value", "_low": "low", "_high": "high"}
