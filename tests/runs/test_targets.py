"""What can't be written is refused before any work, and nothing is written to find out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline.errors import RunError
from sightline.runs.targets import refuse_file_target, refuse_folder_target


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that the system calls read-only, as it does on a disk that is mounted so; root may write any other."""
    folder = tmp_path / "shut"
    folder.mkdir()
    (folder / "page.html").write_text("kept")
    ask = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(folder) and ask(path, mode))
    return folder


def test_folders(tmp_path: Path, read_only: Path) -> None:
    (tmp_path / "file").write_text("x")
    for good in (tmp_path, tmp_path / "new", tmp_path / "a" / "b" / "c"):
        refuse_folder_target(good)
    for bad, words in ((tmp_path / "file", "is not a folder"), (tmp_path / "file" / "in", "is not a folder")):
        with pytest.raises(RunError, match=words) as caught:
            refuse_folder_target(bad, "choose another --here")
        assert (caught.value.code, caught.value.cure) == ("run.write", "choose another --here")
    for bad in (read_only, read_only / "new" / "er"):
        with pytest.raises(RunError, match="is read-only"):
            refuse_folder_target(bad)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "shut"}


def test_files(tmp_path: Path, read_only: Path) -> None:
    refuse_file_target(tmp_path / "page.html")
    refuse_file_target(tmp_path / "new" / "page.html")
    with pytest.raises(RunError, match="it is a folder"):
        refuse_file_target(read_only)
    for name in ("page.html", "new.html"):
        with pytest.raises(RunError, match="is read-only"):
            refuse_file_target(read_only / name)
