"""``sightline predict`` into a file: options, what is shown, exit codes. Rows and kills: tests/predicting."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sightline.predicting.text_rows import CsvRows


@pytest.fixture
def images(here, colours):
    """Six images in the current folder, one of them unreadable."""
    for number in range(5):
        (here / "images").mkdir(exist_ok=True)
        shutil.copy(colours / "red" / f"00{number}.png", here / "images")
    (here / "images" / "bad.jpg").write_bytes(b"nothing")
    return here / "images"


def test_a_file_is_written_once_and_again_only_where_it_was_not_finished(sightline, tiny_model, images, monkeypatch):
    said = ("predict", tiny_model, "images", "--out", "new/said.csv", "--max-novelty", "inf")
    status, out, err = sightline(*said)
    assert status == 3 and "1 of 6 files could not be read" in err
    assert "said.csv: 6 images" in out and "red 5" in out
    rows = (images.parent / "new" / "said.csv").read_bytes()
    assert sorted(path.name for path in Path("new").iterdir()) == ["said.csv", "said.csv.job.json"]
    status, _, err = sightline(*said)
    assert status == 2 and "error[predict.exists]" in err and "--resume" in err
    status, out, _ = sightline(*said, "--resume", "--json")
    assert status == 3
    assert json.loads(out) == {
        **{"schema_version": 1, "out": str(Path("new/said.csv")), "count": 6, "count_bad": 1},
        **{"resumed": 6, "answers": {"red": 5}},
    }
    assert (images.parent / "new" / "said.csv").read_bytes() == rows


def test_what_stopped_is_told_and_goes_on(sightline, tiny_model, images, monkeypatch):
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 2)
    said = ("predict", tiny_model, "images", "--out", "said.csv")
    with monkeypatch.context() as patch:
        write, written = CsvRows.write, []

        def stop(rows, part):
            written.append(part)
            if len(written) > 2:
                raise KeyboardInterrupt
            write(rows, part)

        patch.setattr(CsvRows, "write", stop)
        status, _, err = sightline(*said)
    assert status == 130 and "--resume goes on" in err and not Path("said.csv").exists()
    status, _, err = sightline(*said)
    assert status == 2 and "error[predict.exists]" in err and "rows" in err
    status, out, err = sightline(*said, "--resume")
    assert status == 3 and "said.csv: 6 images" in out


def test_each_shard_has_a_file_and_is_made_once(sightline, tiny_model, images):
    for _ in range(2):  # as an array of jobs that is submitted again
        for number in range(2):
            status, _, _ = sightline("predict", tiny_model, "images", "--out", "said.jsonl", "--shard", f"{number}/2")
            assert status in (0, 3)
    files = sorted(Path().glob("said-*-of-00002.jsonl"))
    rows = [json.loads(line)["path"] for file in files for line in file.read_text().splitlines()]
    assert len(files) == 2 and sorted(rows) == sorted(map(str, Path("images").iterdir()))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--out", "said.xlsx"], "predict.format"),
        (["--out", "said"], "predict.format"),
        (["--out", "said.csv", "--format", "jsonl"], "predict.format"),
        (["--out", "said.csv", "--format", "table"], "predict.format"),
        (["--format", "parquet"], "predict.format"),
        (["--resume"], "predict.no-file"),
        (["--shard", "0/2"], "predict.no-file"),
        (["--out", "said.csv", "--shard", "2/2"], "predict.shard"),
        (["--out", "said.csv", "--sets"], "predict.sets"),
        (["--link"], "predict.sort"),
        (["--dry-run"], "predict.sort"),
        (["--sort-into", "images"], "predict.sort"),
        (["--out", "images/000.png/said.csv"], "run.write"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(sightline, tiny_model, images, options, code):
    status, out, err = sightline("predict", tiny_model, "images", *options)
    assert status == 2 and f"error[{code}]" in err and out == ""
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_one_document_is_printed_part_by_part(sightline, tiny_model, images, monkeypatch):
    """And is the same JSON whatever the parts; without images there is none."""
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 2)
    _, out, _ = sightline("predict", tiny_model, "images", "--json")
    said = json.loads(out)
    assert said["schema_version"] == 1 and len(said["predictions"]) == 6
    assert [row["error"] is None for row in said["predictions"]] == [True] * 5 + [False]


def test_images_are_sorted_after_a_look(sightline, tiny_model, images):
    said = ("predict", tiny_model, "images", "--max-novelty", "inf", "--sort-into", "sorted")
    status, out, err = sightline(*said, "--dry-run")
    assert (
        status == 3 and f"images/000.png -> {Path('sorted/red/000.png')}" in out and "5 images would be copied" in out
    )
    assert "1 file can't be read" in err and [path.name for path in Path().iterdir()] == ["images"]
    status, out, err = sightline(*said)
    assert status == 3 and "in a folder for each answer: sorted" in out and "1 of 6 files" in err
    assert sorted(path.name for path in Path("sorted/red").iterdir()) == [f"00{number}.png" for number in range(5)]
    assert len(Path("sorted.csv").read_text().splitlines()) == 7
    assert sightline(*said)[0] == 2 and sightline(*said, "--resume")[0] == 3
