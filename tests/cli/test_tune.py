"""``sightline tune`` as it is typed: its examples, what it prints, and what it refuses."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from finished import write_colours
from sightline.cli.app import main
from sightline.cli.help_page import examples_of
from sightline.cli.tune import tune
from unrendered import leave_figures_unrendered

pytestmark = pytest.mark.e2e

HEAD = ["--set", "engine=onnxruntime", "--set", "versions=off", "--set", "size=32"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function: words -> (exit code, stdout, stderr), in a folder with ``photos``."""
    write_colours(tmp_path / "photos", 12)
    leave_figures_unrendered(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def go(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["sightline", "tune", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        return (caught.value.code or 0, *capsys.readouterr())

    return go


def test_the_examples_are_commands(run, tmp_path: Path) -> None:
    """Each is parsed and goes on to its data, which are not there; the first one runs, with fewer trials."""
    (tmp_path / "space.toml").write_text("flip = [0.0, 0.5]\n")
    for line in examples_of(tune):
        words = shlex.split(line)[2:]
        code, _, err = run("nowhere/", *words[1:], "--out", "elsewhere")
        assert code == 2 and ("error[tune.no-search]" if "--report" in words else "error[data.") in err
    code, out, err = run("photos/", "--trials", "3", *HEAD)
    assert code == 0 and "No better than the plain recipe" in out
    assert "runs/searches/tune-photos (trials.csv, best.toml)" in out
    assert [line.split()[1] for line in err.splitlines() if line.startswith("trial ")] == ["0", "1", "2"]
    best = tmp_path / "runs" / "searches" / "tune-photos" / "best.toml"
    assert best.is_file()
    code, out, _ = run("tune-photos", "--report")
    assert code == 0 and out.strip() == "runs/searches/tune-photos/report.html"


def test_json_is_one_document(run) -> None:
    code, out, _ = run("photos/", "--trials", "2", "--json", "--quiet", *HEAD)
    found = json.loads(out)
    assert code == 0 and found["search"]["ships"] == "plain" and found["metrics"]["accuracy"]


@pytest.mark.parametrize(
    ("words", "space", "code", "told"),
    [
        (["--trials", "0"], "", "tune.budget", "give 2 or more"),
        ([], "", "tune.budget", "--time 20m, --trials 30"),
        (["--trials", "5", "--sampler", "tpee"], "", "tune.sampling", "'tpe'"),
        (
            ["--trials", "5", "--space", "s.toml"],
            "learning_rat = [0.1, 0.2]",
            "tune.unknown-setting",
            "'learning_rate'",
        ),
        (["--trials", "5", "--space", "s.toml"], "flip = {low = 0.5, high = 0.5}", "tune.empty-range", "empty"),
        (["--trials", "5", "--space", "s.toml"], "flip = [0.5, 1.5]", "plan.bad-value", "flip"),
        (["--trials", "5", "--space", "s.toml"], "flip = [", "tune.space", "TOML"),
        (
            ["--trials", "5", "--storage", "sqlite:////no/such/folder/x.db", *HEAD],
            "",
            "tune.storage",
            "can't be reached",
        ),
    ],
)
def test_what_a_newcomer_gets_wrong(run, tmp_path: Path, words: list[str], space: str, code: str, told: str) -> None:
    (tmp_path / "s.toml").write_text(space)
    exit_code, out, err = run("photos/", *words)
    assert exit_code == 2 and not out
    assert f"error[{code}]" in err and "cure: " in err and told in err
