"""A run is made smaller: what is written is a run like any other, and what is not written has a reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sightline
from sightline.api.reviewing import verify
from sightline.errors import InputError, RunError
from sightline.reporting.versions import draw_versions
from sightline.runs.earlier import find_earlier
from sightline.runs.folder import Run
from sightline.runs.ledger import ledger_file
from sightline.runs.recorded import Recorded
from sightline.runtime.classifier import Classifier
from sightline.shrinking import timing
from unrendered import leave_figures_unrendered
from workers import make_once


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Figures are drawn and not rendered, and each version is timed once."""
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_unrendered(patch)
        patch.setattr(timing, "_ROUNDS", (1, 1))
        yield


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory, finished_run) -> tuple[Run, Run]:
    """A run, and its version in int8, whatever that costs; not to be changed."""

    def make(folder: Path) -> None:
        run = Run(shutil.copytree(finished_run.folder, folder / "run"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SIGHTLINE_CACHE", str(folder / "cache"))
            patch.setenv("SIGHTLINE_STATE", str(folder / "state"))
            found = sightline.shrink(run, versions=["int8"], max_loss=100, quiet=True)
            assert found.run is not None and found.record.chosen == "int8"
            counted = json.loads(ledger_file().read_text())["evaluations"]
        (folder / "counted.json").write_text(json.dumps(counted))

    folder = make_once(tmp_path_factory, "shrunk", make)
    return Run(folder / "run"), Run(folder / "run" / "versions" / "int8")


def test_the_classifier_itself_stays_as_it_is(shrunk, finished_run):
    before, after = files_of(finished_run.folder), files_of(shrunk[0].folder)
    changed = {name for name in before if before[name] != after[name] and not name.startswith("figures/")}
    assert changed <= {"report.html", "run.lock", "run.lock.json", "classifier/README.md"}
    assert {name for name in after if name.startswith("classifier/")} == {
        name for name in before if name.startswith("classifier/")
    }


def test_the_version_is_smaller_and_says_what_was_done(shrunk):
    run, small = shrunk
    assert small.model_file.stat().st_size < 0.7 * run.model_file.stat().st_size
    card = (small.classifier_folder / "README.md").read_text(encoding="utf-8")
    assert "Smaller version: `int8`" in card and "in int8, weights by channel" in card
    report = small.report_file.read_text(encoding="utf-8")
    assert "a smaller version, int8 of the run" in report and "predicts the same as the trained network" not in report
    page = run.report_file.read_text(encoding="utf-8")
    assert 'id="versions"' in page and "decisions changed" in page
    assert "exported anew since" not in page
    assert all(draw_versions(Recorded(run), theme) is not None for theme in ("light", "dark"))


def test_its_answers_are_those_of_its_own_body_with_a_temperature_and_novelty_of_its_own(shrunk):
    run, small = shrunk
    one, two = Classifier.open(run.model_file), Classifier.open(small.model_file)
    assert one.classes == two.classes and one.preprocess == two.preprocess
    paths = run.files("test")
    first, second = one.predict(paths), two.predict(paths)
    assert 0 < np.abs(first.features - second.features).max() < np.abs(first.features).max()
    assert not np.array_equal(first.novelty, second.novelty)


def test_every_command_takes_it(shrunk):
    run, small = shrunk
    assert verify(small, quiet=True).is_as_recorded
    pair = sightline.compare(run, small, quiet=True).pairs[0]
    record = run.versions
    assert record is not None and record.test is not None
    assert (pair.corrected, pair.newly_wrong) == (record.test.corrected, record.test.newly_wrong)
    assert record.test.n == pair.n == run.metrics["accuracy"]["n"]
    image = run.files("test")[0]
    assert sightline.explain(small.folder, image, quiet=True)[0].occlusion is not None
    assert sightline.load(small.folder).predict(image)[0].label in run.facts["classes"]


def test_the_test_images_count_one_more_classifier(shrunk):
    run, small = shrunk
    counted = json.loads((run.folder.parent / "counted.json").read_text())
    assert len(counted[small.metrics["test_set"]]) == 1  # in a state of its own: the run's is elsewhere


@pytest.mark.parametrize("use", [sightline.shrink, sightline.export, lambda run, quiet: find_earlier(run, folder="")])
def test_a_version_has_no_network_to_go_on_with(shrunk, use):
    with pytest.raises(RunError, match="smaller version") as caught:
        use(str(shrunk[1].folder), quiet=True)
    assert caught.value.code == "run.version"


@pytest.mark.parametrize(("wish", "code"), [({"versions": ["int9"]}, "version"), ({"max_loss": -1}, "max-loss")])
def test_a_wish_that_makes_no_sense_is_refused_first(finished_run, wish, code):
    with pytest.raises(InputError) as caught:
        sightline.shrink(finished_run, quiet=True, **wish)
    assert caught.value.code == f"shrink.{code}"


def test_what_is_not_shown_to_lose_little_is_not_written(copied_run):
    found = sightline.shrink(copied_run, versions=["int8"], max_loss=0, quiet=True)
    (row,) = found.record.rows[1:]
    assert found.run is None and not found.record.chosen and not row.is_within and row.low < 0
    assert not (copied_run.versions_folder / "int8").exists()
    assert copied_run.versions == found.record  # the table is kept, with why


def test_the_command_prints_what_it_found_and_where(copied_run, monkeypatch, capsys):
    from sightline.cli.app import main

    words = ["sightline", "shrink", str(copied_run.folder), "--only", "float16", "--max-loss", "99"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().out
    assert not caught.value.code and "float16" in said and "Chosen: float16" in said
    assert f"sightline predict {copied_run.versions_folder / 'float16'}" in said
