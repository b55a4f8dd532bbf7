"""A run folder being written."""

from __future__ import annotations

import csv
import json
import re
import time
import unicodedata
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import InputError, RunError
from sightline.events import StepEnded
from sightline.runs.facts_file import SCHEMA
from sightline.runs.folder import Run, list_runs
from sightline.runs.writer import RunWriter, clear_stillborn, numbered_folder


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    return RunWriter.create(tmp_path / "runs", "one", "photos", {"versions": {"sightline": "0.1.0"}})


def test_a_new_run_is_running_and_has_a_start(writer: RunWriter) -> None:
    facts = json.loads((writer.run.folder / "run.json").read_text())
    assert facts["status"] == "running"
    assert facts["schema_version"] == SCHEMA
    assert facts["versions"] == {"sightline": "0.1.0"}
    assert datetime.fromisoformat(facts["started"]).utcoffset() is not None


def test_names_are_made_of_date_data_and_number(tmp_path: Path) -> None:
    made = [RunWriter.create(tmp_path, None, "my photos/2026", {}).run.folder.name for _ in range(3)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d-my-photos-2026-0[123]", name) for name in made)
    assert made == sorted(set(made))


@pytest.mark.parametrize(("data", "stem"), [("", "data"), ("фото", "фото"), ("..", "data"), ("a" * 90, "a" * 40)])
def test_the_name_of_the_data_becomes_a_safe_stem(tmp_path: Path, data: str, stem: str) -> None:
    assert RunWriter.create(tmp_path, None, data, {}).run.folder.name[11:] == f"{stem}-01"


def test_a_clock_that_was_set_back_does_not_reorder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RunWriter.create(tmp_path, "b", "x", {})

    class Earlier(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr("sightline.runs.writer.datetime", Earlier)
    RunWriter.create(tmp_path, "a", "x", {})
    assert [run.folder.name for run in list_runs(tmp_path)] == ["b", "a"]


def test_a_run_folder_is_never_reused(tmp_path: Path, writer: RunWriter) -> None:
    writer.write_plan("mine")
    with pytest.raises(RunError, match="exists already") as caught:
        RunWriter.create(tmp_path / "runs", "one", "photos", {})
    assert caught.value.code == "run.exists"
    assert writer.run.plan_file.read_text() == "mine"


def test_an_existing_empty_folder_is_not_taken_either(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(RunError):
        RunWriter.create(tmp_path, "one", "photos", {})
    assert list((tmp_path / "one").iterdir()) == []


def test_a_made_name_steps_over_what_is_there(tmp_path: Path) -> None:
    first = RunWriter.create(tmp_path, None, "x", {}).run.folder
    first.with_name(first.name[:-2] + "02").write_text("the user's own file")
    assert RunWriter.create(tmp_path, None, "x", {}).run.folder.name.endswith("-x-03")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "latest", "a/b", "a\\b", "../up", "a:b", "a*", "a?", "a\0b", "a\nb", '"']
)
def test_what_can_be_no_name_of_a_run_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        RunWriter.create(tmp_path / "runs", name, "photos", {})
    assert caught.value.code == "run.name"
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_too_long_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        RunWriter.create(tmp_path, "x" * 1000, "photos", {})


def test_a_place_that_can_not_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        RunWriter.create(tmp_path / "file" / "runs", None, "photos", {})
    assert caught.value.code == "run.write"


def test_facts_are_added_and_kept(writer: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    writer.update(headline="good")
    writer.update(status="finished")
    facts = writer.run.facts
    assert (facts["status"], facts["headline"]) == ("finished", "good")
    assert facts["versions"] == {"sightline": "0.1.0"}
    assert facts["seconds"] == pytest.approx(600, abs=60)


def test_facts_that_can_not_be_written_leave_those_before(writer: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RunError):
        writer.update(status="finished")
    assert writer.run.status == "running"
    assert not [path for path in writer.run.folder.iterdir() if ".tmp" in path.name]


def test_history_has_one_row_an_epoch_and_grows(writer: RunWriter) -> None:
    assert writer.run.history == {}
    for epoch in (1, 2, 3):
        writer.add_epoch({"epoch": epoch, "train_loss": 1 / epoch, "val_accuracy": 0.1 * epoch})
        with writer.run.history_file.open(newline="") as file:
            assert len(list(csv.reader(file))) == epoch + 1
    assert writer.run.history == {
        "epoch": [1, 2, 3],
        "train_loss": [1, 1 / 2, 1 / 3],
        "val_accuracy": [0.1, 0.2, 0.1 * 3],
    }


def step(number: int, *, is_clipped: bool = False) -> StepEnded:
    return StepEnded(number, 1, 0.5 / (number + 1), 1e-3 / 3, 2.0, is_clipped)


def test_steps_are_appended_in_blocks_and_read_back_exactly(writer: RunWriter) -> None:
    assert writer.run.steps == {}
    writer.add_steps([step(0), step(1, is_clipped=True)])
    assert writer.run.steps["step"] == [0, 1]
    writer.add_steps([step(2)])
    writer.add_steps([])
    assert writer.run.steps == {
        "step": [0, 1, 2],
        "epoch": [1, 1, 1],
        "loss": [0.5, 0.25, 0.5 / 3],
        "learning_rate": [1e-3 / 3] * 3,
        "gradient_norm": [2.0] * 3,
        "is_clipped": [0, 1, 0],
    }


def test_steps_before_the_first_epoch_are_a_header(writer: RunWriter) -> None:
    writer.add_steps([])
    assert writer.run.steps_file.read_text().startswith("step,epoch,loss,")
    assert writer.run.steps == {}


def test_a_last_step_that_a_crash_cut_off_is_not_read(writer: RunWriter) -> None:
    writer.add_steps([step(0), step(1)])
    whole = writer.run.steps_file.read_bytes()
    for end in range(len(whole)):
        writer.run.steps_file.write_bytes(whole[:end])
        assert len(writer.run.steps.get("step", [])) == max(0, whole[:end].count(b"\n") - 1)


def test_what_the_finder_saw_is_read_back(writer: RunWriter) -> None:
    assert writer.run.rates == {}
    writer.write_rates((1e-4, 1e-3), (2.5, 0.5))
    assert writer.run.rates == {"learning_rate": [1e-4, 1e-3], "loss": [2.5, 0.5]}


@pytest.mark.parametrize(
    ("data", "stem"),
    [
        ("猫と犬", "猫と犬"),
        ("Ка\u0301рты 2026", "Ка\u0301рты-2026"),
        ("हिन्दी", "हिन्दी"),
        ("cafe\u0301", "café"),
        ("a/b\\c:d*e?f", "a-b-c-d-e-f"),
        ("x\u202ey\x00z\udce9", "x-y-z"),
        ("😀", "data"),
        ("猫" * 100, "猫" * 40),
    ],
)
def test_the_name_of_a_run_keeps_letters_of_any_script(tmp_path: Path, data: str, stem: str) -> None:
    writer = RunWriter.create(tmp_path / "runs", None, data, {})
    name = writer.run.folder.name
    assert name[10:-3] == f"-{stem}" and len(name.encode()) < 255
    assert unicodedata.is_normalized("NFC", name)
    assert (tmp_path / "runs" / name / "run.json").is_file()
    assert numbered_folder(tmp_path / "evaluations", data).name == f"{stem}-01"
    writer.close()


def test_data_are_read_back_with_their_split(writer: RunWriter) -> None:
    samples = {"path": ["a.png", "b,c.png"], "label": ["ant", "bee"], "sha256": ["1", "2"]}
    finding = {"code": "copies", "severity": "note", "message": "two", "cure": "none", "cases": []}
    writer.write_data(samples, {"split": ["train", "test"], "leaked": [0, 1]}, [finding])
    assert writer.run.samples == [
        {"path": "a.png", "label": "ant", "sha256": "1", "split": "train", "leaked": "0"},
        {"path": "b,c.png", "label": "bee", "sha256": "2", "split": "test", "leaked": "1"},
    ]
    assert writer.run.findings == [finding]
    with writer.run.split_file.open(newline="") as file:
        assert next(csv.reader(file)) == ["path", "label", "split", "leaked"]


def test_the_evaluation_is_read_back(writer: RunWriter) -> None:
    probabilities, features = np.array([[0.25, 0.75]], np.float32), np.ones((1, 3), np.float16)
    metrics = {"accuracy": {"value": 1.0, "low": 0.2, "high": 1.0, "n": 1, "method": "Wilson, 95 %"}}
    writer.write_evaluation(metrics, {"path": ["a.png"]}, probabilities, features)
    run = Run(writer.run.folder)
    assert run.metrics == metrics
    assert run.predictions == [{"path": "a.png"}]
    np.testing.assert_array_equal(np.load(run.probabilities_file, allow_pickle=False), probabilities)
    assert np.load(run.features_file).dtype == np.float16


def test_no_pickle_is_written(writer: RunWriter) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        writer.write_evaluation({}, {"path": []}, np.array([object()]), np.zeros(1))


def test_dropping_checkpoints_removes_them_and_nothing_else(writer: RunWriter) -> None:
    writer.run.best_checkpoint.mkdir(parents=True)
    (writer.run.best_checkpoint / "weights.safetensors").write_bytes(b"x")
    writer.write_plan("plan")
    writer.drop_checkpoints()
    writer.drop_checkpoints()  # nothing there is fine
    left = {path.name for path in writer.run.folder.iterdir()}
    assert left == {"plan.toml", "run.json", "run.lock", "run.lock.json"}


def test_steps_that_can_not_be_written_are_an_error_with_a_cure(writer: RunWriter) -> None:
    writer.run.steps_file.mkdir()
    with pytest.raises(RunError, match=r"steps\.csv can't be written") as caught:
        writer.add_steps([step(0)])
    assert caught.value.code == "run.write"


def test_a_run_that_can_not_be_begun_leaves_its_folder_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the first file: whoever makes room can begin again in the same process."""

    def fail(*_: object) -> None:
        raise RunError("run.write", "no space", "free some")

    with monkeypatch.context() as patch:
        patch.setattr("sightline.runs.writer.write_json", fail)
        with pytest.raises(RunError, match="no space") as caught:
            RunWriter.create(tmp_path, "full", "data", {})
    assert caught.traceback  # a notebook keeps the last error too, and with it all that its frames hold
    (tmp_path / "full" / "run.lock.json.tmp-123").write_text("{")  # killed before it had said who it is
    clear_stillborn(tmp_path / "full")
    assert not (tmp_path / "full").exists()
    RunWriter.create(tmp_path, "full", "data", {}).close()
