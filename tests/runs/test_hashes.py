"""The sha256 of what a run consists of."""

from __future__ import annotations

import hashlib
import subprocess

from sightline.reporting.page import write_report
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files


def test_every_file_that_results_rest_on_is_hashed(finished_run: Run) -> None:
    found = hash_files(finished_run)
    for name, digest in found.items():
        assert digest == hashlib.sha256((finished_run.folder / name).read_bytes()).hexdigest()
    inside = {
        path.relative_to(finished_run.folder).as_posix() for path in finished_run.folder.rglob("*") if path.is_file()
    }
    left = {
        name
        for name in inside - set(found)
        if not name.startswith(("figures/", "tensorboard/", "evaluations/", "run."))
    }
    assert left == {"report.html", "log.txt", "classifier/README.md"}


def test_a_finished_run_holds_them(finished_run: Run) -> None:
    assert finished_run.facts["files"] == hash_files(finished_run)


def test_a_report_that_is_written_again_changes_none(copied_run: Run) -> None:
    before = hash_files(copied_run)
    write_report(copied_run)
    assert hash_files(copied_run) == before


def test_the_digest_is_that_of_the_systems_own_command(finished_run: Run) -> None:
    said = subprocess.run(["sha256sum", finished_run.model_file], capture_output=True, text=True, check=True).stdout
    assert hash_files(finished_run)["classifier/model.onnx"] == said.split()[0]


def test_what_is_missing_or_half_written_is_left_out(copied_run: Run) -> None:
    copied_run.history_file.unlink()
    (copied_run.folder / "evaluation" / "metrics.json.tmp-12").write_text("{")
    assert {"history.csv", "evaluation/metrics.json.tmp-12"}.isdisjoint(hash_files(copied_run))
