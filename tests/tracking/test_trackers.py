"""Trackers: what the real thing reads back, what a failing one does, and what a missing package says."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.errors import InputError, MissingExtra
from sightline.events import (
    EpochEnded,
    InputsSeen,
    MistakesSeen,
    Noted,
    RateFound,
    RunEnded,
    RunStarted,
    StepEnded,
    ValidationMeasured,
    Warned,
)
from sightline.runs.folder import Run
from sightline.tracking.tensorboard import TensorboardTracker
from sightline.tracking.trackers import TRACKERS, Trackers

STEPS = [StepEnded(step, 1 + step // 3, 2.0 - 0.1 * step, 0.01 * step, 1.5, False) for step in range(6)]
LABELS, SAID = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
SURE = np.array([0.9, 0.8, 0.7, 0.6], np.float32)


def make_image(side: int = 4) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 255, (1, side, side, 3), np.uint8)


def epoch(number: int) -> list[object]:
    steps = [step for step in STEPS if step.epoch == number]
    measured = ValidationMeasured(number, LABELS, SAID, SURE)
    mistakes = MistakesSeen(number, make_image(), LABELS[1:2], SAID[1:2], SURE[1:2])
    ended = EpochEnded(number, 2, 1.5, 0.5, 1.0 / number, 0.25 * number, 0.01, 1.0, 100.0, True)
    return [*steps, measured, mistakes, ended]


FOUND = RateFound((0.01, 0.1), (2.0, 1.0), 0.037, "where the loss falls fastest")
EVENTS = [FOUND, InputsSeen(0, np.repeat(make_image(), 5, 0)), *epoch(1), *epoch(2)]


def accumulated(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = dict.fromkeys(("scalars", "images", "tensors"), 0)
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def values(run: Run, tag: str) -> list[tuple[int, float]]:
    return [(one.step, round(one.value, 5)) for one in accumulated(run.tensorboard_folder).Scalars(tag)]


# -- tensorboard ----------------------------------------------------------------------------------------------


def test_tensorboard_reads_back_every_scalar(copied_run):
    tracker = TensorboardTracker(copied_run)
    for event in EVENTS:
        tracker.show(event)
    tracker.close()
    assert values(copied_run, "Loss/train") == [(step, round(2.0 - 0.1 * step, 5)) for step in range(6)]
    assert values(copied_run, "LearningRate") == [(step, round(0.01 * step, 5)) for step in range(6)]
    assert values(copied_run, "Loss/val") == [(1, 1.0), (2, 0.5)]
    assert values(copied_run, "Accuracy/val") == [(1, 0.25), (2, 0.5)]
    assert values(copied_run, "Accuracy/train") == [(1, 0.5), (2, 0.5)]


def test_tensorboard_reads_back_images(copied_run):
    tracker = TensorboardTracker(copied_run)
    for event in EVENTS:
        tracker.show(event)
    tracker.close()
    found = accumulated(copied_run.tensorboard_folder)
    assert found.Tags()["images"] == ["Inputs/train", "Confusion/val", "Mistakes/val"]
    for tag, count in (("Inputs/train", 1), ("Confusion/val", 2), ("Mistakes/val", 2)):
        images = found.Images(tag)
        assert len(images) == count
        for image in images:
            assert Image.open(io.BytesIO(image.encoded_image_string)).size == (image.width, image.height)
    (sheet,) = found.Images("Inputs/train")  # five images of 4 px: three by two, enlarged
    pixels = np.asarray(Image.open(io.BytesIO(sheet.encoded_image_string)))
    factor = sheet.width // 12
    assert np.array_equal(pixels[::factor, ::factor][:4, :4], make_image()[0])
    assert (pixels[::factor, ::factor][4:, 8:] == 255).all()


def test_tensorboard_holds_the_plan_as_text_and_as_hyper_parameters(copied_run):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    tracker = TensorboardTracker(copied_run)
    tracker.show(FOUND)
    tracker.close()
    found = accumulated(copied_run.tensorboard_folder)
    (text,) = found.Tensors("Plan")
    assert "| epochs | 6 | option |" in text.tensor_proto.string_val[0].decode()
    (text,) = found.Tensors("Learning rate")
    assert text.tensor_proto.string_val[0].decode().startswith("0.037, found")
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    said = HParamsPluginData.FromString(content).session_start_info.hparams
    assert said["epochs"].number_value == 6 and said["model"].string_value == copied_run.plan.settings.model


def test_tensorboard_has_a_dead_runs_epochs_on_the_disk(copied_run, monkeypatch):
    tracker = TensorboardTracker(copied_run)
    flush, flushed = tracker._writer.flush, []
    monkeypatch.setattr(tracker._writer, "flush", lambda: flushed.append(flush()))
    for event in epoch(1):
        tracker.show(event)
    assert len(flushed) == 1  # without it what the disk has is a matter of luck
    assert values(copied_run, "Loss/val") == [(1, 1.0)]  # not closed: as if the process were gone
    assert len(values(copied_run, "Loss/train")) == 3
    tracker.close()


# -- mlflow ---------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path, monkeypatch) -> str:
    uri = (tmp_path / "mlflow").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "1")
    return uri


def mlflow_run(store):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store)
    (experiment,) = client.search_experiments(filter_string="name = 'sightline'")
    (found,) = client.search_runs([experiment.experiment_id])
    return client, found


@pytest.mark.filterwarnings("ignore::FutureWarning:mlflow", "ignore::DeprecationWarning:mlflow")
def test_mlflow_reads_back_parameters_metrics_and_files(copied_run, store):
    trackers = Trackers(["mlflow"])
    said = trackers.show(RunStarted(str(copied_run.folder)))
    assert [type(event) for event in said] == [Noted]
    for event in EVENTS:
        assert trackers.show(event) == []
    assert trackers.close() == []
    client, found = mlflow_run(store)
    assert found.info.status == "FINISHED"
    assert found.data.params["epochs"] == "6" and found.data.params["model"] == copied_run.plan.settings.model
    history = client.get_metric_history(found.info.run_id, "learning_rate")
    assert [(one.step, one.value) for one in history] == [(k, 0.01 * k) for k in range(6)]
    assert [one.value for one in client.get_metric_history(found.info.run_id, "val_loss")] == [1.0, 0.5]
    assert found.data.metrics["found_learning_rate"] == 0.037  # the planned one is a parameter, which stays
    assert found.data.tags["learning_rate"] == "0.037: where the loss falls fastest"
    accuracy = copied_run.metrics["accuracy"]
    assert found.data.metrics["test_accuracy"] == accuracy["value"]
    assert found.data.metrics["test_accuracy_low"] == accuracy["low"]
    assert {file.path for file in client.list_artifacts(found.info.run_id)} == {"report.html", "classifier"}
    inside = {file.path for file in client.list_artifacts(found.info.run_id, "classifier")}
    assert "classifier/model.onnx" in inside


@pytest.mark.filterwarnings("ignore::FutureWarning:mlflow", "ignore::DeprecationWarning:mlflow")
def test_mlflow_says_how_an_interrupted_run_ended(copied_run, store):
    facts = {**copied_run.facts, "status": "interrupted"}
    copied_run.facts_file.write_text(json.dumps(facts))
    trackers = Trackers(["mlflow"])
    trackers.show(RunStarted(str(copied_run.folder)))
    trackers.show(EVENTS[2])
    assert trackers.close() == []
    client, found = mlflow_run(store)
    assert found.info.status == "KILLED"
    assert "learning_rate" in found.data.metrics and "test_accuracy" not in found.data.metrics
    assert client.list_artifacts(found.info.run_id) == []


def test_a_server_that_is_not_there_is_one_warning(copied_run, store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    trackers = Trackers(["mlflow"])
    said = trackers.show(RunStarted(str(copied_run.folder)))
    assert [event.code for event in said if isinstance(event, Warned)] == ["track.failed"]
    assert [trackers.show(event) for event in EVENTS] == [[]] * len(EVENTS)


# -- wandb ----------------------------------------------------------------------------------------------------


class FakeConfig(dict):
    """W&B's configuration: a value that is there already changes only where that is allowed."""

    def update(self, values, *, allow_val_change=False):
        assert allow_val_change or not set(values) & set(self)
        super().update(values)


class FakeWandb(types.ModuleType):
    """W&B's documented calls and nothing else, strict about their arguments; each call is noted."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.logged: list[dict[str, float]] = []
        self.axes: dict[str, str | None] = {}
        self.summary: dict[str, float] = {}
        self.config = FakeConfig()
        self.exit_code: int | None = None

    class Settings:
        def __init__(self, *, silent: bool, console: str) -> None:
            assert silent is True and console == "off"

    def init(self, *, project, name, dir, config, settings):
        assert isinstance(settings, self.Settings) and Path(dir).is_dir()
        self.project, self.name, self.url = project, name, None
        self.config.update(json.loads(json.dumps(config)))
        return self

    def define_metric(self, name, *, step_metric=None):
        self.axes[name] = step_metric

    def log(self, data):
        assert self.exit_code is None and all(isinstance(value, int | float) for value in data.values())
        self.logged.append(data)

    def finish(self, *, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def wandb(monkeypatch):
    import importlib.machinery

    fake = FakeWandb()
    fake.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fake


def test_wandb_gets_configuration_steps_epochs_and_the_figures(copied_run, wandb):
    trackers = Trackers(["wandb"])
    (said,) = trackers.show(RunStarted(str(copied_run.folder)))
    assert isinstance(said, Noted) and "wandb sync" in said.message
    for event in EVENTS:
        assert trackers.show(event) == []
    assert trackers.close() == []
    assert (wandb.project, wandb.name) == ("sightline", copied_run.folder.name)
    assert wandb.config["epochs"] == 6
    assert (wandb.config["learning_rate"], wandb.config["find_rate"]) == (0.037, False)
    assert [row["step/loss"] for row in wandb.logged if "step" in row] == [step.loss for step in STEPS]
    assert [row["val/loss"] for row in wandb.logged if "epoch" in row] == [1.0, 0.5]
    assert wandb.axes["step/*"] == "step" and wandb.axes["val/*"] == "epoch"
    assert wandb.summary["test/accuracy/value"] == copied_run.metrics["accuracy"]["value"]
    assert wandb.exit_code == 0


# -- all of them ----------------------------------------------------------------------------------------------


def test_a_tracker_that_fails_is_warned_of_once_and_left(copied_run, monkeypatch):
    seen = []

    class Full:
        where = "nowhere"
        is_closed = False

        def __init__(self, run):
            pass

        def show(self, event):
            seen.append(event)
            if isinstance(event, EpochEnded):
                raise OSError(28, "No space left on device")

        def close(self):
            type(self).is_closed = True

    monkeypatch.setitem(TRACKERS, "csv", ("", Full))
    trackers = Trackers(["csv", "tensorboard"])
    trackers.show(RunStarted(str(copied_run.folder)))
    said = [one for event in [*EVENTS, RunEnded("x", "fine")] for one in trackers.show(event)]
    assert [event.code for event in said] == ["track.failed"] and "No space left" in said[0].message
    assert sum(isinstance(event, EpochEnded) for event in seen) == 1
    assert not Full.is_closed
    assert trackers.close() == []
    assert len(values(copied_run, "Loss/val")) == 2  # the other went on


def test_an_unknown_tracker_is_answered_with_the_nearest():
    with pytest.raises(InputError) as caught:
        Trackers(["tensorbord"])
    assert caught.value.code == "track.unknown" and "did you mean 'tensorboard'?" in caught.value.cure


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_answered_by_the_line_that_installs_it(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra) as caught:
        sightline.train(tmp_path / "nowhere", track=[name], quiet=True)
    assert f"[{name}]" in caught.value.cure and f"--track {name}" in caught.value.message


@pytest.mark.e2e
def test_a_training_is_tracked_from_its_first_step_to_its_result(colours, tmp_path):
    run = sightline.train(colours, out=tmp_path, name="run", epochs=2, track=["tensorboard", "csv"], quiet=True)
    rates = values(run, "LearningRate")
    assert [step for step, _ in rates] == run.steps["step"]
    assert [value for _, value in rates] == pytest.approx(run.steps["learning_rate"], abs=1e-5)
    assert [value for _, value in values(run, "Loss/val")] == pytest.approx(run.history["val_loss"], abs=1e-5)
    images = accumulated(run.tensorboard_folder).Tags()["images"]
    assert {"Inputs/train", "Confusion/val"} <= set(images)
    log = run.log_file.read_text()
    assert "tensorboard --logdir" in log and "steps.csv" in log
