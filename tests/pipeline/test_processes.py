"""Several processes of one machine, started for real: what their run holds, how they end, and how they go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import sightline
from finished import write_colours
from sightline.errors import InputError, TrainingError
from sightline.events import Event, StepEnded
from sightline.pipeline.processes import Processes
from sightline.runs.folder import Run

CHOSEN = {"model": "small-convnext", "width": 8, "depth": 1, "epochs": 3, "batch_size": 16, "precision": "fp32"}
OPTIONS = {**CHOSEN, "threads": 1, "seed": 3}


@pytest.fixture
def colours(tmp_path) -> Path:
    return write_colours(tmp_path / "colours", 30)


class Killer:
    """A display that shows nothing and kills a process beside this one after a step."""

    def __init__(self) -> None:
        self.when = 0.0

    def show(self, event: Event) -> None:
        if isinstance(event, StepEnded) and event.step == 3:
            (helper,) = (
                child for child in psutil.Process().children() if "sightline.pipeline.worker" in child.cmdline()
            )
            os.kill(helper.pid, signal.SIGKILL)
            self.when = time.monotonic()

    def close(self) -> None:
        pass


def weights(run: Run) -> bytes:
    return (run.classifier_folder / "model.safetensors").read_bytes()


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_a_process_that_is_killed_is_named_and_the_run_goes_on_bit_for_bit(colours, tmp_path):
    where = {"out": tmp_path / "runs", "devices": 2, **OPTIONS}
    whole = sightline.train(colours, name="whole", quiet=True, **where)
    assert whole.facts["processes"] == 2
    killer = Killer()
    with pytest.raises(TrainingError) as caught:
        sightline.train(colours, name="cut", display=killer, **where)
    assert caught.value.code == "training.rank-lost"
    assert caught.value.message.startswith("process 1 of 2 was ended by SIGKILL")
    assert time.monotonic() - killer.when < 30
    run = Run(tmp_path / "runs" / "cut")
    assert run.status == "failed"
    assert not [child for child in psutil.Process().children() if "sightline.pipeline.worker" in child.cmdline()]
    again = sightline.train(colours, name="cut", quiet=True, resume=True, **where)
    assert (again.status, weights(again)) == ("finished", weights(whole))
    assert "not_exact_since" not in again.facts
    alone = sightline.train(colours, name="alone", quiet=True, **{**where, "devices": 1})
    assert (alone.facts["processes"], len(alone.steps["step"])) == (1, len(whole.steps["step"]))
    assert alone.history["val_loss"] == pytest.approx(whole.history["val_loss"], rel=1e-4)


@pytest.mark.e2e
def test_torchrun_is_joined_and_one_process_writes(colours, tmp_path):
    chosen = [f"--set={name}={value}" for name, value in OPTIONS.items()]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command = [*torchrun, "-m", "sightline", "train", str(colours), "--name", "both", *chosen]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Classifier") == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["both"]
    assert (Run(tmp_path / "runs" / "both").status, done.stderr.count("2 processes train together")) == ("finished", 1)


@pytest.mark.parametrize("devices", ["0", "-1", "two", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused(devices):
    with pytest.raises(InputError, match="--devices"):
        Processes(devices)


def test_all_is_one_process_on_a_cpu():
    assert (Processes("all").count("cpu"), Processes("3").count("cpu"), Processes().count("cpu")) == (1, 3, 1)


def test_devices_and_torchrun_together_are_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="started already"):
        Processes("2")
