"""Workers of a search: how they share the machine, and when they are given up. Killed ones: test_killed.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.errors import RunError
from sightline.events import Noted, Warned
from sightline.tuning import workers
from sightline.tuning.handover import Share
from sightline.tuning.workers import Crew, share_machine, words_of_workers


def planned(device: str = "cpu", threads: int = 8, chosen: dict[str, Any] | None = None) -> Any:
    settings = SimpleNamespace(device=device, threads=threads)
    decided = SimpleNamespace(plan=SimpleNamespace(settings=settings), recipe=SimpleNamespace(chosen={}))
    return SimpleNamespace(decided=decided, options=SimpleNamespace(chosen=chosen or {}))


def test_workers_share_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_threads", lambda: 8)
    assert share_machine(planned(), 3) == [Share(1, 2, "cpu"), Share(2, 2, "cpu"), Share(3, 2, "cpu")]
    assert {one.threads for one in share_machine(planned(threads=5), 9)} == {1}
    assert {one.threads for one in share_machine(planned(threads=5), 2)} == {4}
    assert {one.threads for one in share_machine(planned(threads=5, chosen={"threads": 5}), 2)} == {
        5
    }  # chosen by a person
    told = words_of_workers(share_machine(planned(), 4))
    assert isinstance(told, Noted) and told.message.startswith("Workers: 4, with 2 threads each.")
    told = words_of_workers(share_machine(planned(), 9))
    assert isinstance(told, Warned) and "9 workers on 8 CPUs, 1 thread each" in told.message
    assert told.cure == "give --workers 8, or fewer"


def test_workers_take_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.training import hardware

    monkeypatch.setattr(hardware, "count_devices", lambda device: 2)
    monkeypatch.setattr(workers, "usable_threads", lambda: 8)
    shares = share_machine(planned("cuda:1"), 3)
    assert [one.device for one in shares] == ["cuda:1", "cuda:2", "cuda:1"]
    assert "on cuda:1, cuda:2" in words_of_workers(shares[:2]).message  # type: ignore[union-attr]


class Ending(Crew):
    """Workers that end at once."""

    pids = [1]  # type: ignore[assignment]  # noqa: RUF012

    def __init__(self, code: int) -> None:
        self._code, self.begun = code, 0

    def take_ended(self) -> list[tuple[Share, str]]:
        self.begun += 1
        return [(Share(1, 1, "cpu"), f"exited with code {self._code}")]

    def replace(self, share: Share) -> None:
        pass

    def close(self) -> None:
        self.pids = []


def test_workers_that_do_nothing_but_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_POLL", 0.0)
    monkeypatch.setattr(workers, "write_bench", lambda *_: None)
    study: Any = SimpleNamespace(folder=tmp_path, outcomes=lambda: [], count_alive=lambda: 0)
    budget: Any = SimpleNamespace(is_over=lambda *_: False)
    crew = Ending(1)
    told: list[Any] = []
    with pytest.raises(RunError, match="5 workers in a row ended without a trial; worker 1 exited") as caught:
        told.extend(workers.watch_workers(study, planned(), budget, {"trials": 9}, lambda _: crew, str))  # type: ignore[arg-type]
    assert caught.value.code == "tune.workers-lost" and crew.begun == 5 and not crew.pids
