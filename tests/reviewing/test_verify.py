"""A run compared with what it recorded: each kind of change is found, and nothing else is said."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.api import reviewing
from sightline.reviewing.verify import Verification
from sightline.reviewing.verify_data import check_labels
from sightline.reviewing.verify_metrics import Checkable, _check_metrics, _check_recount, compare_metrics
from sightline.runs.folder import Run
from sightline.runs.moved import open_moved
from sightline.runs.safe_files import write_columns, write_json
from sightline.runs.verification import Difference, compare_leaves


def verify(run: Run, **options: bool) -> Verification:
    return reviewing.verify(run, quiet=True, **options)


@pytest.fixture
def moved(copied_run: Run, colours: Path, tmp_path: Path) -> Run:
    """A copy of the finished run with a copy of its images, to be changed at will."""
    photos = shutil.copytree(colours, tmp_path / "colours")
    write_json(copied_run.facts_file, copied_run.facts | {"data": str(photos), "data_root": str(photos)})
    return copied_run


def tree(*roots: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for root in roots
        for path in root.rglob("*")
        if path.is_file()
    }


def a_measured_image(run: Run) -> Path:
    return Path(run.facts["data_root"]) / run.predictions[0]["path"]


def found(verification: Verification, *words: str) -> list[Difference]:
    """Return the differences that hold all these words; there must be some."""
    matching = [one for one in verification.differences if all(word in str(one) for word in words)]
    assert matching, [str(one) for one in verification.differences]
    return matching


# -- nothing changed --------------------------------------------------------------------------------------------


def test_a_run_that_was_not_touched_is_as_recorded_and_is_not_touched(finished_run: Run, colours: Path) -> None:
    before = tree(finished_run.folder, colours)
    verification = verify(finished_run)
    assert verification.is_as_recorded, verification.differences
    names = ["files", "images", "labels", "answers", "tables", "predictions", "metrics", "recount"]
    assert [check.name for check in verification.checks] == names
    assert all(check.said for check in verification.checks)
    assert tree(finished_run.folder, colours) == before


def test_what_can_not_be_recomputed_is_listed(finished_run: Run) -> None:
    left = " ".join(reason for check in verify(finished_run).checks for reason in check.not_checked)
    assert "not recomputed: " in left and "baselines.nearest_class_mean" in left


def test_every_other_value_is_compared(finished_run: Run) -> None:
    """Whatever stands in ``metrics.json``: each number by itself is changed a little, and found."""
    recorded = Checkable(finished_run)
    left = compare_leaves(recorded.metrics, recorded.evaluation.metrics).only_recorded
    metrics = json.dumps(recorded.metrics)
    places = list(numbers(recorded.metrics))
    assert len(places) > 50
    for place in places:
        changed = json.loads(metrics)
        inside = changed
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] += 1 if isinstance(inside[place[-1]], int) else 1e-6
        recorded.__dict__["metrics"] = changed
        if not any(f"{'.'.join(map(str, place))}.".startswith(f"{one}.") for one in left):
            assert _check_metrics(recorded).differences, place


def numbers(value: Any, place: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict | list):
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inside, (*place, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place


def test_a_figure_that_is_computed_wrongly_is_found_by_counting(finished_run: Run) -> None:
    """A fault in the arrays' formulas would be in both computations; the count of the words shares none of them."""
    recorded = Checkable(finished_run)
    changed = json.loads(json.dumps(recorded.metrics))
    changed["macro_f1"]["value"] -= 1e-4
    changed["confusion"]["cells"][0][2] += 1
    recorded.__dict__["metrics"] = changed
    assert {one.what for one in _check_recount(recorded).differences} == {"macro_f1.value", "confusion.cells[0][2]"}


# -- data -------------------------------------------------------------------------------------------------------


def test_a_changed_pixel_is_found(moved: Run) -> None:
    image = a_measured_image(moved)
    pixels = np.array(Image.open(image))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(image)
    (one,) = verify(moved).differences
    assert (one.file, one.what) == (moved.predictions[0]["path"], "content")


def test_a_missing_image_is_found(moved: Run) -> None:
    a_measured_image(moved).unlink()
    (one,) = verify(moved).differences
    assert one.found == "no such file"


def test_an_image_in_another_class_folder_is_a_changed_label(moved: Run) -> None:
    image = a_measured_image(moved)
    there = image.parent.with_name("red" if image.parent.name != "red" else "blue")
    image.rename(there / "moved.png")
    (label,) = found(verify(moved), "label")
    assert label.recorded == repr(image.parent.name) and repr(there.name) in label.found and "moved.png" in label.found


def test_new_images_are_no_difference_and_are_said(moved: Run) -> None:
    Image.new("RGB", (9, 9)).save(Path(moved.facts["data_root"]) / "red" / "new.png")
    verification = verify(moved)
    assert verification.is_as_recorded
    assert any("1 there are not of this run" in check.said for check in verification.checks)


def test_a_file_that_could_not_be_read_then_and_can_be_now_is_found(moved: Run) -> None:
    rows = moved.samples
    wanted = next(row for row in rows if row["split"] == "train")
    columns = {name: [row[name] for row in rows] for name in rows[0] if name not in ("split", "leaked")}
    columns["sha256"] = ["" if row is wanted else row["sha256"] for row in rows]
    write_columns(moved.samples_file, columns)
    (one,) = found(verify(moved), wanted["path"], "content")
    assert one.recorded == "nothing readable"


def test_data_that_are_not_here_are_one_difference(moved: Run) -> None:
    shutil.rmtree(moved.facts["data_root"])
    images = next(check for check in verify(moved).checks if check.name == "images")
    assert [(one.recorded, one.found) for one in images.differences] == [("120 images", "no such folder")]
    assert verify(moved, data=False).is_as_recorded


def test_without_the_data_no_image_is_read_and_that_is_said(moved: Run) -> None:
    a_measured_image(moved).unlink()
    verification = verify(moved, data=False)
    assert verification.is_as_recorded
    assert any("left out, as asked for" in reason for check in verification.checks for reason in check.not_checked)


def from_table(run: Run, folder: Path, label: Callable[[str, str], str]) -> Run:
    """Turn a run's source into a CSV beside the images, with labels by ``label(path, label)``."""
    root = Path(run.facts["data_root"])
    table = root / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "label"), *((row["path"], label(row["path"], row["label"])) for row in run.samples)]
        )
    write_json(run.facts_file, run.facts | {"data": str(table)})
    return run


def test_a_changed_label_in_the_table_of_the_data_is_found(moved: Run, tmp_path: Path) -> None:
    assert verify(from_table(moved, tmp_path, lambda path, label: label)).is_as_recorded
    wanted = moved.samples[7]["path"]
    from_table(moved, tmp_path, lambda path, label: "red" if path == wanted else label)
    (one,) = verify(moved).differences
    assert (one.file, one.what, one.found) == (wanted, "label", "'red'")


def test_labels_that_a_list_of_fixes_changed_are_as_recorded(moved: Run, tmp_path: Path) -> None:
    wanted = moved.samples[7]["path"]
    from_table(moved, tmp_path, lambda path, label: "red" if path == wanted else label)
    moved.split_file.with_name("fixes.csv").write_text(f"path,action,value\n{wanted},relabel,blue\n")
    labels = next(check for check in verify(moved).checks if check.name == "labels")
    assert labels.said and not labels.differences


def test_images_in_an_archive_are_read_again(moved: Run) -> None:
    root = Path(moved.facts["data_root"])
    archive = root.with_name("photos.zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*.png")):
            file.write(path, path.relative_to(root).as_posix())
    for table in (moved.samples_file, moved.split_file, moved.predictions_file):
        with table.open(newline="") as lines:
            names, *rows = csv.reader(lines)
        write_columns(
            table,
            dict(zip(names, zip(*([f"photos.zip::{row[0]}", *row[1:]] for row in rows), strict=True), strict=True)),
        )
    write_json(moved.facts_file, moved.facts | {"data": str(archive), "data_root": str(archive.parent), "files": None})
    assert verify(moved).is_as_recorded
    with zipfile.ZipFile(archive, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(moved.predictions[0]["path"].partition("::")[2], b"other")
    assert not verify(moved).is_as_recorded


def test_a_source_that_can_not_be_listed_again_is_said(moved: Run) -> None:
    write_json(moved.facts_file, moved.facts | {"data": "an array of 120 images"})
    verification = verify(moved)
    assert verification.is_as_recorded
    assert any("can't be found again" in reason for check in verification.checks for reason in check.not_checked)


@pytest.mark.parametrize("typed", ["colours", "."])
def test_labels_are_compared_in_a_folder_of_another_name(moved: Run, typed: str) -> None:
    root = Path(moved.facts["data_root"])
    write_json(moved.facts_file, moved.facts | {"data": typed})
    elsewhere = root.rename(root.with_name("renamed"))
    said = check_labels(open_moved(moved, elsewhere), frozenset())
    assert not said.not_checked and not said.differences and str(elsewhere) in said.said
    wanted = str(moved.samples[0]["path"])
    (elsewhere / wanted).rename(elsewhere / ("red" if "red" not in wanted else "blue") / "x.png")
    assert check_labels(open_moved(moved, elsewhere), frozenset()).differences


def test_another_given_part_is_found(moved: Run) -> None:
    """The images lie in folders of given parts now; when the run was trained there were none."""
    root, paths = Path(moved.facts["data_root"]), [row["path"] for row in moved.samples]
    for path in paths:
        place = root / ("train" if path[-6] < "3" else "test") / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (root / path).rename(place)
    for name in ("blue", "green", "red"):
        (root / name).rmdir()
    differences = check_labels(moved, frozenset(paths)).differences
    assert {one.what for one in differences} == {"given part"} and len(differences) == len(paths)
    assert {(one.recorded, one.found.split()[0]) for one in differences} == {("''", "'train'"), ("''", "'test'")}


# -- files, tables and figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_one_flipped_byte_of_the_weights_is_found(moved: Run, name: str) -> None:
    file = moved.classifier_folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    (one,) = found(verify(moved, data=False), f"classifier/{name}", "sha256")
    assert one.recorded != one.found == hashlib.sha256(data).hexdigest()


def test_other_weights_are_found_without_recorded_hashes(moved: Run) -> None:
    """The classifier of another training: its answers are not those that were recorded."""
    said = np.load(moved.probabilities_file)
    np.save(moved.probabilities_file, np.roll(said, 1, axis=1))
    write_json(moved.facts_file, moved.facts | {"files": None})
    answers = next(check for check in verify(moved).checks if check.name == "answers")
    assert len(answers.differences) == 16
    assert "answer to" in answers.differences[0].what


def test_another_novelty_is_found(moved: Run) -> None:
    rows = moved.predictions
    rows[0]["novelty"] = f"{float(rows[0]['novelty']) + 0.1:.4f}"
    write_columns(moved.predictions_file, {name: [row[name] for row in rows] for name in rows[0]})
    write_json(moved.facts_file, moved.facts | {"files": None})
    (one,) = verify(moved).differences
    assert one.what == f"novelty of {rows[0]['path']}" and one.recorded == rows[0]["novelty"]


def test_a_changed_label_among_the_predictions_is_found(moved: Run) -> None:
    rows = moved.predictions
    rows[0]["label"] = "red" if rows[0]["label"] != "red" else "blue"
    write_columns(moved.predictions_file, {name: [row[name] for row in rows] for name in rows[0]})
    write_json(moved.facts_file, moved.facts | {"files": None})
    verification = verify(moved, data=False)
    (one,) = found(verification, f"label of {rows[0]['path']}")
    assert one.recorded == repr(rows[0]["label"])
    assert found(verification, "evaluation/metrics.json", "by counting predictions.csv")


def test_a_row_too_few_or_from_another_part_is_found(moved: Run) -> None:
    rows = moved.predictions
    other = next(row["path"] for row in moved.samples if row["split"] == "train")
    gone, rows[0]["path"] = rows[0]["path"], other
    write_columns(moved.predictions_file, {name: [row[name] for row in rows] for name in rows[0]})
    verification = verify(moved, data=False)
    assert found(verification, f"row of {gone}", "missing")
    assert found(verification, f"row of {other}", "of another part")


def test_a_changed_figure_is_found_with_both_values(moved: Run) -> None:
    metrics = moved.metrics
    then = metrics["accuracy"]["value"]
    metrics["accuracy"]["value"] = 0.999
    write_json(moved.metrics_file, metrics)
    verification = verify(moved, data=False)
    one = found(verification, "evaluation/metrics.json", "accuracy.value")[0]
    assert (one.recorded, one.found) == ("0.999", repr(then))
    assert found(verification, "evaluation/metrics.json", "sha256")


def test_a_changed_headline_is_found(moved: Run) -> None:
    write_json(moved.facts_file, moved.facts | {"headline": "Test accuracy 100 %"})
    (one,) = verify(moved, data=False).differences
    assert (one.file, one.what) == ("run.json", "headline")


def test_a_changed_table_of_the_data_is_found_by_its_fingerprint(moved: Run) -> None:
    text = moved.samples_file.read_text().replace("green/000.png,green", "green/000.png,blue")
    moved.samples_file.write_text(text)
    write_json(moved.facts_file, moved.facts | {"files": None})
    verification = verify(moved, data=False)
    assert found(verification, "data/samples.csv", "fingerprint")
    assert found(verification, "data/split.csv", "label of green/000.png")


def test_figures_that_this_version_adds_are_said_and_no_difference(moved: Run) -> None:
    metrics = moved.metrics
    for name in ("log_loss", "doubtful_labels", "count_doubtful", "sets"):  # so few that all are named
        del metrics[name]
    write_json(moved.metrics_file, {**metrics, "coming": 1.5})
    write_json(moved.facts_file, moved.facts | {"files": None})
    verification = verify(moved, data=False)
    assert verification.is_as_recorded
    left = " ".join(reason for check in verification.checks for reason in check.not_checked)
    assert "not recorded: log_loss" in left and "coming" in left


def test_intervals_that_other_versions_drew_are_no_difference() -> None:
    one = {"macro_f1": {"value": 0.5, "low": 0.4}, "n": 3}
    leaves = compare_leaves(one, {"macro_f1": {"value": 0.6, "low": 0.41}, "n": 3})
    differences, left = compare_metrics(leaves, {"versions": {"sightline": "0.0.1", "numpy": "1.0"}})
    assert [row.what for row in differences] == ["macro_f1.value"]
    assert "macro_f1.low" in left[0] and "numpy 1.0 then" in left[0]


EVERY = [
    "classifier/classifier.json",
    "classifier/model.onnx",
    "classifier/model.safetensors",
    "data/samples.csv",
    "data/split.csv",
    "evaluation/metrics.json",
    "evaluation/predictions.csv",
    "evaluation/probabilities.npy",
    "history.csv",
    "plan.toml",
]


@pytest.mark.parametrize("keep", [None, 0.0, 0.5], ids=["gone", "empty", "half"])
@pytest.mark.parametrize("name", EVERY)
def test_a_file_that_is_gone_or_cut_off_is_a_difference_and_no_crash(moved: Run, name: str, keep: float | None) -> None:
    file = moved.folder / name
    data = file.read_bytes()
    file.unlink()
    if keep is not None:
        file.write_bytes(data[: int(keep * len(data))])
    assert found(verify(moved), name)


def test_a_run_without_recorded_hashes_says_so(moved: Run) -> None:
    facts = moved.facts
    del facts["files"]
    write_json(moved.facts_file, facts)
    verification = verify(moved, data=False)
    assert verification.is_as_recorded
    assert any("no sha256" in reason for check in verification.checks for reason in check.not_checked)


def test_a_classifier_of_another_version_is_not_compared_and_that_is_said(moved: Run) -> None:
    file = moved.classifier_folder / "classifier.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 1}))
    write_json(moved.facts_file, moved.facts | {"files": None})
    verification = verify(moved, data=False)
    assert verification.is_as_recorded
    assert any("schema version 1" in reason for check in verification.checks for reason in check.not_checked)


def test_a_run_that_was_not_finished_says_so(moved: Run) -> None:
    shutil.rmtree(moved.folder / "evaluation")
    write_json(moved.facts_file, moved.facts | {"status": "interrupted", "files": None})
    verification = verify(moved)
    left = [reason for check in verification.checks for reason in check.not_checked]
    assert verification.is_as_recorded
    assert any("not evaluated" in reason for reason in left) and any("interrupted" in reason for reason in left)


def test_it_is_json(moved: Run) -> None:
    a_measured_image(moved).unlink()
    document = json.loads(json.dumps(verify(moved).to_dict(), allow_nan=False))
    assert document["as_recorded"] is False
    assert document["checks"][1]["differences"][0]["found"] == "no such file"


def test_it_needs_no_torch(finished_run: Run) -> None:
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in {'torch', 'torchvision', 'timm', 'onnxscript'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from sightline.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "verify", str(finished_run.folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
