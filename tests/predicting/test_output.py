"""The file of a prediction: whole or not there, the rows of a straight run whatever happened on the way."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import shutil
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from predicting_steps import COUNT, opened, predicted, request_of
from sightline.errors import InputError, RunError, SightlineError
from sightline.predicting.output import job_file_of
from sightline.predicting.parquet_rows import ParquetRows
from sightline.predicting.text_rows import CsvRows, JsonRows
from sightline.predicting.write import write_predictions

WRITERS = {"csv": CsvRows, "jsonl": JsonRows, "parquet": ParquetRows}


def content(out: Path) -> object:
    """What a reader of the format sees."""
    return parquet.read_table(out).to_pylist() if out.suffix == ".parquet" else out.read_bytes()


@pytest.fixture(scope="session")
def straight(folder, classifier, tmp_path_factory):
    """Each format written in one go."""
    made = tmp_path_factory.mktemp("straight")
    for form in WRITERS:
        predicted(made / f"said.{form}", classifier, request_of(folder, form=form))
    return made


@pytest.mark.parametrize("top", [None, 2])
def test_the_rows_are_those_of_the_classifier(folder, classifier, tmp_path, top):
    files = sorted(map(str, folder.iterdir()))
    said = classifier.predict(files, max_novelty=1.2)
    predicted(tmp_path / "said.csv", classifier, request_of(folder, top=top))
    predicted(tmp_path / "said.jsonl", classifier, request_of(folder, form="jsonl", top=top, mass=0.5))
    assert (tmp_path / "said.csv").read_text() == said.to_csv(top=top)
    assert (tmp_path / "said.jsonl").read_text() == said.to_jsonl(top=top, mass=0.5)


@pytest.mark.parametrize("top", [None, 2])
def test_parquet_has_the_columns_and_values_of_the_csv(folder, classifier, tmp_path, top):
    for form in ("csv", "parquet"):
        predicted(tmp_path / f"said.{form}", classifier, request_of(folder, form=form, top=top))
    with (tmp_path / "said.csv").open(newline="") as file:
        texts = list(csv.DictReader(file))
    rows = parquet.read_table(tmp_path / "said.parquet").to_pylist()
    assert len(rows) == COUNT and list(rows[0]) == list(texts[0])
    for row, text in zip(rows, texts, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert float(text[name]) == pytest.approx(value, abs=1e-4)
            else:
                assert (value or "") == text[name].removeprefix("'"), name


def test_sets_are_lists_in_parquet(folder, classifier, tmp_path):
    predicted(tmp_path / "said.parquet", classifier, request_of(folder, form="parquet", mass=0.5))
    sets = parquet.read_table(tmp_path / "said.parquet")["set"].to_pylist()
    wanted = classifier.predict(sorted(map(str, folder.iterdir()))).sets(0.5)
    assert [tuple(names or ()) for names in sets] == wanted


# Kills of one output: after so many parts, recorded after each or never, with so many bytes of a torn row behind them.
KILLS = [
    [(0, False, 7)],
    [(7, True, 9)],
    [(4, False, 0), (3, True, 1)],
    [(1, True, 99), (2, False, 0), (1, True, 5), (3, True, 2)],
]


def run_until(output, classifier, request, parts: int) -> None:
    """Predict some parts, and leave it as a killed process does: nothing is closed, nothing recorded."""
    steps = write_predictions(classifier, request, output)
    list(itertools.islice(steps, parts))
    killed = shutil.copytree(output.out.with_name(f"{output.out.name}.partial"), output.out.with_name("killed"))
    steps.close()
    output.close()
    shutil.rmtree(output.out.with_name(f"{output.out.name}.partial"))
    killed.rename(output.out.with_name(f"{output.out.name}.partial"))


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("kills", KILLS, ids=str)
def test_a_prediction_that_is_killed_at_any_moment_goes_on_to_the_same_rows(
    folder, classifier, straight, tmp_path_factory, form, kills
):
    out = tmp_path_factory.mktemp("killed") / f"said.{form}"
    request = request_of(folder, form=form)
    with pytest.MonkeyPatch.context() as patch:
        for parts, is_recorded, torn in kills:
            patch.setattr(WRITERS[form], "seconds", -1.0 if is_recorded else 1e9)
            output = opened(out, classifier, request, resume=True)
            run_until(output, classifier, request, parts)
            if form != "parquet" and torn:
                with (out.with_name(f"{out.name}.partial") / WRITERS[form].name).open("ab") as file:
                    file.write((folder / "00.png").read_bytes()[:torn])
            assert not out.exists() and not job_file_of(out).exists()
        patch.setattr(WRITERS[form], "seconds", -1.0)
        predicted(out, classifier, request, resume=True)
    assert content(out) == content(straight / out.name)
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, job_file_of(out).name]


@pytest.mark.parametrize("form", WRITERS)
def test_a_kill_while_it_gets_its_name_loses_nothing(folder, classifier, straight, tmp_path, monkeypatch, form):
    """Between the record and the rename, and between the rename and the end."""
    out, request = tmp_path / f"said.{form}", request_of(folder, form=form)

    class Killed(BaseException):
        pass

    def die(*asked: object, **more: object) -> None:
        raise Killed

    for name in ("rename", "rmtree"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(*((Path, "rename") if name == "rename" else (shutil, "rmtree")), die)
            patch.setattr("sightline.predicting.output.Output.save", lambda output: None)
            predicted(out, classifier, request, resume=True)
        assert out.exists() == (name == "rmtree")
    output = predicted(out, classifier, request, resume=True)
    assert output.is_finished and content(out) == content(straight / out.name)


def test_an_interruption_keeps_what_is_written(folder, classifier, tmp_path):
    """Ctrl-C comes in the middle of a row, or between two."""
    out, request = tmp_path / "said.csv", request_of(folder)
    for is_inside in (False, True):
        output = opened(out, classifier, request, resume=True)
        steps = write_predictions(classifier, request, output)
        next(steps)
        if is_inside:
            output._is_between = False
            output._rows._open.write(b"half a ro")
        with pytest.raises(KeyboardInterrupt):
            steps.throw(KeyboardInterrupt())
        state = json.loads((tmp_path / "said.csv.partial" / "job.json").read_text())
        assert state["rows"] == 3  # of the second time none: they are made again
    assert predicted(out, classifier, request, resume=True).rows == COUNT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"top": 2}, "--top-k was all and is 2"),
        ({"max_novelty": 0.5}, "--max-novelty was 1.2 and is 0.5"),
        ({"sources": ("elsewhere",)}, "the sources were .* and are elsewhere"),
    ],
)
@pytest.mark.parametrize("is_finished", [False, True])
def test_only_the_same_question_goes_on(folder, classifier, tmp_path, changes, words, is_finished):
    out, request = tmp_path / "said.csv", request_of(folder)
    output = opened(out, classifier, request)
    if is_finished:
        list(write_predictions(classifier, request, output))
    output.close()
    with pytest.raises(InputError, match=words) as caught:
        opened(out, classifier, request_of(folder, **changes), resume=True)
    assert caught.value.code == "predict.differs"


def test_another_model_is_refused(folder, classifier, tmp_path, monkeypatch):
    opened(tmp_path / "said.csv", classifier, request_of(folder)).close()
    monkeypatch.setattr(classifier, "digest", "0123456789abcdef")
    with pytest.raises(InputError, match=r"the model was .* and is 0123456789ab"):
        opened(tmp_path / "said.csv", classifier, request_of(folder), resume=True)


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize(("change", "words"), [("new", "image 1 was .*00.png, and is .*0.png"), ("gone", "images now")])
def test_other_images_are_refused(folder, classifier, tmp_path, monkeypatch, change, words, is_finished):
    images = shutil.copytree(folder, tmp_path / "images")
    out, request = tmp_path / "said.csv", request_of(images)
    monkeypatch.setattr(CsvRows, "seconds", -1.0)
    output = opened(out, classifier, request)
    steps = write_predictions(classifier, request, output)
    list(steps if is_finished else itertools.islice(steps, 7))
    steps.close()
    if change == "new":
        shutil.copy(images / "01.png", images / "0.png")
    else:
        (images / sorted(path.name for path in images.iterdir())[-1]).unlink()
    with pytest.raises(InputError, match=words) as caught:
        predicted(out, classifier, request, resume=True)
    assert caught.value.code == "predict.differs"
    assert out.exists() == is_finished


def test_an_image_that_comes_after_the_last_row_is_no_finished_output(folder, classifier, tmp_path):
    images = shutil.copytree(folder, tmp_path / "images")
    predicted(tmp_path / "said.csv", classifier, request_of(images))
    shutil.copy(images / "01.png", images / "zz.png")
    with pytest.raises(InputError, match=r"20 rows, and now .*zz.png comes after"):
        predicted(tmp_path / "said.csv", classifier, request_of(images), resume=True)


def test_nothing_that_is_there_is_replaced(folder, classifier, tmp_path):
    out, request = tmp_path / "said.csv", request_of(folder)
    out.write_text("mine")
    for resume in (False, True):
        with pytest.raises(InputError) as caught:
            opened(out, classifier, request, resume=resume)
        assert caught.value.code == "predict.exists" and out.read_text() == "mine"
    out.unlink()
    (tmp_path / "said.csv.partial").mkdir()
    (tmp_path / "said.csv.partial" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="no prediction that stopped"):
        opened(out, classifier, request, resume=True)
    shutil.rmtree(tmp_path / "said.csv.partial")
    opened(out, classifier, request).close()
    with pytest.raises(InputError, match="stopped after 0 rows"):
        opened(out, classifier, request)
    job_file_of(out).write_text("mine")
    with pytest.raises(InputError, match="no record of a prediction"):
        opened(out, classifier, request, resume=True)


def test_a_file_that_somebody_makes_meanwhile_stays(folder, classifier, tmp_path):
    out, request = tmp_path / "said.csv", request_of(folder)
    steps = write_predictions(classifier, request, opened(out, classifier, request))
    next(steps)
    out.write_text("mine")
    with pytest.raises(InputError, match="was made while"):
        list(steps)
    assert out.read_text() == "mine" and not job_file_of(out).exists()


def test_two_processes_do_not_write_one_output(folder, classifier, tmp_path):
    first = opened(tmp_path / "said.csv", classifier, request_of(folder))
    with pytest.raises(RunError) as caught:
        opened(tmp_path / "said.csv", classifier, request_of(folder), resume=True)
    assert caught.value.code == "run.locked"
    first.close()


def test_rows_that_were_recorded_and_are_gone_are_noticed(folder, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(CsvRows, "seconds", -1.0)
    out, request = tmp_path / "said.csv", request_of(folder)
    steps = write_predictions(classifier, request, opened(out, classifier, request))
    next(steps)
    steps.close()
    (tmp_path / "said.csv.partial" / "rows.csv").write_text("path")
    with pytest.raises(RunError) as caught:
        opened(out, classifier, request, resume=True)
    assert caught.value.code == "predict.damaged"


def test_a_full_disk_is_an_error_with_a_cure_and_resume_goes_on(folder, classifier, straight, tmp_path, monkeypatch):
    out, request = tmp_path / "said.csv", request_of(folder)
    monkeypatch.setattr(CsvRows, "seconds", -1.0)
    with monkeypatch.context() as patch:
        sync, calls = CsvRows.sync, []

        def fill(rows: CsvRows) -> int:
            calls.append(1)
            if len(calls) > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
            return sync(rows)

        patch.setattr(CsvRows, "sync", fill)
        with pytest.raises(RunError, match="No space left") as caught:
            predicted(out, classifier, request)
    assert caught.value.code == "run.write" and "--resume" in caught.value.cure
    assert not out.exists()
    predicted(out, classifier, request, resume=True)
    assert content(out) == content(straight / "said.csv")


def test_no_images_leave_nothing_behind(classifier, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SightlineError) as caught:
        predicted(tmp_path / "said.csv", classifier, request_of(tmp_path / "empty"))
    assert caught.value.code == "predict.nothing"
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
