"""What trainings share: the test images can't be found from it, and a training needs none."""

from __future__ import annotations

import numpy as np
import pytest

from finished import write_colours
from sightline.pipeline.decide import decide
from sightline.pipeline.fit import fit
from sightline.pipeline.job import Job
from sightline.pipeline.look import look
from sightline.pipeline.workbench import Session, readable, set_up_workbench
from sightline.planning.recipe import Recipe
from sightline.runs.writer import RunWriter
from sightline.steps import result_of


@pytest.fixture
def looked(tmp_path):
    job = Job(write_colours(tmp_path / "colours", 12), options=Recipe(epochs=2, device="cpu"))
    found, (split,) = result_of(look(job))
    return job, found, split


def test_what_decides_and_trains_can_not_find_a_test_image(looked):
    job, found, split = looked
    assert len(split.rows("test")) and not len(found.split.rows("test")) and not found.split.leaked.any()
    for part in ("train", "val"):
        np.testing.assert_array_equal(found.split.rows(part), split.rows(part))
    plan = result_of(decide(job, found)).plan
    workbench = result_of(set_up_workbench(found.samples, split, plan))
    assert not len(workbench.split.rows("test")) and workbench.count_measured == len(split.rows("test"))


def test_a_network_is_trained_without_its_test_set(looked, tmp_path):
    job, found, split = looked
    plan = result_of(decide(job, found)).plan
    workbench = result_of(set_up_workbench(found.samples, split, plan))
    facts = {"setbacks": []}
    writer = RunWriter.create(tmp_path / "runs", "fitted", "", facts)
    trained = result_of(fit(plan, workbench, Session(writer)))
    writer.close()
    assert trained == plan and writer.run.facts["best_epoch"] in (0, 1, 2)
    assert len(writer.run.history["epoch"]) == 3
    assert writer.run.best_checkpoint.is_dir() and not writer.run.metrics_file.exists()
    assert not writer.run.split_file.exists()


def test_an_image_that_became_unreadable_stays_in_the_test_alone(looked):
    _, found, split = looked
    rows = [int(split.rows(part)[0]) for part in ("train", "val", "test")]
    samples = found.samples.with_errors(dict.fromkeys(rows, "gone"))
    kept = readable(split, samples)
    assert [kept.parts[row] for row in rows] == ["", "", "test"]
    assert (kept.parts != split.parts).sum() == 2
