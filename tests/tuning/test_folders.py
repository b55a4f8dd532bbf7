"""Where the result of a search is, that processes with several folders share."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from sightline.errors import RunError
from sightline.steps import result_of
from sightline.tuning.folders import SearchFolder, find_result, is_elsewhere


def made(folder: Path, host: str = "") -> dict[str, Any]:
    return {"folder": str(folder), "id": "a", "host": host or platform.node(), "pid": 7, "budget": [2, 0.0]}


def test_a_result_elsewhere(tmp_path: Path) -> None:
    assert not is_elsewhere({}, {})
    assert not is_elsewhere(made(tmp_path), {"id": "a"})  # it was made here
    assert is_elsewhere(made(tmp_path), {"id": "b"}) and is_elsewhere(made(tmp_path), {})
    assert is_elsewhere(made(tmp_path / "gone", "other"), {})
    assert not is_elsewhere(made(tmp_path / "gone"), {})  # it was removed from this machine: it is made again


def test_a_result_in_sight_is_returned_and_of_another_the_place_is_named(tmp_path: Path) -> None:
    place, folder = SearchFolder(tmp_path / "found", tmp_path), tmp_path / "over there" / "found"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"schema_version": 1, "status": "finished", "search": {"id": "a"}}))
    assert result_of(find_result(place, made(folder, "other"))).folder == folder
    with pytest.raises(RunError, match=r"process 7 on other made the result of .*gone there") as caught:
        result_of(find_result(place, made(folder.with_name("gone"), "other")))
    assert caught.value.code == "tune.elsewhere" and "scp -r other:'" in caught.value.cure
    (folder / "run.json").write_text(json.dumps({"schema_version": 1, "status": "finished"}))
    with pytest.raises(RunError):  # a run of that name, and of no search
        result_of(find_result(place, made(folder, "other")))
