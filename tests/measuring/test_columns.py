"""Columns of a person's own: found by path, and what can't be used is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sightline
from finished import write_colours
from sightline.errors import DataError
from sightline.evaluation.slices import find_slices
from sightline.measuring.columns import describe_columns, read_columns, slice_columns


def test_columns_are_found_by_path_and_missing_ones_are_empty(table, tmp_path) -> None:
    samples = table([0, 0, 1, 1], paths=["a/1.png", "a/2.png", "b/1.png", "b/é.png"])
    file = tmp_path / "columns.csv"
    file.write_text("\ufeffcamera,path,site\nold,a/1.png,north\nnew,b/é.png,\nnew,else.png,south\n", encoding="utf-8")
    with_columns, named = read_columns(samples, file)
    assert named.tolist() == [True, False, False, True]
    assert with_columns.extra["camera"].tolist() == ["old", "", "", "new"]
    assert with_columns.extra["site"].tolist() == ["north", "", "", ""]


def test_a_column_that_the_table_has_already_keeps_the_tables_one(table, tmp_path) -> None:
    samples = replace(table([0, 1], paths=["a.png", "b.png"]), extra={"camera": np.array(["one", "two"], object)})
    (tmp_path / "columns.csv").write_text("path,camera\na.png,old\nb.png,new\n")
    with_columns, _ = read_columns(samples, tmp_path / "columns.csv")
    said = {name: column.tolist() for name, column in with_columns.extra.items()}
    assert said == {"camera": ["one", "two"], "camera (CSV)": ["old", "new"]}


# -- which values are searched ------------------------------------------------------------------------------------

OURS = ("class", "short side", "brightness", "sharpness", "shape", "folder")


def with_extra(table, labels, **columns):
    count = len(labels)
    names = [f"{'xy'[row % 2]}/{row:03d}.png" for row in range(count)]  # folders that are no classes
    extra = {name: np.array(column, object) for name, column in columns.items()}
    return replace(table(labels, paths=names), extra=extra), np.arange(count)


@pytest.mark.parametrize("name", OURS)
def test_a_column_with_a_name_of_ours_stands_beside_ours(table, name) -> None:
    labels = [0] * 30 + [1] * 30
    plain, rows = with_extra(table, labels)
    samples, _ = with_extra(table, labels, **{name: ["own"] * 60, f"{name} (table)": ["other"] * 60})
    ours, both = slice_columns(plain, rows), slice_columns(samples, rows)
    assert set(ours) == set(OURS) and set(both) - set(OURS) == {f"{name} (table)", f"{name} (table) (table)"}
    assert all(both[column].tolist() == words.tolist() for column, words in ours.items())
    assert both[f"{name} (table)"].tolist() == ["other"] * 60
    assert both[f"{name} (table) (table)"].tolist() == ["own"] * 60


def test_a_column_folder_is_kept_where_ours_says_what_the_class_says(table) -> None:
    samples = replace(
        table([0, 0, 1, 1], paths=["a/1.png", "a/2.png", "b/1.png", "b/2.png"]),
        extra={"folder": np.array(["x", "y", "x", "y"], object)},
    )
    columns = slice_columns(samples, np.arange(4))
    assert "folder" not in columns and columns["folder (table)"].tolist() == ["x", "y", "x", "y"]


def test_many_different_numbers_are_searched_by_thirds(table) -> None:
    hours = [f"{k / 7:.3f}" for k in range(120)]
    samples, rows = with_extra(table, [0, 1] * 60, exposure=[*hours[:118], "", "nan"])
    words = slice_columns(samples, rows)["exposure"].tolist()
    assert words[:39] == ["lowest third"] * 39 and words[80:118] == ["highest third"] * 38 and words[118:] == ["", ""]
    hits = np.arange(120) < 80  # the last ones are wrong
    (worst, *_) = find_slices(hits, slice_columns(samples, rows)).found
    assert (worst.column, worst.value, worst.n) == ("exposure", "highest third", 39)


@pytest.mark.parametrize("values", [["1", "2", "3"], ["7", "8.5", "cold"]])
def test_few_numbers_and_words_are_searched_as_they_are(table, values) -> None:
    samples, rows = with_extra(table, [0, 1] * 60, site=values * 40)
    assert slice_columns(samples, rows)["site"].tolist() == values * 40


def test_what_can_not_be_searched_is_said_with_the_reason(table) -> None:
    samples, rows = with_extra(
        table,
        [0, 1] * 150,
        camera=["old", "new"] * 150,
        patient=[f"p{k // 10}" for k in range(300)],
        note=[f"note {k}" if k < 250 else "none" for k in range(300)],
        lab=["one"] * 300,
        nothing=[""] * 300,
    )
    (said,) = describe_columns(samples, rows, np.ones(300, bool))
    assert said.message == (
        "Columns of the table searched for what is worse: camera; not searched: patient (30 values, none with 20 "
        "images and as many others), note (251 values, too many), lab (the same value everywhere), nothing (no value "
        "for the measured images)."
    )
    plain, _ = with_extra(table, [0, 1] * 150)
    assert not list(describe_columns(plain, rows, np.ones(300, bool)))


@pytest.mark.parametrize("text", ["", "path\na/1.png\n", "file,camera\na/1.png,old\n", "path,camera\nelse.png,old\n"])
def test_columns_that_say_nothing_are_refused(table, tmp_path, text) -> None:
    (tmp_path / "columns.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_columns(table([0, 1], paths=["a/1.png", "b/1.png"]), tmp_path / "columns.csv")
    assert caught.value.code == "evaluation.columns"


def test_a_file_that_is_not_there_is_said(table, tmp_path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_columns(table([0, 1]), tmp_path / "none.csv")


class Listener:
    """A display that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def show(self, event) -> None:
        self.said.append(getattr(event, "message", ""))

    def close(self) -> None:
        pass


@pytest.mark.e2e
def test_a_camera_that_harms_is_found_on_further_images_and_shown(copied_run, tmp_path) -> None:
    data = write_colours(tmp_path / "more", 30, seed=7)
    harmed = sorted((data / "red").iterdir())[:20]
    blue = sorted((write_colours(tmp_path / "others", 20, seed=8) / "blue").iterdir())
    for path, other in zip(harmed, blue, strict=True):
        path.write_bytes(other.read_bytes())  # each looks blue, and none is a copy of another
    cameras = {path.relative_to(data).as_posix(): "bad" if path in harmed else "good" for path in data.rglob("*.png")}
    columns, out = tmp_path / "columns.csv", tmp_path / "out"
    columns.write_text("\n".join(["path,camera", *map(",".join, cameras.items())]))
    listener = Listener()
    evaluation = sightline.evaluate(copied_run.folder, data, columns=columns, out=out, display=listener)
    assert f"{columns} names 90 of these 90 images." in listener.said
    assert "Columns of the table searched for what is worse: camera." in listener.said
    found = evaluation.metrics["slices"]["found"]
    assert ("camera", "bad", 20) in [(one["column"], one["value"], one["n"]) for one in found]
    page = (out / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert '<th scope="row">camera</th><td>bad</td>' in page and str(evaluation.accuracy).split(" (")[0] in page


def test_a_column_whose_values_have_too_few_groups_is_said_to_be_left_out(table) -> None:
    samples = table([0, 1] * 40)
    camera = np.array(["old", "new"] * 40, object)
    samples = replace(samples, extra={"camera": camera})
    rows, hits = np.arange(80), np.ones(80, bool)
    (alone,) = describe_columns(samples, rows, hits)
    assert "searched for what is worse: camera" in alone.message
    (together,) = describe_columns(samples, rows, hits, np.arange(80) % 4)
    assert "not searched: camera (its values have too few groups)" in together.message


def test_the_shape_of_an_image_is_wide_high_or_about_square(table) -> None:
    samples, rows = with_extra(table, [0, 1] * 3)
    samples.facts["width"], samples.facts["height"] = [121, 119, 100, 100, 100, 120], [100, 100, 121, 119, 100, 100]
    shapes = ["wide", "about square", "high", "about square", "about square", "about square"]
    assert slice_columns(samples, rows)["shape"].tolist() == shapes


@pytest.mark.parametrize(("count", "by_thirds"), [(50, False), (51, True)])
def test_up_to_fifty_different_numbers_are_names(table, count, by_thirds) -> None:
    values = [str(number) for number in range(count)] + ["0"] * 60  # one value is frequent enough to be searched
    samples, rows = with_extra(table, [0] * len(values), site=values)
    assert (slice_columns(samples, rows)["site"].tolist() != values) is by_thirds
