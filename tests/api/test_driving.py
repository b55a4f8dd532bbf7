"""Signals while events are driven: soft where the work can be taken up again, at once elsewhere and the second time."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from sightline.api.driving import Stopping, drive
from sightline.errors import StopRequested
from sightline.events import Noted, StageEnded, StageStarted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows can't send itself these signals")


class Quiet:
    def show(self, event) -> None:
        pass

    def close(self) -> None:
        pass


def working(stage: str, done: list[str], *, kills: int = 1, number: int = signal.SIGINT):
    """Work in a stage during which signals come; what was done is listed."""
    yield StageStarted(stage)
    try:
        for step in range(3):
            if step == 1:
                for _ in range(kills):
                    os.kill(os.getpid(), number)
            done.append(f"step {step}")
            yield Noted("a step")
    except StopRequested as stop:
        done.append(f"saved after {stop}")
        raise
    except BaseException:
        done.append("cut")
        raise
    yield StageEnded(stage, "", 0.0)
    return "result"


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)]
)
def test_a_training_ends_its_step_and_saves_before_it_stops(number, error, code):
    done: list[str] = []
    with pytest.raises(error) as caught:
        drive(working("Training", done, number=number), Quiet(), quiet=True)
    assert done[:2] == ["step 0", "step 1"] and done[2].startswith("saved") and len(done) == 3
    assert code is None or caught.value.code == code


def test_the_second_signal_stops_at_once():
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        drive(working("Training", done, kills=2), Quiet(), quiet=True)
    assert (done[0] == "step 0" and done[-1] == "cut") or done[-1].startswith("saved")
    assert "step 2" not in done and "step 1" not in done


def test_another_stage_is_stopped_at_once():
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        drive(working("Reading", done), Quiet(), quiet=True)
    assert "step 1" not in done


def test_the_signals_are_given_back(monkeypatch):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert drive(working("Training", [], kills=0), Quiet(), quiet=True) == "result"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_thread_of_a_program_takes_no_signals():
    results: list[str] = []
    thread = threading.Thread(
        target=lambda: results.append(drive(working("Training", [], kills=0), Quiet(), quiet=True))
    )
    thread.start()
    thread.join()
    assert results == ["result"]


@pytest.fixture
def stopping():
    taken = Stopping()
    taken.can_wait = True
    yield taken
    taken.close()


def test_under_torchrun_which_passes_signals_on_only_the_first_counts(stopping, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert stopping.signal == signal.SIGINT
