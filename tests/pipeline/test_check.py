"""The doctor's visit: what is read, and features by a run or by a network."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

import sightline
from sightline.api import check_up
from sightline.data.shapes import draw_shape
from sightline.data.split import make_split
from sightline.errors import SightlineError
from sightline.pipeline.embed import embed_samples
from sightline.pipeline.prepare import inspect_source


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.mark.e2e
def test_a_run_embeds_as_its_classifier_predicts(finished_run, colours):
    samples = finish(inspect_source(colours))
    embedding = finish(embed_samples(samples, make_split(samples), str(finished_run.folder)))
    said = finished_run.classifier().predict(samples.files)
    np.testing.assert_array_equal(embedding.features, said.features)
    assert embedding.name == str(finished_run.folder)


@pytest.mark.e2e
def test_a_wrong_label_is_found_with_the_features_of_a_run(finished_run, colours, tmp_path):
    data = shutil.copytree(colours, tmp_path / "data")
    (data / "red" / "000.png").rename(data / "blue" / "wrong.png")
    up = check_up(data, embeddings=str(finished_run.folder), quiet=True)
    (finding,) = [finding for finding in up.findings if finding.code == "label-error"]
    assert [(fix.path, fix.value) for fix in finding.fixes] == [("blue/wrong.png", "red")]
    assert up.not_run == ()


@pytest.mark.parametrize("model", ["runs/none", "latest", "no-such-network-anywhere"])
def test_what_can_not_embed_is_an_error_with_a_cure(photos, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SightlineError) as caught:
        sightline.check(photos, embeddings=model, quiet=True)
    assert caught.value.cure


def test_a_class_that_train_lacks_is_a_finding_and_not_the_end(photos, tmp_path):
    data = tmp_path / "split"
    shutil.copytree(photos, data / "train")
    shutil.copytree(photos, data / "test")
    (data / "test" / "red").rename(data / "test" / "rot")
    codes = {finding.code: finding for finding in sightline.check(data, quiet=True)}
    assert "perhaps 'rot' is 'red'" in codes["extra-class"].message
    with pytest.raises(SightlineError):
        sightline.check(tmp_path / "none", quiet=True)


@pytest.mark.e2e
def test_near_duplicates_across_a_given_split_are_left_out_of_the_headline(tmp_path):
    random = np.random.default_rng(0)
    data = tmp_path / "shapes"
    for part, count in (("train", 30), ("val", 10), ("test", 10)):
        for shape in ("disc", "square"):
            (data / part / shape).mkdir(parents=True)
            for k in range(count):
                Image.fromarray(draw_shape(random, shape)).save(data / part / shape / f"{k}.png")
    for k in range(4):  # saved again and mirrored: another file, the same picture
        picture = Image.open(data / "train" / "disc" / f"{k}.png")
        ImageOps.mirror(picture).save(data / "test" / "disc" / f"again{k}.jpg", quality=90)
    run = sightline.train(data, out=tmp_path / "runs", name="shapes", epochs=1, quiet=True)
    assert (run.metrics["accuracy"]["n"], run.metrics["count_leaked"]) == (20, 4)
    assert run.metrics["accuracy_with_leaks"]["n"] == 24
    leaked = {row["path"] for row in run.samples if row["leaked"] == "1"}
    assert leaked == {f"test/disc/again{k}.jpg" for k in range(4)}
    again = sightline.export(run, quiet=True)
    assert (again.metrics["accuracy"]["n"], again.metrics["count_leaked"]) == (20, 4)
