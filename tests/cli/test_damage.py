"""Files of a run that were cut off, emptied or changed by hand: an error that names them, and no fault of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finished import write_colours

pytestmark = pytest.mark.usefixtures("no_figures")
Harm = Callable[[Path], object]


def cut(path: Path) -> None:
    """Leave the first three fifths, as a full disk does."""
    data = path.read_bytes()
    path.write_bytes(data[: 3 * len(data) // 5])


def cut_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[: 3 * len(lines) // 5]), encoding="utf-8")


def cut_cells(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").rstrip().rpartition(",")[0], encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without(name: str) -> Harm:
    def drop(path: Path) -> None:
        facts = json.loads(path.read_text(encoding="utf-8"))
        del facts[name]
        path.write_text(json.dumps(facts), encoding="utf-8")

    return drop


def says(text: str) -> Harm:
    return lambda path: path.write_text(text, encoding="utf-8")


def assert_damaged(result: tuple[int, str, str], *words: str) -> None:
    status, _, err = result
    assert status == 2 and ("error[run.damaged]" in err or "error[run.changed]" in err) and "cure: " in err, err
    assert all(word in err for word in words), err


@pytest.mark.parametrize(
    ("file", "harm"),
    [
        ("evaluation/metrics.json", says("{}")),
        ("evaluation/metrics.json", says("[]")),
        ("evaluation/metrics.json", cut),
        ("evaluation/predictions.csv", cut_lines),
        ("evaluation/predictions.csv", cut_cells),
        ("evaluation/predictions.csv", empty),
        ("evaluation/explanations.npz", cut),
        ("evaluation/explanations.npz", says("no arrays")),
        ("evaluation/explanations.npz", empty),
        ("evaluation/robustness.json", says("{")),
        ("learning_curve.json", says("{")),
        ("run.json", without("classes")),
        ("run.json", without("data_root")),
        ("data/findings.json", cut),
        ("data/split.csv", cut_lines),
        ("data/samples.csv", cut_cells),
        ("data/augmented.npz", cut),
        ("history.csv", says("epoch,val_loss\none,two\n")),
    ],
)
def test_the_report_names_the_damaged_file(sightline, copied_run, file, harm):
    harm(copied_run.folder / file)
    assert_damaged(sightline("report", copied_run.folder), str(copied_run.folder / file), "sightline verify")


@pytest.mark.parametrize(
    ("file", "harm", "section"),
    [
        ("evaluation/metrics.json", without("confusion"), "confusion"),
        ("evaluation/features.npy", says("no array"), "evaluation/features.npy"),
        ("evaluation/robustness.json", says("{}"), "evaluation/robustness.json"),
        ("run.json", without("split_rule"), "split_rule"),
    ],
)
def test_what_does_not_fit_is_said_with_the_section_or_the_name(sightline, copied_run, file, harm, section):
    harm(copied_run.folder / file)
    assert_damaged(sightline("report", copied_run.folder), section, str(copied_run.folder))


@pytest.mark.parametrize("harm", [cut, empty, says("no weights")])
def test_explain_names_weights_that_are_damaged(sightline, copied_run, here, write_image, harm):
    harm(copied_run.weights_file)
    photo = write_image(here / "photo.png", (200, 40, 40))
    assert_damaged(sightline("explain", copied_run.folder, photo), str(copied_run.weights_file))
    assert sightline("explain", copied_run.folder, photo, "--method", "occlusion")[0] == 0


@pytest.mark.parametrize(
    ("file", "harm", "word"),
    [
        ("run.json", without("data_root"), "'data_root'"),
        ("run.json", without("classes"), "'classes'"),
        ("data/samples.csv", cut_cells, "samples.csv"),
        ("data/split.csv", cut_lines, "split.csv"),
    ],
)
def test_robustness_names_what_is_damaged(sightline, copied_run, file, harm, word):
    harm(copied_run.folder / file)
    assert_damaged(sightline("robustness", copied_run.folder, "--images", 2), word, str(copied_run.folder))


@pytest.mark.parametrize(("file", "harm"), [("data/samples.csv", cut_cells), ("data/split.csv", cut_lines)])
def test_evaluate_can_not_tell_what_was_trained_on_without_its_table(sightline, copied_run, tmp_path, file, harm):
    harm(copied_run.folder / file)
    data = write_colours(tmp_path / "more", 2, seed=8)
    assert_damaged(sightline("evaluate", copied_run.folder, data), str(copied_run.folder / file))
