"""Files of a run that are not those that it recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import sightline
from sightline.api.measuring import measure_robustness
from sightline.errors import RunError
from sightline.runs.folder import Run
from sightline.runs.lookup import find_classifier
from sightline.runs.unchanged import refuse_changed


def spoil(path: Path) -> None:
    """Change one byte, and nothing that a reader would notice."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_is_as_it_was_passes_and_what_is_not_is_named(copied_run: Run) -> None:
    files = [copied_run.folder / name for name in copied_run.facts["files"]]
    refuse_changed(copied_run, *files)
    for file in files:
        before = file.read_bytes()
        spoil(file)
        with pytest.raises(RunError) as caught:
            refuse_changed(copied_run, *files)
        assert caught.value.code == "run.changed" and file.relative_to(copied_run.folder).as_posix() in str(
            caught.value
        )
        file.write_bytes(before)


def test_what_has_no_recorded_sum_passes(copied_run: Run) -> None:
    facts = copied_run.facts
    spoil(copied_run.model_file)
    for files in (None, {}, {"plan.toml": "0"}):
        copied_run.facts_file.write_text(json.dumps({**facts, "files": files}))
        refuse_changed(copied_run, copied_run.model_file, copied_run.folder / "no-such-file")


USES: dict[str, tuple[str, Callable[[Run, Path], object]]] = {
    "load": ("classifier/model.onnx", lambda run, data: sightline.load(run.folder)),
    "load the file": ("classifier/model.onnx", lambda run, data: sightline.load(run.model_file)),
    "the run's own": ("classifier/model.onnx", lambda run, data: run.classifier()),
    "evaluate": ("data/split.csv", lambda run, data: sightline.evaluate(run.folder, data, quiet=True)),
    "explain": (
        "classifier/model.safetensors",
        lambda run, data: sightline.explain(run.folder, data / "red" / "000.png", method="gradcam", quiet=True),
    ),
    "robustness": ("data/samples.csv", lambda run, data: measure_robustness(run.folder, images=4, quiet=True)),
    "export": ("data/split.csv", lambda run, data: sightline.export(run.folder, quiet=True)),
    "compare": (
        "evaluation/probabilities.npy",
        lambda run, data: sightline.compare(run.folder, run.folder.with_name("other"), quiet=True),
    ),
    "weights": (
        "classifier/model.safetensors",
        lambda run, data: sightline.train(data, weights=str(run.folder), out=run.folder.parent / "new", quiet=True),
    ),
}


@pytest.mark.parametrize("use", USES)
def test_each_act_refuses_a_changed_file_before_its_work(use: str, copied_run: Run, colours: Path) -> None:
    name, act = USES[use]
    shutil.copytree(copied_run.folder, copied_run.folder.with_name("other"))
    spoil(copied_run.folder / name)
    with pytest.raises(RunError) as caught:
        act(copied_run, colours)
    assert caught.value.code == "run.changed" and name in caught.value.message
    assert not (copied_run.folder.parent / "new").exists()


def test_a_changed_model_can_be_used_outside_its_run(copied_run: Run, tmp_path: Path) -> None:
    spoil(copied_run.model_file)
    shutil.copy(copied_run.model_file, tmp_path / "mine.onnx")
    assert find_classifier(tmp_path / "mine.onnx") == tmp_path / "mine.onnx"


def test_the_cure_names_an_export_where_it_heals(copied_run: Run, no_figures: None) -> None:
    spoil(copied_run.model_file)
    copied_run.metrics_file.write_text("{")
    with pytest.raises(RunError) as caught:
        copied_run.classifier()
    assert f"sightline export {copied_run.folder}" in caught.value.cure
    copied = Path(shutil.copytree(copied_run.folder, copied_run.folder.with_name("other")))
    sightline.export(copied_run, quiet=True)
    refuse_changed(copied_run, *(copied_run.folder / name for name in copied_run.facts["files"]))
    spoil(copied / "data" / "split.csv")  # which an export needs
    with pytest.raises(RunError) as caught:
        Run(copied).classifier()
    assert "sightline export" not in caught.value.cure
