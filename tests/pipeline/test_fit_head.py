"""Training a head without torch's part in it: as good as the head stage of torch, cached, resumable, refused in words.

The environment of these tests has torch, so the engine is asked for; ``e2e/test_without_torch`` has none.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import sightline
from sightline import installation
from sightline.api import reviewing
from sightline.errors import InputError, MissingExtra, ModelError, RunError, WeightsError
from sightline.events import CheckpointSaved, Noted, Planned
from sightline.pipeline import engine
from sightline.pipeline.engine import choose_engine
from sightline.reading import frozen_features
from sightline.runs.folder import Run
from sightline.runs.measured import read_measured
from workers import make_once

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]

WITHOUT = {"engine": "onnxruntime", "size": 96, "threads": 1, "quiet": True}
LIKE_IT = {"epochs": 0, "model": "tf_efficientnet_lite0.in1k", "size": 96, "threads": 1, "quiet": True}


class Display:
    """Keeps events, and ends everything at one kind of them."""

    def __init__(self, dies_at: type | None = None) -> None:
        self.events, self.dies_at = [], dies_at

    def show(self, event) -> None:
        self.events.append(event)
        if self.dies_at and isinstance(event, self.dies_at):
            raise RuntimeError("killed")

    def close(self) -> None:
        pass


def write_textures(folder: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for label, width in enumerate((3, 7, 17)):
        (folder / "textures" / f"width {width}").mkdir(parents=True)
        for number in range(24):
            phase, colours = random.integers(0, 20), random.integers(0, 256, (2, 3))
            stripes = ((np.arange(90) + phase) // width % 2)[None, :, None]
            pixels = np.where(stripes, *colours) + random.normal(0, 25, (80, 90, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                folder / "textures" / f"width {width}" / f"{label}-{number}.png"
            )


@pytest.fixture(scope="session")
def textures(tmp_path_factory) -> Path:
    """Three classes of 24 photos, 90 x 80 px: stripes of three widths, in any colour, with noise."""
    return make_once(tmp_path_factory, "photos", write_textures) / "textures"


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    return make_once(tmp_path_factory, "features", lambda folder: None)


@pytest.fixture
def features(shared_cache, monkeypatch) -> Path:
    """A cache that these tests share: the features of the photos are computed once."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def run(textures, tmp_path, tmp_path_factory, features) -> Run:
    """A finished run of a head; a copy, to be changed at will."""
    made = make_once(tmp_path_factory, "head", lambda out: sightline.train(textures, out=out, name="head", **WITHOUT))
    return Run(shutil.copytree(made / "head", tmp_path / "runs" / "head"))


@pytest.fixture
def cut(textures, tmp_path, tmp_path_factory, features) -> Run:
    """A run of the same head that was killed when it had saved its state; a copy."""

    def kill(out: Path) -> None:
        with pytest.raises(RuntimeError, match="killed"):
            sightline.train(textures, out=out, name="cut", display=Display(CheckpointSaved), **WITHOUT)

    made = make_once(tmp_path_factory, "cut-head", kill)
    return Run(shutil.copytree(made / "cut", tmp_path / "runs" / "cut"))


@pytest.fixture
def small(textures, tmp_path, tmp_path_factory, features) -> Run:
    """A run of a small network that torch trained: its body is cut from its graph; a copy."""
    chosen = {"model": "small-resnet", "width": 8, "epochs": 1, "threads": 1, "quiet": True, "size": 32}
    made = make_once(tmp_path_factory, "small", lambda out: sightline.train(textures, out=out, name="small", **chosen))
    return Run(shutil.copytree(made / "small", tmp_path / "runs" / "small"))


def digest(run: Run) -> str:
    return hashlib.sha256(run.weights_file.read_bytes()).hexdigest()


def test_it_agrees_with_the_head_stage_of_torch(run, textures, tmp_path):
    """The same data, split and network; torch computes in fp32: decisions are equal, probabilities within rounding."""
    torchs = sightline.train(textures, out=tmp_path / "runs", name="torch", precision="fp32", **LIKE_IT)
    assert run.split_file.read_text() == torchs.split_file.read_text()
    ours, theirs = (np.load(each.probabilities_file) for each in (run, torchs))
    assert np.array_equal(ours.argmax(1), theirs.argmax(1)) and np.abs(ours - theirs).max() < 1e-3
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        assert run.history[name][0] == pytest.approx(torchs.history[name][0], abs=1e-4)
    scale, other = (load_file(each.weights_file)["feature_scale"] for each in (run, torchs))
    assert np.allclose(scale, other, rtol=1e-4) and scale[0]  # textures are told by earlier stages too
    assert ours.argmax(1).tolist() != [0] * len(ours) and run.metrics["accuracy"]["value"] > 0.6


def test_a_run_is_whole(run):
    assert run.status == "finished" and run.plan.settings.engine == "onnxruntime" and run.plan.settings.epochs == 0
    assert {path.name for path in run.classifier_folder.iterdir()} == {
        "model.onnx",
        "model.safetensors",
        "classifier.json",
        "classes.txt",
        "README.md",
    }
    assert run.facts["export"]["exporter"] == "compose" and run.facts["export"]["max_difference"] < 1e-4
    assert "torch" not in run.facts["versions"] and run.facts["weights"].startswith("tf_efficientnet_lite0.in1k")
    assert reviewing.verify(run, quiet=True).differences == ()
    assert run.report_file.is_file() and not run.checkpoints_folder.exists()


def test_torch_opens_what_ships_too(run):
    """For Grad-CAM, for further formats, for training on from it."""
    sightline.export(run, format="pt2", quiet=True)
    assert run.facts["export"]["formats"]["pt2"]["max_difference"] < 1e-3


def test_a_second_training_looks_at_no_image_again(run, textures, tmp_path, monkeypatch):
    def compute(*arguments):
        raise AssertionError("features were computed again")

    monkeypatch.setattr(frozen_features, "_compute", compute)
    again = sightline.train(textures, out=tmp_path / "runs", name="again", **WITHOUT)
    assert digest(again) == digest(run)


def test_new_images_alone_are_computed_and_those_that_were_tested(run, textures, tmp_path, monkeypatch):
    more = shutil.copytree(textures, tmp_path / "more")
    for number, file in enumerate(sorted((more / "width 3").iterdir())[:2]):
        from PIL import Image

        Image.open(file).rotate(7 + number).save(more / "width 3" / f"new-{number}.png")
    computed, real = [], frozen_features._compute
    names = sorted(path.relative_to(more).as_posix() for path in more.rglob("*.png"))

    def compute(network, store, preprocess, rows, missing, threads):
        computed.extend(sorted(names[row] for row in rows[missing]))
        return real(network, store, preprocess, rows, missing, threads)

    monkeypatch.setattr(frozen_features, "_compute", compute)
    tested = {file.relative_to(textures).as_posix() for file in map(Path, run.files("test"))}
    sightline.train(more, out=tmp_path / "runs", name="more", **WITHOUT)
    assert set(computed) <= {*tested, *(name for name in names if "new-" in name)}


def test_a_training_that_was_killed_goes_on_to_the_same_weights(run, cut, textures, tmp_path):
    assert cut.status == "interrupted"
    again = sightline.train(textures, out=tmp_path / "runs", name="cut", resume=True, quiet=True)
    assert again.status == "finished" and digest(again) == digest(run)


def test_the_head_of_a_killed_training_can_be_exported(run, cut):
    made = sightline.export(cut, quiet=True)
    assert digest(made) == digest(run)


def test_a_head_on_the_features_of_an_earlier_run(small, textures, tmp_path):
    """Of a network that torch trained too: its graph is its body."""
    chosen = {name: value for name, value in WITHOUT.items() if name != "size"}
    made = sightline.train(textures, out=tmp_path / "runs", name="on", weights=str(small.folder), **chosen)
    assert made.plan.settings.model == "small-resnet" and made.plan.settings.size == 32
    features = np.load(made.features_file)
    theirs = np.load(small.features_file)
    assert np.allclose(features, theirs, atol=2e-2 * np.abs(theirs).max()) and features.std() > 0
    assert made.facts["export"]["max_difference"] < 1e-4


def test_the_features_of_a_run_go_on_as_they_are_wherever_its_classifier_lies(run, textures, tmp_path):
    folder = shutil.copytree(run.classifier_folder, tmp_path / "moved")
    for weights in (run.folder, folder):
        display = Display()
        sightline.api.training.plan(textures, weights=str(weights), display=display, engine="onnxruntime")
        (rows,) = (event.rows for event in display.events if isinstance(event, Planned))
        assert next(row[1:3] for row in rows if row[0] == "features") == ("stages", "weights")


def test_folds_test_each_image_once(textures, tmp_path, features):
    together = sightline.cross_validate(textures, 2, out=tmp_path / "runs", name="folds", **WITHOUT)
    assert together.metrics["accuracy"]["n"] == 72 and len(together.parts) == 2
    units, own = read_measured(together).units, []
    for part in together.parts:  # stripes that look alike are one unit in their fold, and in no other
        found = read_measured(part).units
        own += [(part.folder.name, unit) for unit in (range(len(part.predictions)) if found is None else found)]
    assert units is not None and len(units) == len(own) == 72
    assert len(set(zip(units, own, strict=True))) == len(set(units)) == len(set(own)) < 72


def test_uneven_classes_weigh_the_same_in_the_fit(textures, tmp_path, features):
    few = shutil.copytree(textures, tmp_path / "few")
    for file in sorted((few / "width 7").iterdir())[8:]:
        file.unlink()
    plain, even = (
        sightline.train(few, out=tmp_path / "runs", name=imbalance, imbalance=imbalance, **WITHOUT)
        for imbalance in ("none", "class_weights")
    )
    rare = plain.facts["classes"].index("width 7")
    assert np.load(even.probabilities_file)[:, rare].mean() > np.load(plain.probabilities_file)[:, rare].mean()


def test_the_plan_says_what_torch_would_add_and_the_line(textures, monkeypatch, features):
    monkeypatch.setattr(engine, "missing_modules", lambda extra: ["torch", "timm"])
    display = Display()
    from sightline.api import training

    training.plan(textures, display=display, size=96)
    (planned,) = (event for event in display.events if isinstance(event, Planned))
    (row,) = (row for row in planned.rows if row[0] == "engine")
    assert row[1] == "onnxruntime" and "fine-tuning" in row[3] and "[train]" in row[3]


def test_small_images_are_said_to_be_better_off_with_torch(colours, features):
    from sightline.api import training

    plan = training.plan(colours, engine="onnxruntime", quiet=True)
    (model,) = (d for d in plan.decisions if d.name == "model")
    assert model.value == "tf_efficientnet_lite0.in1k" and plan.settings.size == 224
    assert "enlarged" in model.reason and "torch would train a better network" in model.reason


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"epochs": 2}, "epochs = 2"),
        ({"pretrained": False}, "pretrained = False"),
        ({"model": "resnet18"}, "--model resnet18"),
        ({"flip": 0.5}, "flip = 0.5"),
        ({"mixup": 0.2}, "mixup = 0.2"),
        ({"device": "cuda"}, "device = 'cuda'"),
        ({"patience": 1}, "patience = 1"),
    ],
)
def test_what_a_head_does_not_have_is_refused_before_data_are_read(chosen, said, tmp_path):
    with pytest.raises(InputError) as caught:
        sightline.train(tmp_path / "not there", engine="onnxruntime", **chosen)
    assert caught.value.code == "plan.needs-torch" and said in caught.value.message
    assert caught.value.cure.endswith("; or give --set engine=torch")


def test_processes_and_seeds_are_refused(tmp_path):
    with pytest.raises(InputError, match="--devices 2, but engine = onnxruntime"):
        sightline.train(tmp_path / "not there", devices=2, engine="onnxruntime")
    with pytest.raises(InputError, match="same with each seed"):
        sightline.repeat(tmp_path / "not there", 3, engine="onnxruntime")


def test_the_engine_follows_what_is_installed(monkeypatch):
    assert choose_engine({}, None)[0] == "torch"
    monkeypatch.setattr(engine, "missing_modules", lambda extra: ["torch"])
    name, reason = choose_engine({"epochs": 0, "seed": 3, "fit": "pad"}, None)
    assert name == "onnxruntime" and reason.startswith("torch is not installed")
    with pytest.raises(InputError, match="'onnx-runtime'"):
        choose_engine({"engine": "onnx-runtime"}, None)


def test_with_little_time_the_head_is_fitted_on_some_images(textures, tmp_path, monkeypatch):
    """The clock of the stage runs out after the first batch of training images; validation is always computed.

    Torch is installed, and left out as it would have no time.
    """
    from sightline.pipeline import fit_head, head_work
    from sightline.pipeline.torch_engine import TorchEngine

    monkeypatch.setattr(head_work, "may_have_gpu", lambda: False)
    monkeypatch.setattr(head_work, "why_head_alone", lambda *given: "too short for torch")
    monkeypatch.setattr(TorchEngine, "fit", None)
    monkeypatch.setattr(fit_head, "rehearse_finish", lambda *given: _nothing())
    monkeypatch.setattr(fit_head, "_refuse_too_short", lambda *given: None)
    real = fit_head.FrozenTrained.extract

    def extract(self, workbench, rows, total, done, until=float("inf")):
        return real(self, workbench, rows, total, done, 0.0 if until != float("inf") else until)

    monkeypatch.setattr(fit_head.FrozenTrained, "extract", extract)
    display = Display()
    made = sightline.train(textures, out=tmp_path, name="short", time=900, display=display, size=96, threads=1)
    (noted,) = (e.message for e in display.events if isinstance(e, Noted) and "to keep the time limit" in e.message)
    assert "of 50 training images" in noted and made.status == "finished"
    engine = next(made for made in made.plan.decisions if made.name == "engine")
    assert (engine.value, engine.origin, engine.reason) == ("onnxruntime", "time", "too short for torch")
    assert "torch" not in made.facts["versions"] and "no time for torch" in made.report_file.read_text()
    assert json.loads((made.folder / "run.json").read_text())["best_epoch"] == 0


def _nothing():
    """Yield no event, and take no time."""
    return 0.0
    yield


def test_features_that_are_known_need_no_time(run, textures, tmp_path, monkeypatch):
    """An image takes 20 s here: too long for a single one in the second that is left, and none must be computed."""
    from sightline.pipeline import fit_head, head_work
    from sightline.pipeline.frozen_engine import FrozenEngine
    from sightline.planning.budget import Costs

    def rehearse(run, plan, workbench, trained):
        now = time.monotonic()
        return job_ends - now - 1.0
        yield

    job_ends = time.monotonic() + 90_000
    monkeypatch.setattr(FrozenEngine, "measure", lambda self, *more: Costs(0.0, 20.0, 20.0, 0.1, (96,)))
    monkeypatch.setattr(fit_head, "rehearse_finish", rehearse)
    monkeypatch.setattr(head_work, "time_drawing", lambda: 0.6)
    made = sightline.train(textures, out=tmp_path / "runs", name="known", time=90_000, **WITHOUT)
    assert made.status == "finished"


@pytest.mark.parametrize("chosen", [{"size": 96}, {"mean": (0.1, 0.1, 0.1)}, {"std": (0.3, 0.3, 0.3)}])
def test_what_a_graph_was_made_for_can_not_be_changed(small, tmp_path, chosen):
    with pytest.raises(InputError, match="is used as it is") as caught:
        sightline.train(tmp_path / "not there", weights=str(small.folder), engine="onnxruntime", **chosen)
    assert caught.value.code == "plan.needs-torch"


def test_a_run_without_its_graph_is_refused_before_data_are_read(small, tmp_path):
    small.model_file.write_bytes(b"nothing")
    with pytest.raises(RunError, match="is not what the run recorded"):
        sightline.train(tmp_path / "not there", weights=str(small.folder), engine="onnxruntime")
    small.facts_file.write_text(json.dumps({**small.facts, "files": None}))
    with pytest.raises(ModelError, match="can't be opened"):
        sightline.train(tmp_path / "not there", weights=str(small.folder), engine="onnxruntime")
    small.model_file.unlink()
    with pytest.raises(ModelError, match="can't be taken from"):
        sightline.train(tmp_path / "not there", weights=str(small.folder), engine="onnxruntime")


@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_b0", "tf_efficientnet_lite1"])
def test_weights_of_another_network_are_refused_before_data_are_read(name, tmp_path):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model(name).state_dict(), tmp_path / "other.safetensors")
    file = str(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="differ by name or shape"):
        sightline.train(tmp_path / "not there", weights=file, engine="onnxruntime")
    with pytest.raises(InputError, match="--model mobilenetv2_100"):
        sightline.train(tmp_path / "not there", model="mobilenetv2_100", weights=file, engine="onnxruntime")


def test_a_run_that_started_from_a_classifier_folder_is_resumed(run, textures, tmp_path):
    folder = shutil.copytree(run.classifier_folder, tmp_path / "moved")
    with pytest.raises(RuntimeError, match="killed"):
        sightline.train(
            textures,
            out=tmp_path / "runs",
            name="cut",
            weights=str(folder),
            display=Display(CheckpointSaved),
            **WITHOUT,
        )
    assert sightline.train(textures, out=tmp_path / "runs", name="cut", resume=True, quiet=True).status == "finished"


def test_the_plan_of_a_head_is_a_recipe_for_torch_too(run):
    recipe = sightline.Recipe.from_toml(run.plan_file)
    assert not {"epochs", "freeze_body", "head_first", "precision"} & recipe.chosen.keys()


def test_torch_without_what_belongs_to_it_is_no_training_without_torch(monkeypatch):
    for where in (engine, installation):
        monkeypatch.setattr(where, "missing_modules", lambda extra: ["onnxscript"] if extra == "train" else [])
    with pytest.raises(MissingExtra, match="onnxscript"):
        choose_engine({}, None)
    assert choose_engine({"engine": "onnxruntime"}, None)[0] == "onnxruntime"


def test_a_mistyped_name_of_the_carried_network_is_understood(tmp_path):
    with pytest.raises(InputError) as caught:
        sightline.train(tmp_path / "not there", model="tf_eficientnet_lite0", engine="onnxruntime")
    assert "did you mean 'tf_efficientnet_lite0.in1k'?" in caught.value.cure
