"""A wall clock that jumps while a training runs changes no duration and no order of runs."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

import sightline
from sightline.events import EpochEnded
from sightline.runs import writer
from sightline.runs.folder import list_runs

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]


class Jump:
    """A display that sets the wall clock once the first epoch has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
        self.monkeypatch, self.days = monkeypatch, days

    def show(self, event: object) -> None:
        if isinstance(event, EpochEnded) and event.epoch == 1:
            set_clock(self.monkeypatch, self.days)

    def close(self) -> None:
        pass


def set_clock(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    real = time.time

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(real(), tz) + timedelta(days=days)

    monkeypatch.setattr(time, "time", lambda: real() + 86_400 * days)
    monkeypatch.setattr(writer, "datetime", Clock)


@pytest.mark.parametrize("days", [-400, 400])
def test_seconds_are_those_that_passed_and_the_last_run_is_latest(colours, tmp_path, monkeypatch, days):
    start = time.monotonic()
    chosen = {"model": "small-cnn", "epochs": 2, "out": tmp_path, "quiet": True}
    first = sightline.train(colours, name="b", display=Jump(monkeypatch, days), **chosen)
    passed = time.monotonic() - start
    assert 0 < first.facts["seconds"] <= passed + 0.05  # it is kept in tenths
    assert all(0 <= seconds <= passed for seconds in first.history["seconds"])
    assert first.status == "finished"
    if days > 0:
        set_clock(monkeypatch, -2 * days)  # and back, before the next one
    writer.RunWriter.create(tmp_path, "a", "colours", {})
    assert [run.folder.name for run in list_runs(tmp_path)] == ["b", "a"]
