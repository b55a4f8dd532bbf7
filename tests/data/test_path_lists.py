"""Lists of images on stdin in every dress."""

from __future__ import annotations

import io
import os
import unicodedata
from pathlib import Path

import pytest

from sightline.data.path_lists import read_paths
from sightline.errors import DataError

NAMES = ["k/Käfer 1.png", "k/b.png", 'k/c "x".png']
DRESSES = {
    "lines": lambda names: "\n".join(names).encode(),
    "crlf": lambda names: "".join(f"{name}\r\n" for name in names).encode(),
    "mark": lambda names: "\n".join(names).encode("utf-8-sig"),
    "utf-16": lambda names: "\r\n".join(names).encode("utf-16"),
    "null": lambda names: "\0".join(names).encode(),
    "blank lines": lambda names: "\n\n".join(names).encode(),
    "backslashes": lambda names: "\n".join(name.replace("/", "\\") for name in names).encode(),
    "quotation marks": lambda names: "\n".join(f'"{name}"' for name in names).encode(),
    "decomposed": lambda names: unicodedata.normalize("NFD", "\n".join(names)).encode(),
    "table": lambda names: ("path\n" + "".join('"' + name.replace('"', '""') + '"\n' for name in names)).encode(),
    "excel": lambda names: (
        "sep=;\r\nlabel;path\r\n" + "".join('x;"' + name.replace('"', '""') + '"\r\n' for name in names)
    ).encode("utf-8-sig"),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_list_in_any_dress_names_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dress: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k").mkdir()
    for name in NAMES:
        Path(name).write_bytes(b"x")
    assert list(read_paths(io.BytesIO(DRESSES[dress](NAMES)))) == NAMES


def test_what_is_not_there_comes_back_as_it_was() -> None:
    raw = os.fsdecode(b"caf\xe9.png")
    lines = ["gone.png", "k\\gone.png", '"gone.png"', " gone.png", raw]
    assert list(read_paths(io.BytesIO(b"\n".join(map(os.fsencode, lines))))) == lines
    assert list(read_paths(io.BytesIO(b""))) == []


def test_paths_are_yielded_as_they_come() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            view = memoryview(buffer)  # type: ignore[arg-type]
            view[:6] = b"a.png\n"
            return 6

    stream = read_paths(io.BufferedReader(Endless(), 16))
    assert [next(stream) for _ in range(3)] == ["a.png"] * 3


def test_only_a_null_ends_the_paths_of_a_list_with_nulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``find -print0`` is for names with line feeds in them, wherever in the list they are."""
    monkeypatch.chdir(tmp_path)
    names = ["two\nlines.png", "a.png", *(f"{k:05d}.png" for k in range(9_000)), "more\r\nlines.png"]
    for name in (names[0], names[-1]):
        Path(name).write_bytes(b"x")
    data = b"".join(os.fsencode(name) + b"\0" for name in names)
    assert list(read_paths(io.BytesIO(data))) == names
    assert list(read_paths(io.BufferedReader(io.BytesIO(data), 7))) == names


@pytest.mark.parametrize("text", ["sep=;\nimage;label\na.jpg;cat\n", "sep=,\n", "SEP=\t\r\nlabel\r\n"])
def test_a_table_without_paths_is_refused_with_its_columns(text: str) -> None:
    with pytest.raises(DataError, match="without a column path") as caught:
        list(read_paths(io.BytesIO(text.encode())))
    assert caught.value.code == "data.table-columns" and "path" in caught.value.cure


def test_a_column_filepath_is_a_column_of_paths() -> None:
    assert list(read_paths(io.BytesIO(b"label,filepath\ncat,a.jpg\n"))) == ["a.jpg"]


def test_paths_of_a_list_may_be_relative_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(b"")
    for text in ("deep/a.jpg\n", "deep\\a.jpg\n", '"deep/a.jpg"\n', "path\ndeep/a.jpg\n"):
        assert list(read_paths(io.BytesIO(text.encode()), "list", str(tmp_path))) == [str(tmp_path / "deep/a.jpg")]
