"""A study that several processes share: what tells that one of them is gone, here or on another machine."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.tuning import heartbeat
from sightline.tuning.outcome import Outcome
from sightline.tuning.space import check_space
from sightline.tuning.storage import open_storage, study_names
from sightline.tuning.study import Asked, Study

SPACE = check_space({"flip": [0.0, 0.5], "rotate": {"low": 0.0, "high": 90.0}})
PLAIN = {"flip": 0.5, "rotate": 0.0}
DONE = Outcome(-1, "complete", score=0.5, hits="80")


@pytest.fixture(params=["journal", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "" if request.param == "journal" else f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def opened() -> Iterator[list[Study]]:
    studies: list[Study] = []
    yield studies
    for study in studies:
        study.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.02)
    monkeypatch.setattr(heartbeat, "SILENT", 0.4)


def open_study(opened: list[Study], folder: Path, url: str) -> Study:
    folder.mkdir(exist_ok=True)
    study = Study(folder, open_storage(folder, url), "found", SPACE, {"version": "1"})
    study.choose("random", "none", 0, 0)
    opened.append(study)
    return study


def ask(study: Study) -> Asked:
    asked = study.ask(None, PLAIN)
    assert asked is not None
    return asked


def open_elsewhere(opened: list[Study], folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Open the study as a process of another machine does: with a folder of its own, where that is not the storage."""
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    return open_study(opened, folder.with_name("elsewhere") if url else folder, url)


def test_a_trial_of_a_machine_that_is_gone_is_lost_and_tried_again(
    url: str, tmp_path: Path, opened: list[Study], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_study(opened, tmp_path / "here", url)
    here.tell(ask(here), DONE)
    second = ask(here)
    there = open_elsewhere(opened, tmp_path / "here", url, monkeypatch)
    until = time.monotonic() + 0.8
    while time.monotonic() < until:  # it lives, and nobody takes its trial away
        assert there.count_alive() == 1
        time.sleep(0.05)
    here._heart.close()  # the machine is gone
    until = time.monotonic() + 20
    while there.count_alive():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [one.state for one in there.outcomes()] == ["complete", "lost"]
    again = ask(there)
    assert again.retry_of == second.number and again.settings == second.settings
    there.tell(again, DONE)
    # It was asleep only: what it comes to is not kept, as others have made the trial again.
    assert here.report(second, 1, 0.9) and here.tell(second, DONE).state == "lost"
    here.give_up(second, "it was stopped")
    assert [one.state for one in there.outcomes()] == ["complete", "lost", "complete"]


def test_a_killed_process_of_this_machine_is_found_at_once_whatever_its_folder(
    url: str, tmp_path: Path, opened: list[Study]
) -> None:
    gone = open_study(opened, tmp_path / "gone", url)
    lost = ask(gone)
    gone._alive.release()  # the system does so
    other = open_study(opened, tmp_path / "other" if url else tmp_path / "gone", url)
    again = ask(other)
    assert (again.retry_of, again.settings, again.is_plain) == (lost.number, lost.settings, True)


def test_a_living_process_of_this_machine_keeps_its_trial_whatever_the_folder(
    url: str, tmp_path: Path, opened: list[Study]
) -> None:
    ask(open_study(opened, tmp_path / "one", url))
    other = open_study(opened, tmp_path / "other" if url else tmp_path / "one", url)
    assert other.count_alive() == 1 and ask(other).retry_of is None


def test_settings_that_kill_each_process_fail_in_the_end(tmp_path: Path, opened: list[Study]) -> None:
    """As a lack of memory does."""
    tries = []
    for _ in range(6):
        study = open_study(opened, tmp_path, "")
        asked = ask(study)
        tries.append(asked.number if asked.is_plain else -1)
        study._alive.release()
    last = open_study(opened, tmp_path, "")
    last.count_alive()
    outcomes = last.outcomes()
    assert tries == [0, 1, 2, 3, -1, -1]
    assert [one.state for one in outcomes[:4]] == ["lost", "lost", "lost", "failed"]
    assert "killed each of 4 times" in outcomes[3].reason


def test_one_process_leads_whatever_its_folder(tmp_path: Path, opened: list[Study]) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    locks = [open_study(opened, tmp_path / name, url).lead_lock() for name in ("one", "other")]
    first, second = (lock for lock in locks if lock is not None)
    assert first.take() and first.take() and first.is_held() and not second.take()
    first.release()
    assert second.take() and not first.take()
    second.release()
    assert open_study(opened, tmp_path / "file", "").lead_lock() is None


def test_processes_that_share_a_database_ask_one_after_the_other(tmp_path: Path, opened: list[Study]) -> None:
    """The plain recipe is there once, and no trial is made beyond what was asked for."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    studies = [open_study(opened, tmp_path / f"folder-{number}", url) for number in range(3)]
    asked: list[Any] = []
    threads = [
        threading.Thread(target=lambda one=study: asked.extend(one.ask(4, PLAIN) for _ in range(3)))
        for study in studies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [one for one in asked if one is not None]
    assert sorted(one.number for one in made) == [0, 1, 2, 3]
    assert [one.number for one in made if one.is_plain] == [0]


def test_who_loses_the_race_for_the_tables_opens_them_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy
    from optuna import storages

    real, calls = storages.RDBStorage, []

    def opened(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise sqlalchemy.exc.OperationalError("CREATE TABLE studies", {}, Exception("table studies already exists"))
        return real(*arguments, **more)

    monkeypatch.setattr(storages, "RDBStorage", opened)
    assert study_names(open_storage(tmp_path, f"sqlite:///{tmp_path / 'tune.db'}")) == set()
    assert len(calls) == 2
