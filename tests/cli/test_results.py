"""``compare``, ``runs`` and ``verify``: what they print, write, refuse, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from finished import record_again
from sightline.planning.decisions import Decision
from sightline.runs.folder import Run


@pytest.fixture
def two(finished_run: Run, here: Path) -> Path:
    """A folder ``runs`` with the finished run as ``good``, and as ``bad`` with a third of its answers wrong."""
    for name in ("good", "bad"):
        shutil.copytree(finished_run.folder, here / "runs" / name)
    bad = Run(here / "runs" / "bad")
    spoil(bad, 0)
    record_again(bad)
    return here / "runs"


def spoil(run: Run, first: int) -> None:
    """Let every third answer be another."""
    said = np.load(run.probabilities_file)
    said[first::3] = np.roll(said[first::3], 1, axis=1)
    np.save(run.probabilities_file, said)


# -- compare ----------------------------------------------------------------------------------------------------


def test_compare_says_which_is_better_with_counts_and_intervals(sightline, two):
    status, out, err = sightline("compare", "bad", "good")
    assert status == 0, err
    assert "good is better: of 18 images good is right on 6 that bad gets wrong, and wrong on 0" in out
    assert "the same for all runs" in out
    for word in ("accuracy", "balanced accuracy", "macro F1", "log-loss, nats", "Brier score", "points ("):
        assert word in out
    assert "sightline compare bad good --html compare.html" in out
    assert "; with the seed alone: sightline train DATA --seeds 3" in out
    assert not Path("compare.html").exists()


def test_compare_proposes_no_seeds_for_a_head_alone_which_has_none(sightline, two):
    run = Run(two / "bad")
    plan = run.plan.replace(Decision("engine", "onnxruntime", "hardware", "x"))
    run.plan_file.write_text(plan.to_toml())
    record_again(run)
    status, out, err = sightline("compare", "bad", "good")
    assert status == 0, err
    assert "--folds 3" in out and "--seeds" not in out


def test_compare_of_a_run_with_its_copy_finds_nothing(sightline, two):
    shutil.copytree(two / "good", two / "copy")
    status, out, _ = sightline("compare", "good", "copy")
    assert status == 0
    assert "No significant difference" in out and "No class by itself changed" in out
    assert "--html" not in out


def test_compare_writes_the_page_that_is_asked_for_and_replaces_no_other_file(sightline, two):
    assert sightline("compare", "bad", "good", "--html", "page.html")[0] == 0
    assert "Sightline compare</title>" in Path("page.html").read_text()
    assert sightline("compare", "good", "bad", "--html", "page.html")[0] == 0
    Path("mine.html").write_text("<title>Mine</title>")
    status, out, err = sightline("compare", "bad", "good", "--html", "mine.html")
    assert (status, out) == (2, "") and "error[check.output]" in err
    assert Path("mine.html").read_text() == "<title>Mine</title>"


def test_compare_as_json_is_one_document(sightline, two):
    shutil.copytree(two / "bad", two / "copy")
    status, out, _ = sightline("compare", "bad", "good", "copy", "--json")
    document = json.loads(out)
    assert status == 0 and len(document["pairs"]) == 2
    assert document["pairs"][0]["corrected"] == 6 and len(document["pairs"][0]["images_corrected"]) == 6


def test_a_class_that_changed_is_listed(sightline, two):
    run = Run(two / "bad")
    said = np.load(run.probabilities_file)
    of = np.array([row["label"] == "red" for row in run.predictions])
    said[of] = np.roll(np.load(Run(two / "good").probabilities_file)[of], 1, axis=1)
    np.save(run.probabilities_file, said)
    record_again(run)
    _, out, _ = sightline("compare", "good", "bad")
    assert any(line.startswith("red ") for line in out.splitlines()), out


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good"], "compare.few"),
        (["good", "none"], "run.missing"),
        (["good", "runs/good/"], "compare.same"),
        (["good", "bad", "good"], "compare.same"),
    ],
)
def test_compare_refuses_with_a_cure(sightline, two, names, code):
    status, out, err = sightline("compare", *names)
    assert (status, out) == (2, "")
    assert f"error[{code}]" in err and "cure: " in err


# -- runs -------------------------------------------------------------------------------------------------------


def test_runs_are_a_table_and_a_damaged_one_is_in_it(sightline, two):
    (two / "bad" / "run.json").write_text("{")
    status, out, _ = sightline("runs")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["run", "status", "data", "network", "accuracy", "macro", "F1", "took", "started"]
    assert {line.split()[0]: line.split()[1] for line in lines[1:3]} == {"bad": "damaged", "good": "finished"}
    assert str(Run(two / "good").facts["headline"]).partition("accuracy ")[2] in out
    assert "damaged: bad: run.json: " in out


def test_runs_are_sorted(sightline, two):
    bad = Run(two / "bad")
    metrics = bad.metrics
    metrics["accuracy"]["value"] = 0.25
    bad.metrics_file.write_text(json.dumps(metrics))

    def names(*options: str) -> list[str]:
        return [row["name"] for row in json.loads(sightline("runs", "runs", "--json", *options)[1])["runs"]]

    assert names("--sort", "accuracy") == ["good", "bad"]
    assert names("--sort", "accuracy", "--reverse") == ["bad", "good"]
    assert names("--sort", "name") == ["bad", "good"]
    status, _, err = sightline("runs", "--sort", "speed")
    assert status == 2 and "error[runs.column]" in err and "macro_f1" in err


def test_runs_as_csv(sightline, two):
    status, out, _ = sightline("runs", two, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert float(rows[0]["accuracy"]) == Run(two / rows[0]["name"]).metrics["accuracy"]["value"]


def test_a_folder_without_runs(sightline, here):
    status, _, err = sightline("runs")
    assert status == 2 and "error[runs.missing]" in err
    (here / "runs").mkdir()
    status, out, _ = sightline("runs")
    assert status == 0 and "no runs yet" in out


# -- verify -----------------------------------------------------------------------------------------------------


def test_verify_of_a_run_as_it_was(sightline, two):
    status, out, err = sightline("verify", "good")
    assert status == 0, out + err
    assert "good is as it was recorded." in out
    assert "DIFFERS" not in out and "images" in out and "not checked: " in out


def test_verify_exits_with_5_and_says_what_differs(sightline, two):
    spoil(Run(two / "bad"), 1)
    status, out, _ = sightline("verify", "bad", "--no-data")
    assert status == 5
    assert "evaluation/probabilities.npy: sha256: recorded " in out
    assert "accuracy.value" in out and "--json lists all" in out
    assert "as asked for" in out


def test_verify_as_json_is_one_document_with_the_same_exit_code(sightline, two):
    status, out, _ = sightline("verify", "bad", "--json")
    assert status == 5 and json.loads(out)["as_recorded"] is False
    status, out, _ = sightline("verify", "good", "--json")
    assert status == 0 and json.loads(out)["as_recorded"] is True
