"""What a person names for a prediction: each kind of source gives its images, in order, each once."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from sightline.data.choices import FindingChoices
from sightline.data.folders import find_images
from sightline.errors import DataError
from sightline.events import Noted
from sightline.predicting.named_images import list_images

NAMES = ["a.png", "b c.png", "deep/er/a.png", "deep.png", "other/ä.png"]


@pytest.fixture
def photos(here, write_image):
    """The current folder with images in folders, and what is none."""
    for number, name in enumerate(NAMES):
        write_image(here / "photos" / name, seed=number)
    (here / "photos" / "notes.txt").write_text("notes")
    (here / "photos" / ".hidden").mkdir()
    write_image(here / "photos" / ".hidden" / "a.png")
    return here / "photos"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*sources: object, stdin: bytes = b"", **choices: object) -> list[str]:
    named = list_images(list(map(str, sources)), FindingChoices(**choices), io.BytesIO(stdin))
    return [str(one) for one in named if not isinstance(one, Noted)]


def notes(*sources: object) -> list[str]:
    return [one.message for one in list_images(list(map(str, sources)), FindingChoices()) if isinstance(one, Noted)]


def test_a_folder_streams_what_find_images_sorts(photos):
    wanted = list(map(str, find_images(photos)[0]))
    assert found(photos) == wanted and len(wanted) == len(NAMES)
    assert found("photos") == [os.path.relpath(path) for path in wanted] == found("./photos/")
    assert found("photos", skip=("deep",)) == [str(Path("photos", name)) for name in NAMES if "deep/" not in name]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_gives_its_images(photos, kind):
    archive = Path(f"all.{kind}")
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for path in sorted(photos.rglob("*")):
                opened.write(path, path.relative_to(photos.parent))
    else:
        with tarfile.open(archive, f"w:{kind.partition('.')[2]}") as opened:
            opened.add(photos, "photos")
    wanted = [f"all.{kind}::photos/{Path(path).relative_to(photos).as_posix()}" for path in found(photos)]
    assert found(archive) == wanted == found("all.*")
    assert found(archive, skip=("deep",)) == [name for name in wanted if "/deep/" not in name]
    assert [type(one).__name__ for one in list_images(wanted[:1], FindingChoices())] == ["Member"]
    assert found("-", stdin="\n".join(wanted).encode()) == wanted


def table(kind: str) -> Path:
    """A table or list in ``photos``, whose paths are relative to it."""
    file = Path("photos") / f"table.{kind}"
    if kind == "csv":
        file.write_text("label;file_name\n" + "".join(f"x;{name}\n" for name in NAMES))
    elif kind == "txt":
        file.write_text("\r\n".join(NAMES))
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"path": name}) + "\n" for name in NAMES))
    else:
        pyarrow.parquet.write_table(pyarrow.table({"n": range(len(NAMES)), "filename": NAMES}), file)
    return file


@pytest.mark.parametrize("kind", ["csv", "txt", "jsonl", "parquet"])
def test_a_table_gives_its_paths_beside_it(photos, kind):
    assert found(table(kind)) == [str(Path("photos") / name) for name in NAMES]
    assert found(table(kind), skip=("deep",)) == [str(Path("photos") / name) for name in NAMES if "deep/" not in name]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_without_paths_is_refused(here, kind):
    file = here / f"table.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"image_id": [1]}), file)
    else:
        file.write_text("image_id,label\n1,cat\n" if kind == "csv" else '{"image_id": 1}\n')
    with pytest.raises(DataError) as caught:
        found(file)
    assert caught.value.code == "data.table-columns"


def test_rows_of_arrays_and_of_parquet_are_images(here, photos):
    np.save("images.npy", np.zeros((3, 4, 4, 3), np.uint8))
    cells = [(photos / name).read_bytes() for name in NAMES]
    pyarrow.parquet.write_table(pyarrow.table({"image": cells}), "images.parquet")
    assert found("images.npy") == [f"images.npy::{row}" for row in range(3)]
    assert found("images.parquet") == [f"images.parquet::{row}" for row in range(len(NAMES))]


def test_patterns_lists_and_files_come_in_the_order_they_were_named(photos):
    assert found("photos/b*.png", "photos/a.png", "-", stdin=b"photos/deep.png\nnowhere.png\n") == [
        "photos/b c.png",
        "photos/a.png",
        "photos/deep.png",
        "nowhere.png",
    ]
    assert found("photos/**/a.png") == ["photos/a.png", "photos/deep/er/a.png"]
    assert found("photos/d*") == ["photos/deep/er/a.png", "photos/deep.png"]
    assert found("no*where") == ["no*where"] and notes("no*where") == ["no file matches 'no*where'"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_that_lead_out_are_told_and_refused_where_nothing_else_is_there(here, photos):
    (here / "links").mkdir()
    (here / "links" / "a.png").symlink_to(photos / "a.png")
    assert found("links", follow_links=True) == ["links/a.png"]
    with pytest.raises(DataError) as caught:
        found("links")
    assert caught.value.code == "data.links" and "--follow-links" in caught.value.cure
    assert found("links", "photos/a.png") == ["photos/a.png"]
    assert "not followed" in notes("links", "photos/a.png")[0]


def test_a_long_folder_is_not_read_before_its_first_image_is_asked_for(photos, monkeypatch):
    opened = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(path) or scan(path))
    stream = list_images(["photos"], FindingChoices())
    assert next(stream) == str(Path("photos/a.png")) and len(opened) == 1
