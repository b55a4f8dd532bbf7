"""What a process left that was killed after the end of its run: the next command removes it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import sightline
from sightline.api.reviewing import report
from sightline.runs.folder import Run
from sightline.runs.lock import lock_run
from sightline.runs.safe_files import write_json
from sightline.runs.writer import RunWriter, sweep_finished


@pytest.fixture
def killed(copied_run: Run) -> Run:
    """A run whose process was killed when it was about to remove its checkpoints."""
    (copied_run.checkpoints_folder / "best").mkdir(parents=True)
    (copied_run.checkpoints_folder / "best" / "model.safetensors").write_bytes(b"weights")
    (copied_run.folder / "report.html.tmp-999999").write_text("half")
    (copied_run.folder / "notes.txt").write_text("of the user")
    return copied_run


def left(run: Run) -> list[str]:
    names = {"checkpoints", "report.html.tmp-999999", "notes.txt"}
    return sorted(path.name for path in run.folder.iterdir() if path.name in names)


@pytest.mark.usefixtures("no_figures")
def test_report_sweeps_the_run(killed: Run) -> None:
    report(killed)
    assert left(killed) == ["notes.txt"]


def test_resume_sweeps_a_run_that_is_finished(killed: Run, colours: Path) -> None:
    sightline.train(colours, out=killed.folder.parent, name=killed.folder.name, resume=True, quiet=True)
    assert left(killed) == ["notes.txt"]


def test_the_next_training_sweeps_the_runs_beside_it(killed: Run) -> None:
    writer = RunWriter.create(killed.folder.parent, "next", "photos", {})
    assert left(killed) == ["notes.txt"]
    writer.close()


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"keep_checkpoints": True}, ["checkpoints", "notes.txt"]),
        ({"keep_checkpoints": None}, ["checkpoints", "notes.txt"]),
        ({"status": "interrupted"}, ["checkpoints", "notes.txt", "report.html.tmp-999999"]),
        ({"status": "running"}, ["checkpoints", "notes.txt", "report.html.tmp-999999"]),
    ],
)
def test_checkpoints_that_are_wanted_or_needed_stay(killed: Run, changed: dict[str, object], kept: list[str]) -> None:
    write_json(killed.facts_file, {**killed.facts, **changed})
    sweep_finished(killed)
    assert left(killed) == kept


def test_a_run_that_another_process_writes_into_is_left_alone(killed: Run) -> None:
    with lock_run(killed.folder):
        sweep_finished(killed)
        assert len(left(killed)) == 3
