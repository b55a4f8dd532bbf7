"""Columns of a person's own: found by path, and what can't be used is said."""

from __future__ import annotations

import pytest

import sightline
from finished import write_colours
from sightline.errors import DataError
from sightline.pipeline.slices import read_columns


def test_columns_are_found_by_path_and_missing_ones_are_empty(table, tmp_path) -> None:
    samples = table([0, 0, 1, 1], paths=["a/1.png", "a/2.png", "b/1.png", "b/é.png"])
    file = tmp_path / "columns.csv"
    file.write_text("\ufeffcamera,path,site\nold,a/1.png,north\nnew,b/é.png,\nnew,else.png,south\n", encoding="utf-8")
    with_columns = read_columns(samples, file)
    assert with_columns.extra["camera"].tolist() == ["old", "", "", "new"]
    assert with_columns.extra["site"].tolist() == ["north", "", "", ""]


@pytest.mark.parametrize("text", ["", "path\na/1.png\n", "file,camera\na/1.png,old\n", "path,camera\nelse.png,old\n"])
def test_columns_that_say_nothing_are_refused(table, tmp_path, text) -> None:
    (tmp_path / "columns.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_columns(table([0, 1], paths=["a/1.png", "b/1.png"]), tmp_path / "columns.csv")
    assert caught.value.code == "evaluation.columns"


def test_a_file_that_is_not_there_is_said(table, tmp_path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_columns(table([0, 1]), tmp_path / "none.csv")


@pytest.mark.e2e
def test_a_camera_that_harms_is_found_on_further_images_and_shown(copied_run, tmp_path) -> None:
    data = write_colours(tmp_path / "more", 30, seed=7)
    harmed = sorted((data / "red").iterdir())[:20]
    blue = sorted((data / "blue").iterdir())[0]
    for path in harmed:
        path.write_bytes(blue.read_bytes() + path.name.encode())  # looks blue, and is another file
    cameras = {path.relative_to(data).as_posix(): "bad" if path in harmed else "good" for path in data.rglob("*.png")}
    columns, out = tmp_path / "columns.csv", tmp_path / "out"
    columns.write_text("\n".join(["path,camera", *map(",".join, cameras.items())]))
    evaluation = sightline.evaluate(copied_run.folder, data, columns=columns, out=out, quiet=True)
    found = evaluation.metrics["slices"]["found"]
    assert ("camera", "bad", 20) in [(one["column"], one["value"], one["n"]) for one in found]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "camera" in page and str(evaluation.accuracy).split(" (")[0] in page
