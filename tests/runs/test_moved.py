"""Runs whose images moved: found again with --data, and no good page is replaced by one without them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sightline.api import measuring, reviewing, training
from sightline.errors import RunError
from sightline.runs.folder import Run
from sightline.runs.moved import gone_images, open_moved


@pytest.fixture
def moved(copied_run: Run, colours: Path, tmp_path: Path) -> tuple[Run, Path]:
    """A run that recorded a folder which is not there any more, and where its images are now."""
    facts = json.loads(copied_run.facts_file.read_text())
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": str(tmp_path / "gone" / "colours")}))
    return copied_run, Path(shutil.copytree(colours, tmp_path / "new"))


def test_a_page_is_not_replaced_by_one_without_images(moved: tuple[Run, Path], no_figures: None) -> None:
    run, now = moved
    page = run.report_file.read_bytes()
    with pytest.raises(RunError, match=r"of \d+ measured images .* are no longer in") as caught:
        reviewing.report(run)
    assert caught.value.code == "run.images-gone" and "--data FOLDER" in caught.value.cure
    assert run.report_file.read_bytes() == page
    before = page.count(b"data:image")
    reviewing.report(run, moved_to=now)
    assert run.report_file.read_bytes().count(b"data:image") == before > 0
    assert "gone" in run.facts["data_root"], "what the run recorded stays"
    reviewing.report(run, without_images=True)
    assert run.report_file.read_bytes().count(b"data:image") < before


def test_one_image_that_is_gone_is_enough(copied_run: Run, colours: Path, tmp_path: Path) -> None:
    now = Path(shutil.copytree(colours, tmp_path / "new"))
    run = open_moved(copied_run, now)
    assert gone_images(run) == (0, len(copied_run.files("test")))
    Path(str(run.files("test")[0])).unlink()
    assert gone_images(run)[0] == 1
    with pytest.raises(RunError, match="1 of "):
        reviewing.report(copied_run, moved_to=now)


def test_another_folder_is_refused(moved: tuple[Run, Path], tmp_path: Path) -> None:
    run, now = moved
    for path in now.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"x")
    for other in (now, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="does not hold the images") as caught:
            open_moved(run, other)
        assert caught.value.code == "run.other-images" and "colours" in caught.value.cure


def test_robustness_export_and_verify_take_them_too(moved: tuple[Run, Path], no_figures: None) -> None:
    run, now = moved
    for act in (
        lambda **more: measuring.measure_robustness(run.folder, images=2, quiet=True, **more),
        lambda **more: training.export(run, quiet=True, **more),
    ):
        before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
        with pytest.raises(RunError, match="are no longer in") as caught:
            act()
        assert caught.value.code == "run.images-gone" and "--data FOLDER" in caught.value.cure
        assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()} == before
        act(moved_to=now)
        assert "gone" in run.facts["data_root"]
    found = reviewing.verify(run, moved_to=now, quiet=True)
    images = [check for check in found.checks if check.name in ("images", "answers")]
    assert len(images) == 2 and not any(check.differences for check in images)
    assert not all(check.said for check in reviewing.verify(run, quiet=True).checks if check.name == "images")


def test_what_can_not_be_written_is_told_before_the_work(
    copied_run: Run, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run lies on a disk that is mounted read-only; nothing is read, decoded or predicted."""
    ask, folder = os.access, copied_run.folder
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(folder) and ask(path, mode))
    monkeypatch.setattr("sightline.runtime.classifier.Classifier.squares", None)
    monkeypatch.setattr("sightline.reporting.page._render", None)
    for act in (
        lambda: measuring.evaluate(copied_run.folder, colours, quiet=True),
        lambda: measuring.measure_robustness(copied_run.folder, quiet=True),
        lambda: reviewing.report(copied_run),
        lambda: training.export(copied_run, quiet=True),
    ):
        with pytest.raises(RunError, match="is read-only") as caught:
            act()
        assert caught.value.code == "run.write" and caught.value.cure
