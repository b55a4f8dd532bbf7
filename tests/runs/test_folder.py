"""Run folders opened, listed, and found by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import ModelError, RunError, SightlineError
from sightline.runs.folder import Run, list_runs
from sightline.runs.lookup import find_classifier, find_run

Make = Callable[..., Path]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def make(runs: Path) -> Make:
    """Return a function that makes a run folder by hand."""

    def one(name: str, started: str, status: str = "finished", *, model: bool = True) -> Path:
        folder = runs / name
        (folder / "classifier").mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"status": status, "started": f"2026-11-22T{started}:00+00:00"}))
        if model:
            (folder / "classifier" / "model.onnx").write_bytes(b"onnx")
        return folder

    return one


def test_a_folder_without_run_json_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder") as caught:
        Run(tmp_path)
    assert caught.value.code == "run.missing"


def test_everything_is_read_when_it_is_asked_for(make: Make) -> None:
    run = Run(make("a", "10:00", "running"))
    assert run.status == "running"
    run.facts_file.write_text(json.dumps({"status": "finished"}))
    assert run.status == "finished"
    assert "finished" in repr(run)


def test_the_names_inside_are_those_of_the_design(make: Make) -> None:
    run = Run(make("a", "10:00"))
    inside = {
        "run.json": run.facts_file,
        "plan.toml": run.plan_file,
        "data/samples.csv": run.samples_file,
        "data/split.csv": run.split_file,
        "data/findings.json": run.findings_file,
        "history.csv": run.history_file,
        "steps.csv": run.steps_file,
        "learning_rate.csv": run.rates_file,
        "checkpoints/best": run.best_checkpoint,
        "classifier/model.onnx": run.model_file,
        "evaluation/predictions.csv": run.predictions_file,
        "evaluation/probabilities.npy": run.probabilities_file,
        "evaluation/features.npy": run.features_file,
        "evaluation/metrics.json": run.metrics_file,
        "figures": run.figures_folder,
        "report.html": run.report_file,
        "log.txt": run.log_file,
    }
    assert {path.relative_to(run.folder).as_posix() for path in inside.values()} == set(inside)
    assert all(path == run.folder / name for name, path in inside.items())


def test_history_is_columns_of_numbers(make: Make) -> None:
    run = Run(make("a", "10:00"))
    assert run.history == {}
    run.history_file.write_text("epoch,val_loss\n1,0.5\n2,0.25\n")
    assert run.history == {"epoch": [1.0, 2.0], "val_loss": [0.5, 0.25]}
    run.history_file.write_text("epoch,val_loss\n")
    assert run.history == {}


def test_a_run_that_was_not_evaluated_says_so(make: Make) -> None:
    with pytest.raises(RunError) as caught:
        _ = Run(make("a", "10:00")).metrics
    assert caught.value.code == "run.not-evaluated"


def test_names_that_are_no_utf_8_are_read_back(make: Make) -> None:
    run = Run(make("a", "10:00"))
    run.predictions_file.parent.mkdir()
    run.predictions_file.write_bytes(b"path\ncaf\xe9.jpg\n")
    assert run.predictions[0]["path"].encode("utf-8", "surrogateescape") == b"caf\xe9.jpg"


def test_the_notebook_view_escapes_and_shows_the_history(make: Make) -> None:
    run = Run(make("a", "10:00"))
    run.facts_file.write_text(json.dumps({"status": "finished", "headline": "accuracy <b>"}))
    run.history_file.write_text("epoch,train_loss\n1,0.5\n")
    shown = run._repr_html_()
    assert "accuracy &lt;b&gt;" in shown
    assert "<td>1</td><td>0.5" in shown


# -- listing ----------------------------------------------------------------------------------------------------


def test_runs_are_listed_oldest_first_by_their_start(runs: Path, make: Make) -> None:
    make("a-last", "12:00")
    make("z-first", "09:00")
    make("m-middle", "10:00", "failed")
    (runs / "no-run").mkdir()
    (runs / "file").write_text("")
    assert [run.folder.name for run in list_runs()] == ["z-first", "m-middle", "a-last"]
    assert [run.folder.name for run in list_runs(runs)] == ["z-first", "m-middle", "a-last"]


def test_without_a_runs_folder_there_are_no_runs(tmp_path: Path) -> None:
    assert list(list_runs(tmp_path / "none")) == []


def test_a_damaged_neighbour_does_not_hide_the_other_runs(runs: Path, make: Make) -> None:
    make("good", "10:00")
    (make("bad", "11:00") / "run.json").write_text("{")
    assert "good" in [run.folder.name for run in list_runs()]
    assert find_run("latest").folder.name == "good"


@pytest.mark.parametrize("facts", ["{}", "[]", "null"])
def test_a_foreign_run_json_is_at_worst_an_error_of_ours(runs: Path, make: Make, facts: str) -> None:
    (make("foreign", "11:00") / "run.json").write_text(facts)
    with pytest.raises(SightlineError):
        find_run("latest")


# -- latest -----------------------------------------------------------------------------------------------------


def test_latest_is_the_newest_finished_run_with_a_classifier(make: Make) -> None:
    make("old", "08:00")
    make("wanted", "09:00")
    make("no-model", "10:00", model=False)
    make("failed", "11:00", "failed")
    make("interrupted", "12:00", "interrupted")
    make("running", "13:00", "running")
    assert find_run("latest").folder.name == "wanted"
    assert find_classifier("latest").parent.parent.name == "wanted"


def test_latest_goes_by_start_and_not_by_name(make: Make) -> None:
    make("a", "12:00")
    make("b", "09:00")
    assert find_run("latest").folder.name == "a"


@pytest.mark.parametrize("status", [None, "running", "failed", "interrupted"])
def test_without_a_finished_run_latest_says_what_to_type(make: Make, status: str | None) -> None:
    if status:
        make("a", "10:00", status)
    with pytest.raises(RunError) as caught:
        find_run("latest")
    assert caught.value.code == "run.no-latest"
    assert "sightline train" in caught.value.cure


# -- by name ----------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_folder_and_by_name(runs: Path, make: Make) -> None:
    folder = make("one", "10:00")
    for name in (folder, str(folder), "one", Path("one"), "runs/one"):
        assert find_run(name).folder.resolve() == folder.resolve()
    assert find_run("one", folder=runs).folder == folder


def test_a_run_that_is_not_there_is_a_run_error(make: Make) -> None:
    make("one", "10:00")
    with pytest.raises(RunError, match="'two'") as caught:
        find_run("two")
    assert caught.value.code == "run.missing"


def test_a_classifier_is_found_by_all_its_names(make: Make) -> None:
    folder = make("one", "10:00")
    wanted = folder / "classifier" / "model.onnx"
    for name in ("latest", "one", folder, folder / "classifier", wanted, str(wanted)):
        assert find_classifier(name).resolve() == wanted.resolve()


def test_a_model_of_any_name_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"x")
    assert find_classifier(tmp_path / "mine.onnx") == tmp_path / "mine.onnx"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".ckpt", ".PT"])
def test_a_pickle_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"model{suffix}").write_bytes(b"x")
    with pytest.raises(ModelError, match="can run any code") as caught:
        find_classifier(tmp_path / f"model{suffix}")
    assert caught.value.code == "model.pickle"


def test_a_run_without_a_classifier_says_how_to_make_one(make: Make) -> None:
    folder = make("one", "10:00", "interrupted", model=False)
    for name in ("one", folder):
        with pytest.raises(RunError, match="interrupted") as caught:
            find_classifier(name)
        assert "sightline export" in caught.value.cure


@pytest.mark.parametrize(("typed", "meant"), [("birds2", "birds"), ("lates", "latest"), ("cars", None)])
def test_a_name_that_is_nearly_that_of_a_run_is_asked_about(make: Make, typed: str, meant: str | None) -> None:
    make("birds", "10:00", "finished")
    for find, kind in ((find_run, RunError), (find_classifier, ModelError)):
        with pytest.raises(kind) as caught:
            find(typed)
        assert caught.value.cure.startswith(f"did you mean {meant!r}? ") == bool(meant)


def test_a_classifier_that_is_not_there_is_a_model_error(tmp_path: Path) -> None:
    for name in ("nothing", tmp_path):
        with pytest.raises(ModelError) as caught:
            find_classifier(name)
        assert caught.value.code == "model.missing"
