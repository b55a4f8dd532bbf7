"""Files are whole or not there."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.errors import RunError
from sightline.runs.safe_files import (
    read_rows,
    recover_folder,
    replace_folder,
    sweep_strays,
    sync_folder,
    write_bytes,
    write_columns,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture(params=["open", "fsync", "replace"])
def broken_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at one of the three steps of a write."""
    target, name = {"open": (Path, "open"), "fsync": (os, "fsync"), "replace": (Path, "replace")}[request.param]
    monkeypatch.setattr(target, name, full_disk)


def test_bytes_are_written_and_folders_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"\0\xff")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"\0\xff"
    assert names(tmp_path / "a" / "b") == ["c.bin"]


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    write_bytes(tmp_path / "f", b"a long first text")
    write_bytes(tmp_path / "f", b"short")
    assert (tmp_path / "f").read_bytes() == b"short"


@pytest.mark.usefixtures("broken_disk")
def test_a_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No space left") as caught:
        write_bytes(tmp_path / "f.json", b"x" * 1000)
    assert caught.value.code == "run.write"
    assert names(tmp_path) == []


def test_a_write_that_fails_leaves_the_file_before_it(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write_bytes(tmp_path / "f.json", b"before")
    request.getfixturevalue("monkeypatch").setattr(Path, "replace", full_disk)
    with pytest.raises(RunError):
        write_bytes(tmp_path / "f.json", b"after")
    assert names(tmp_path) == ["f.json"]
    assert (tmp_path / "f.json").read_bytes() == b"before"


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (steps.append("replace"), replace(self, target))[1])
    write_bytes(tmp_path / "f", b"x")
    assert steps[:2] == ["fsync", "replace"]
    assert steps == ["fsync", "replace", "fsync"] or not hasattr(os, "O_DIRECTORY")


def test_a_place_that_is_no_folder_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        write_bytes(tmp_path / "file" / "f", b"x")
    assert "writable" in caught.value.cure


def test_a_name_that_is_a_folder_is_a_run_error_and_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(RunError):
        write_bytes(tmp_path / "f", b"x")
    assert names(tmp_path) == ["f"]


def test_text_is_utf_8_with_plain_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "t", "Käfer 蜂\n")
    assert (tmp_path / "t").read_bytes() == "Käfer 蜂\n".encode()


def test_names_that_are_no_utf_8_keep_their_bytes(tmp_path: Path) -> None:
    raw = b"caf\xe9.jpg"
    write_text(tmp_path / "t", raw.decode("utf-8", "surrogateescape"))
    assert (tmp_path / "t").read_bytes() == raw


def test_json_is_one_document_with_a_last_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", {"a": [1, None]})
    assert (tmp_path / "f.json").read_text().endswith("}\n")
    assert json.loads((tmp_path / "f.json").read_text()) == {"a": [1, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "f.json", {"a": value})
    assert names(tmp_path) == []


@example([("Icon\r", "two\nlines")])
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=9)] * 2), max_size=5))
def test_columns_survive_csv(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    write_columns(tmp_path / "f.csv", {"path": [a for a, _ in rows], "label": [b for _, b in rows]})
    assert [(row["path"], row["label"]) for row in read_rows(tmp_path / "f.csv")] == rows
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    numbers = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r") and cell and not numbers.fullmatch(cell)]


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_columns(tmp_path / "f.csv", {"a": [1, 2], "b": [1]})
    assert names(tmp_path) == []


def test_syncing_a_folder_leaves_no_open_file_behind(tmp_path: Path) -> None:
    def next_descriptor() -> int:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    before = next_descriptor()
    for _ in range(3):
        sync_folder(tmp_path)
    assert next_descriptor() == before


KILLED = """
import os, signal, sys
from pathlib import Path
from sightline.runs.safe_files import write_bytes
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM)
write_bytes(Path(sys.argv[1]), b"half")
"""


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    run = tmp_path / "run"
    code = subprocess.run([sys.executable, "-c", KILLED, run / "checkpoints" / "last.tmp" / "w"]).returncode
    assert code != 0
    subprocess.run([sys.executable, "-c", KILLED, run / "history.csv"])
    left = names(run)
    assert len(left) == 2 and left[1].startswith("history.csv.tmp-")
    (run / f"plan.toml.tmp-{os.getppid()}").write_text("of a process that lives")
    (run / f"run.json.tmp-{os.getpid()}").write_text("of a dead one of our number")
    (run / "notes.tmp").write_text("a user's file")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.tmp-1").write_text("not in the run")
    (run / "link").symlink_to(outside, target_is_directory=True)
    (run / "link.tmp").symlink_to(outside, target_is_directory=True)
    removed = {path.name for path in sweep_strays(run)}
    assert removed == {"last.tmp", left[1], f"run.json.tmp-{os.getpid()}"}
    kept = ["checkpoints", "link", "link.tmp", "notes.tmp", f"plan.toml.tmp-{os.getppid()}"]
    assert names(run) == kept and names(outside) == ["x.tmp-1"]
    assert sweep_strays(run) == []


def test_a_folder_that_can_not_be_put_in_its_place_is_a_run_error(tmp_path: Path) -> None:
    for name in ("old", "new.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", full_disk)
        with pytest.raises(RunError, match="No space left") as caught:
            replace_folder(tmp_path / "new.tmp", tmp_path / "old")
    assert caught.value.code == "run.write"
    assert (recover_folder(tmp_path / "old") / "file").read_text() in ("old", "new.tmp")
