"""A run that was stopped goes on: the same tables, the same weights; or a refusal that names the difference."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

import sightline
from finished import write_colours
from sightline.errors import InputError, RunError, WeightsError
from sightline.events import Noted, Resumed, StepEnded, Warned
from sightline.runs.folder import Run
from sightline.runs.lock import lock_run
from sightline.runs.safe_files import write_json
from sightline.training import state
from unrendered import leave_figures_unrendered
from workers import make_once

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]

CHOSEN = {"epochs": 3, "batch_size": 8, "width": 4, "threads": 1, "precision": "fp32", "patience": 0, "quiet": True}


class KilledError(Exception):
    """Stands for a process that is killed: nothing is done any more."""


class DieAt:
    """A display that ends everything at a step."""

    def __init__(self, step: int) -> None:
        self.step, self.events = step, []

    def show(self, event) -> None:
        self.events.append(event)
        if isinstance(event, StepEnded) and event.step == self.step:
            raise KilledError

    def close(self) -> None:
        pass


def digest(run: Run) -> str:
    return hashlib.sha256(run.weights_file.read_bytes()).hexdigest()


def table(path: Path, *columns: int) -> list[list[str]]:
    return [[row.split(",")[place] for place in columns] for row in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with ``images``, the run ``whole``, and ``cut``, which died at its fifth step; not to be changed.

    The latter had saved its state after each step.
    """

    def train(folder: Path) -> None:
        images = write_colours(folder / "images" / "colours", 40)
        with pytest.MonkeyPatch.context() as patch:
            leave_figures_unrendered(patch)
            for name in ("SIGHTLINE_CACHE", "SIGHTLINE_STATE"):
                patch.setenv(name, str(tmp_path_factory.mktemp("kept")))
            sightline.train(images, out=folder, name="whole", **CHOSEN)
            patch.setattr(state.TrainingState, "is_due", property(lambda self: True))
            with pytest.raises(KilledError):
                sightline.train(images, out=folder, name="cut", display=DieAt(4), **CHOSEN)

    return make_once(tmp_path_factory, "resumed", train)


@pytest.fixture
def whole(trained) -> Run:
    """The run that nothing stopped; not to be changed."""
    return Run(trained / "whole")


@pytest.fixture
def colours(trained, tmp_path) -> Path:
    """Images of the test's own: some of these tests change them."""
    return shutil.copytree(trained / "images" / "colours", tmp_path / "images" / "colours")


@pytest.fixture
def cut(trained, colours, tmp_path) -> Run:
    """The run that died, as if it had been trained on the test's own images."""
    run = Run(shutil.copytree(trained / "cut", tmp_path / "cut"))
    facts = run.facts_file.read_text(encoding="utf-8")
    assert str(trained / "images") in facts
    run.facts_file.write_text(facts.replace(str(trained / "images"), str(tmp_path / "images")), encoding="utf-8")
    return run


def test_it_ends_as_if_nothing_had_happened(colours, tmp_path, whole, cut):
    assert cut.status == "interrupted"
    before = [path.stat().st_mtime_ns for path in sorted(Path(colours).rglob("*.png"))]
    display = DieAt(-1)
    again = sightline.train(colours, out=tmp_path, name="cut", resume=True, display=display)
    assert next(event for event in display.events if isinstance(event, Resumed)).step >= 4
    assert again.status == "finished" and again.facts["error"] is None
    assert digest(again) == digest(whole)
    assert again.steps_file.read_text() == whole.steps_file.read_text()
    assert table(again.history_file, 0, 1, 2, 3, 4, 5) == table(whole.history_file, 0, 1, 2, 3, 4, 5)
    assert again.metrics["accuracy"] == whole.metrics["accuracy"]
    assert not (again.folder / "checkpoints").exists() and "not_exact_since" not in again.facts
    assert [path.stat().st_mtime_ns for path in sorted(Path(colours).rglob("*.png"))] == before


def test_a_limit_counts_what_ran_before_the_stop_and_that_is_said(colours, tmp_path, cut):
    write_json(cut.facts_file, {**cut.facts, "seconds": 100.0})
    display = DieAt(-1)
    sightline.train(colours, out=tmp_path, name="cut", resume=True, time=600, display=display)
    (said,) = [event.message for event in display.events if isinstance(event, Noted) and "time limit" in event.message]
    assert said == "The time limit counts the 1 min 40 s before the stop too: 8 min 20 s of 10 min 0 s are left."


def test_published_weights_are_not_asked_for_again(colours, tmp_path, monkeypatch, cache_weights):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.safetensors")
    cached = cache_weights("test_resnet.r160_in1k", tmp_path / "weights.safetensors")
    monkeypatch.setattr(state.TrainingState, "is_due", property(lambda self: True))
    chosen = {**CHOSEN, "model": "test_resnet", "size": 32, "epochs": 1, "width": 0}
    with pytest.raises(KilledError):
        sightline.train(colours, out=tmp_path, name="published", display=DieAt(2), **chosen)
    cached.unlink()
    with pytest.raises(WeightsError):  # there is no hub
        sightline.train(colours, out=tmp_path, name="another", **chosen)
    assert sightline.train(colours, out=tmp_path, name="published", resume=True, quiet=True).status == "finished"


def test_without_a_name_the_newest_unfinished_run_of_these_data_goes_on(colours, photos, tmp_path, cut):
    assert sightline.train(str(colours), out=tmp_path, resume=True, quiet=True).folder.name == "cut"
    with pytest.raises(RunError, match="no run of"):
        sightline.train(photos, out=tmp_path, resume=True, quiet=True)


def test_a_finished_run_is_left_as_it_is(colours, tmp_path, cut):
    run = sightline.train(colours, out=tmp_path, name="cut", resume=True, quiet=True)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.folder.rglob("*")}
    display = DieAt(-1)
    assert sightline.train(colours, out=tmp_path, name="cut", resume=True, display=display).folder == run.folder
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.folder.rglob("*")} == before
    assert "finished" in str(display.events)


def test_a_name_that_is_not_there_yet_starts(colours, tmp_path):
    run = sightline.train(colours, out=tmp_path, name="new", resume=True, **{**CHOSEN, "epochs": 1})
    assert run.status == "finished"


def test_other_settings_are_refused_with_the_difference_and_the_same_are_not(colours, tmp_path, cut):
    with pytest.raises(InputError, match=r"learning_rate = 0\.5, in the run") as caught:
        sightline.train(colours, out=tmp_path, name="cut", resume=True, learning_rate=0.5, epochs=3, quiet=True)
    assert "epochs" not in caught.value.message
    assert cut.status == "interrupted"
    sightline.train(colours, out=tmp_path, name="cut", resume=True, epochs=3, quiet=True)


@pytest.mark.parametrize("change", ["new", "missing", "changed"])
def test_other_data_are_refused_with_the_difference(colours, tmp_path, cut, change, write_image):
    first = next(Path(colours).rglob("*.png"))
    if change == "new":
        write_image(first.with_name("more.png"), seed=99)
    elif change == "missing":
        first.unlink()
    else:
        write_image(first, seed=99)
    with pytest.raises(RunError, match=f"1 {change}") as caught:
        sightline.train(colours, out=tmp_path, name="cut", resume=True, quiet=True)
    assert caught.value.code == "run.data-changed"


def test_on_other_versions_it_goes_on_and_says_since_when(colours, tmp_path, cut, monkeypatch):
    from sightline.training import setup

    real = setup.versions()
    monkeypatch.setattr(setup, "versions", lambda: {**real, "torch": "99.0"})
    display = DieAt(-1)
    run = sightline.train(colours, out=tmp_path, name="cut", resume=True, display=display)
    warned = [event for event in display.events if isinstance(event, Warned) and event.code == "run.not-exact"]
    assert "torch" in warned[0].message and "99.0" in warned[0].message
    assert run.facts["not_exact_since"] >= 4 and "99.0" in run.facts["not_exact_because"]


def test_a_run_that_is_being_written_is_refused(colours, tmp_path, cut):
    with lock_run(cut.folder), pytest.raises(RunError) as caught:
        sightline.train(colours, out=tmp_path, name="cut", resume=True, quiet=True)
    assert caught.value.code == "run.locked"


def test_what_the_dead_process_left_is_swept(colours, tmp_path, cut):
    (cut.folder / "checkpoints" / "last.tmp").mkdir()
    stray = cut.folder / "history.csv.tmp-999999"
    stray.write_text("half")
    sightline.train(colours, out=tmp_path, name="cut", resume=True, quiet=True)
    assert not stray.exists()


def test_a_run_that_died_before_its_first_state_starts_anew(colours, tmp_path, whole, cut):
    shutil.rmtree(cut.folder / "checkpoints")
    again = sightline.train(colours, out=tmp_path, name="cut", resume=True, quiet=True)
    assert digest(again) == digest(whole)
    assert again.steps_file.read_text() == whole.steps_file.read_text()


def test_a_device_that_is_gone_is_replaced_and_said(colours, tmp_path, cut, monkeypatch):
    text = cut.plan_file.read_text().replace('value = "cpu"', 'value = "cuda:7"')
    cut.plan_file.write_text(text)
    run = sightline.train(colours, out=tmp_path, name="cut", resume=True, quiet=True)
    assert run.plan.settings.device == "cuda:7"  # it is used again where it is there
    assert "cuda:7" in run.facts["not_exact_because"]
