"""The doctor's visit: what is read, and features by a run or by a network."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

import sightline
from sightline.api.data import check_up
from sightline.data.drawn_shapes import draw_shape
from sightline.data.split import make_split, make_split_of_nothing
from sightline.errors import SightlineError
from sightline.events import Warned
from sightline.reading import frozen_features
from sightline.reading.embed import Embedder, embed_samples
from sightline.reading.source import DataChoices, inspect_source
from sightline.steps import result_of


@pytest.mark.e2e
def test_a_run_embeds_as_its_classifier_predicts(finished_run, colours):
    samples = result_of(inspect_source(colours))
    embedding = result_of(embed_samples(samples, make_split(samples), Embedder(str(finished_run.folder))))
    said = finished_run.classifier().predict(samples.files)
    np.testing.assert_array_equal(embedding.features, said.features)
    assert embedding.name == str(finished_run.folder)


@pytest.mark.e2e
def test_features_of_a_file_that_changed_are_not_kept_as_those_of_its_content(finished_run, colours, tmp_path):
    data = shutil.copytree(colours, tmp_path / "data")
    samples = result_of(inspect_source(data))
    file, content = data / "red" / "000.png", (data / "red" / "000.png").read_bytes()
    file.write_bytes((data / "blue" / "000.png").read_bytes())
    embedder = Embedder(str(finished_run.folder))
    changed = result_of(embed_samples(samples, make_split(samples), embedder)).features
    file.write_bytes(content)
    again = result_of(embed_samples(samples, make_split(samples), embedder)).features
    row = samples.paths.tolist().index("red/000.png")
    assert np.isnan(changed[row]).all() and not np.isnan(np.delete(changed, row, 0)).any()
    np.testing.assert_array_equal(again[row], finished_run.classifier().predict(file).features[0])


@pytest.mark.e2e
def test_a_wrong_label_is_found_with_the_features_of_a_run(finished_run, colours, tmp_path):
    data = shutil.copytree(colours, tmp_path / "data")
    (data / "red" / "000.png").rename(data / "blue" / "wrong.png")
    up = check_up(data, embeddings=str(finished_run.folder), quiet=True)
    (finding,) = [finding for finding in up.findings if finding.code == "label-error"]
    assert [(fix.path, fix.value) for fix in finding.fixes] == [("blue/wrong.png", "red")]
    assert up.not_run == ()


@pytest.mark.parametrize(
    ("model", "code"),
    [("runs/none", "model.missing"), ("latest", "run.no-latest"), ("no-such-network-anywhere", "model.unknown-name")],
)
def test_what_can_not_embed_is_an_error_with_a_cure(photos, tmp_path, monkeypatch, model, code):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SightlineError) as caught:
        sightline.check(photos, embeddings=model, quiet=True)
    assert (caught.value.code, bool(caught.value.cure)) == (code, True)


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
@pytest.mark.usefixtures("no_figures")
def test_near_duplicates_across_a_given_split_are_left_out_of_the_headline(tmp_path):
    random = np.random.default_rng(0)
    data = tmp_path / "shapes"
    for part, count in (("train", 30), ("val", 10), ("test", 10)):
        for shape in ("disc", "square"):
            (data / part / shape).mkdir(parents=True)
            for k in range(count):
                Image.fromarray(draw_shape(random, shape)).save(data / part / shape / f"{k}.png")
    for k in range(4):  # saved again and mirrored: another file, the same image
        image = Image.open(data / "train" / "disc" / f"{k}.png")
        ImageOps.mirror(image).save(data / "test" / "disc" / f"again{k}.jpg", quality=90)
    run = sightline.train(data, out=tmp_path / "runs", name="shapes", epochs=1, quiet=True)
    assert (run.metrics["accuracy"]["n"], run.metrics["count_leaked"]) == (20, 4)
    assert run.metrics["accuracy_with_leaks"]["n"] == 24
    leaked = {row["path"] for row in run.samples if row["leaked"] == "1"}
    assert leaked == {f"test/disc/again{k}.jpg" for k in range(4)}
    again = sightline.export(run, quiet=True)
    assert (again.metrics["accuracy"]["n"], again.metrics["count_leaked"]) == (20, 4)


@pytest.fixture(scope="module")
def own_weights(tmp_path_factory):
    """Weights of a small network of timm's, as a local file."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    return path


@pytest.fixture
def deep(tmp_path):
    """Images of 12 bits in 16: black to whoever does not know the range."""
    random = np.random.default_rng(0)
    for label in ("disc", "square"):
        (tmp_path / "deep" / label).mkdir(parents=True)
        for k in range(4):
            grey = draw_shape(random, label)[..., 0].astype(np.uint16)
            Image.fromarray(grey * 16).save(tmp_path / "deep" / label / f"{k}.png")
    return tmp_path / "deep"


@pytest.mark.e2e
def test_a_network_sees_the_range_that_was_given(deep, own_weights):
    samples = result_of(inspect_source(deep))
    embedder = Embedder("resnet18", str(own_weights))
    unsplit = make_split_of_nothing(samples)
    black, seen = (
        result_of(embed_samples(samples, unsplit, embedder, value_range)).features for value_range in (None, (0, 4095))
    )
    spread = [float(np.linalg.norm(features - features.mean(0), axis=1).mean()) for features in (black, seen)]
    assert spread[1] > 5 * spread[0]


@pytest.mark.e2e
def test_the_carried_network_embeds_by_its_last_layer_and_keeps_what_a_training_needs(deep, monkeypatch):
    import timm
    import torch

    seen, real = {}, frozen_features._compute

    def compute(network, store, preprocess, rows, missing, threads):
        squares = [preprocess.finish(image) for image in next(store.fetch([rows[missing]]))]
        seen.update(squares=np.stack(squares), network=network)
        return real(network, store, preprocess, rows, missing, threads)

    monkeypatch.setattr(frozen_features, "_compute", compute)
    samples = result_of(inspect_source(deep)).take(np.arange(2))
    embedder, unsplit = Embedder("tf_efficientnet_lite0.in1k"), make_split_of_nothing(samples)
    features = result_of(embed_samples(samples, unsplit, embedder, (0, 4095))).features
    body = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    own = seen["network"].tensors.items()
    body.load_state_dict({name[5:]: torch.from_numpy(value) for name, value in own if name.startswith("body.")})
    with torch.inference_mode():
        wanted = body(torch.from_numpy(seen["squares"]).permute(0, 3, 1, 2).float() / 127.5 - 1).numpy()
    assert features.shape == (2, 1280) and np.abs(features - wanted).max() < 1e-3 * np.abs(wanted).max()
    assert seen["network"].feature_size == 1752  # which the cache keeps


def test_weights_without_a_network_and_nothing_to_see_are_errors(photos, tmp_path, own_weights):
    with pytest.raises(SightlineError) as caught:
        sightline.check(photos, weights=str(own_weights), quiet=True)
    assert caught.value.code == "check.weights"
    for path in photos.rglob("*.*"):
        path.write_bytes(b"nothing")
    with pytest.raises(SightlineError) as caught:
        sightline.check(photos, embeddings="resnet18", weights=str(own_weights), quiet=True)
    assert caught.value.code == "check.no-images"


def test_settings_of_the_training_are_refused_by_check(photos):
    with pytest.raises(SightlineError) as caught:
        sightline.check(photos, epochs=3, quiet=True)
    assert caught.value.code == "check.setting"


def test_a_rule_for_groups_that_leaves_images_alone_is_said(photos):
    events = list(inspect_source(photos, DataChoices(group=r"(0)\.png"), compare=False))
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert (warning.code, "6 images" in warning.message) == ("data.without-group", True)


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_groups_of_a_list_of_fixes_win_over_a_rule_and_the_run_keeps_the_list(colours, tmp_path):
    fixes = tmp_path / "fixes.csv"
    fixes.write_text(
        "path,action,value\nred/000.png,group,twins\nred/019.png,group,twins\nred/001.png,exclude,\nred/001.png,group,g\n"
    )
    choices = DataChoices(group=r"(\d\d)\d\.png", fixes=str(fixes))
    samples = result_of(inspect_source(colours, choices, compare=False))
    groups = dict(zip(samples.paths, samples.groups, strict=True))
    assert groups["red/000.png"] == groups["red/019.png"] == "twins"
    assert groups["red/002.png"] == "00"
    assert "red/001.png" not in groups
    run = sightline.train(colours, out=tmp_path / "runs", epochs=1, fixes=str(fixes), quiet=True)
    assert (run.folder / "data" / "fixes.csv").read_text() == fixes.read_text()
    assert len(run.samples) == 119
