"""A training that starts over at another width is one of that width, to the bit; what was before is told, not shown."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import sightline
from sightline.errors import StopRequested
from sightline.events import Event, Noted, StepEnded
from sightline.pipeline.start_over import widths_of
from sightline.planning.budget import Costs
from sightline.planning.decisions import Decision
from sightline.runs.folder import Run
from sightline.training.pace import Pace

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]

OPTIONS = {"model": "small-fast", "epochs": 2, "batch_size": 8, "threads": 1, "quiet": True}


class Listener:
    """A display that keeps what is noted, and may ask for a stop at a step, counted over all starts."""

    def __init__(self, stop_at: int = 0) -> None:
        self.notes: list[str] = []
        self.steps = 0
        self.stop_at = stop_at

    def show(self, event: Event) -> None:
        if isinstance(event, Noted):
            self.notes.append(event.message)
        if isinstance(event, StepEnded):
            self.steps += 1
            if self.steps == self.stop_at:
                raise StopRequested(15)

    def close(self) -> None:
        pass


@pytest.fixture
def misfit(monkeypatch):
    """Let the third step of a training of the planned width show that the machine is three times as fast."""

    def fits_badly(self: Pace, course) -> bool:
        if self._widths is None or self._settings.width == 48 or course.step != 3:
            return False
        self.width, self.factor = 48, 1 / 3
        return True

    monkeypatch.setattr(Pace, "fits_badly", fits_badly)


def weights(run: Run) -> bytes:
    return (run.classifier_folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def planned_so(colours, tmp_path_factory) -> Run:
    """Return a run whose width was 48 from its beginning."""
    return sightline.train(colours, out=tmp_path_factory.mktemp("runs"), width=48, **OPTIONS)


def test_it_ends_as_a_training_that_was_planned_so_and_tells_it(colours, tmp_path, misfit, planned_so):
    listener = Listener()
    run = sightline.train(colours, out=tmp_path, time=600, display=listener, **OPTIONS)
    assert weights(run) == weights(planned_so)
    for table in ("history", "steps"):
        mine, wanted = getattr(run, table), getattr(planned_so, table)
        names = [name for name in wanted if name not in ("seconds", "images_per_second")]
        assert [mine[name] for name in names] == [wanted[name] for name in names]
    (width,) = (decision for decision in run.plan.decisions if decision.name == "width")
    assert (width.value, width.origin) == (48, "time") and "3.0 times as fast as when it was measured" in width.reason
    (told,) = (note for note in listener.notes if "starts over" in note)
    assert told.startswith("The machine is 3.0 times as fast as when it was measured: training starts over at width 48")
    assert "3 steps are lost" in told
    (entry,) = run.facts["started_over"]
    assert entry["to"] == 48 and entry["width"] != 48
    assert "The training started over at width 48" in run.report_file.read_text()


def test_stopped_after_it_the_run_goes_on_to_the_same_weights(colours, tmp_path, misfit, planned_so):
    chosen = {"out": tmp_path, "name": "stopped", "time": 600, **OPTIONS}
    with pytest.raises(StopRequested):
        sightline.train(colours, display=Listener(6), **chosen)
    run = sightline.train(colours, resume=True, **chosen)
    assert weights(run) == weights(planned_so) and len(run.facts["started_over"]) == 1


def test_killed_while_it_starts_over_it_goes_on_with_one_of_the_two(colours, tmp_path, misfit, planned_so, monkeypatch):
    from sightline.runs.writer import RunWriter

    real = RunWriter.update

    def update(self, **facts: object) -> None:
        if "started_over" in facts:
            raise KeyboardInterrupt
        real(self, **facts)

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "update", update)
        with pytest.raises(KeyboardInterrupt):
            sightline.train(colours, out=tmp_path, name="cut", time=600, **OPTIONS)
    run = sightline.train(colours, out=tmp_path, name="cut", resume=True, time=600, **OPTIONS)
    assert weights(run) == weights(planned_so)


def test_all_processes_start_over_together(colours, tmp_path, misfit):
    run = sightline.train(colours, out=tmp_path / "two", time=600, devices=2, **OPTIONS)
    assert run.plan.settings.width == 48 and run.status == "finished"
    assert run.steps["step"] == sorted(run.steps["step"]) and run.facts["processes"] == 2


@pytest.mark.parametrize(
    ("origin", "before", "is_asked"), [("time", 0, True), ("time", 2, False), ("option", 0, False)]
)
def test_a_width_that_a_person_chose_stays_and_it_starts_over_twice_at_most(planned_so, origin, before, is_asked):
    plan = planned_so.plan.replace(Decision("width", 32, origin, ""))
    run = SimpleNamespace(facts={"started_over": [{}] * before})
    assert (widths_of(plan, Costs(0.1, 0.1, 0.1), run, 100, 20) is not None) == is_asked
