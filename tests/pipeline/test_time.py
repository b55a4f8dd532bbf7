"""A limit of time: what is decided by it, what is rehearsed, what is refused; the clock itself is tested elsewhere."""

from __future__ import annotations

import pytest

import sightline
from sightline.errors import InputError
from sightline.events import StageEnded, Warned
from sightline.runs.folder import Run
from sightline.training.pace import Pace

pytestmark = pytest.mark.e2e  # figures are drawn: the end of a run must fit into its time with them


class Listener:
    def __init__(self) -> None:
        self.events = []

    def show(self, event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


def test_the_limit_decides_width_and_epochs_and_the_end_is_rehearsed(colours, tmp_path):
    listener = Listener()
    run = sightline.train(colours, out=tmp_path, time="10m", epochs=2, threads=1, display=listener)
    decided = {decision.name: decision for decision in run.plan.decisions}
    assert run.plan.settings.time == 600
    assert decided["width"].origin == "time" and decided["epochs"].origin == "option"
    stages = [event.name for event in listener.events if isinstance(event, StageEnded)]
    assert stages.index("Rehearsing") < stages.index("Training") < stages.index("Exporting")
    assert [stage["name"] for stage in run.facts["stages"]] == stages[: len(run.facts["stages"])]
    assert run.facts["stopped"] == "all epochs done"
    assert not [event for event in listener.events if isinstance(event, Warned) and event.code == "run.over-time"]
    report = run.report_file.read_text()
    assert "the limit was 10 min 0 s" in report and "More time?" in report


def test_a_training_whose_time_is_used_says_so_and_ships_its_best_epoch(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "is_over", lambda self, course: course.step >= 5)
    run = sightline.train(colours, out=tmp_path, time=600, epochs=50, batch_size=8, threads=1, quiet=True)
    assert run.facts["stopped"] == "time limit reached"
    assert len(run.steps["step"]) == 5 and run.model_file.is_file()


def test_a_limit_below_what_is_needed_is_refused_with_that_number(colours, tmp_path):
    with pytest.raises(InputError, match=r"--time 0\.5 s is too short: this machine needs at least") as caught:
        sightline.train(colours, out=tmp_path, name="short", time=0.5, threads=1, quiet=True)
    assert caught.value.code == "plan.time" and "--time" in caught.value.cure
    assert not (tmp_path / "short").exists() or Run(tmp_path / "short").status == "failed"


@pytest.mark.parametrize("value", ["soon", -5, "10 parsecs"])
def test_what_is_no_time_is_refused_before_anything_is_read(tmp_path, value):
    with pytest.raises(InputError, match="time"):
        sightline.train(tmp_path / "nothing", time=value, quiet=True)
