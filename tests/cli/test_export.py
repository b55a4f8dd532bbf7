"""``sightline export``: a further format beside the first one, known to the run and to ``sightline verify``."""

from __future__ import annotations

import hashlib

import pytest

import sightline
from sightline.errors import InputError


def test_a_further_format_is_proved_recorded_and_hashed(copied_run):
    before = copied_run.metrics["accuracy"]
    run = sightline.export(copied_run, "pt2", quiet=True)
    file = run.classifier_folder / "model.pt2"
    export = run.facts["export"]
    assert export["images"] and export["formats"]["pt2"]["images"] == export["images"]
    assert export["formats"]["pt2"]["file"] == file.name
    assert run.facts["files"]["classifier/model.pt2"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert run.model_file.is_file() and run.metrics["accuracy"] == before


def test_a_format_that_is_not_there_changes_nothing(copied_run):
    before = copied_run.model_file.read_bytes()
    with pytest.raises(InputError, match="no export format 'pt3'") as caught:
        sightline.export(copied_run, "pt3", quiet=True)
    assert "'pt2'" in caught.value.cure and copied_run.model_file.read_bytes() == before


def test_a_format_of_model_onnx_is_made_without_an_evaluation(copied_run, sightline):
    before = copied_run.metrics_file.read_bytes(), copied_run.model_file.read_bytes()
    code, out, _ = sightline("export", copied_run.folder, "--format", "any-size")
    file = copied_run.classifier_folder / "model.any-size.onnx"
    assert code == 0 and str(file) in out and "from file bytes the same decision" in out
    proof = copied_run.facts["export"]["formats"]["any-size"]
    assert proof["file"] == file.name and proof["door"]["images"] > proof["door"]["made"] > 10
    assert copied_run.facts["files"]["classifier/model.any-size.onnx"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (copied_run.metrics_file.read_bytes(), copied_run.model_file.read_bytes()) == before
    assert sightline("export", copied_run.folder, "--format", "hf")[0] == 0  # a folder, with a card of its own
    assert "classifier/hf/README.md" in copied_run.facts["files"]
    assert sightline("verify", copied_run.folder)[0] == 0
    card = copied_run.classifier_folder / "hf" / "README.md"
    card.write_text("other")
    assert sightline("verify", copied_run.folder)[0] == 5
