"""The whole way in an environment that has no torch: the wheel with ``[light]``, through its commands, no network."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from installed import Said, clean_environment, drive, program, sightline
from workers import make_once

pytestmark = pytest.mark.e2e

COLOURS = {"amber": (210, 150, 40), "moss": (80, 130, 60), "slate": (90, 100, 140)}
COUNT = 18  # images of a class


def write_photos(root: Path, side: int, *, count: int = COUNT) -> None:
    """Write noisy images of one colour each, with a mark somewhere."""
    random = np.random.default_rng(side)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.array(colour) + random.integers(-60, 60, (side, side, 3))
            top, left = random.integers(0, side // 2, 2)
            pixels[top : top + side // 4, left : left + side // 4] = random.integers(0, 255, 3)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{number:02d}.png")


@pytest.fixture(scope="module")
def desk(tmp_path_factory, without_torch) -> Path:
    """A folder with ``photos/``, ``small/`` and ``runs/first``, which the command trained; not to be changed."""

    def fill(folder: Path) -> None:
        write_photos(folder / "photos", 96)
        write_photos(folder / "small", 28, count=12)
        said = sightline(without_torch, "train", "photos", "--name", "first", cwd=folder)
        (folder / "first.json").write_text(json.dumps([said.code, said.out, said.err]))

    return make_once(tmp_path_factory, "desk", fill)


@pytest.fixture
def own_desk(desk, tmp_path) -> Path:
    """A copy of the desk, with its caches."""
    return shutil.copytree(desk, tmp_path / "desk")


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def learnt(run: Path) -> set[str]:
    """Return the images whose features a training needed: those of training and validation."""
    return {row["path"] for row in table(run, "data/split.csv") if row["split"] in ("train", "val")}


def refused(said: Said, code: str, *words: str) -> None:
    """See that a command was refused in two lines, before data were read."""
    assert said.code == 2, said
    problem, cure = said.err.strip().splitlines()[-2:]
    assert problem.startswith(f"error[{code}]: ") and all(word in problem for word in words), said.err
    assert cure.startswith("  cure: ") and '-m pip install "sightline[train]"' in cure, said.err
    assert "Reading:" not in said.err and not said.out


def test_torch_is_not_there(without_torch):
    script = "import sightline, sklearn, onnx; print(sightline.__file__); import torch"
    command = [str(program(without_torch, "python")), "-c", script]
    said = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    assert said.stdout.startswith(str(without_torch))
    assert said.stderr.strip().endswith("ModuleNotFoundError: No module named 'torch'")


def test_a_training_writes_the_whole_run(desk):
    code, out, err = json.loads((desk / "first.json").read_text())
    assert code == 0, err
    run = desk / "runs" / "first"
    assert "torch is not installed; it would add fine-tuning" in err and 'pip install "sightline[train]"' in err
    assert "error[bug]" not in err and "Test accuracy" in out
    names = ["report.html", "data/split.csv", "plan.toml", "evaluation/metrics.json", "figures/confusion.png"]
    assert all((run / name).is_file() for name in names)
    assert not (run / "figures" / "curves.png").exists()  # there are no epochs
    card = (run / "classifier" / "README.md").read_text(encoding="utf-8")
    assert "the head alone, a logistic regression" in card
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "What would torch add?" in report and "Best epoch" not in report and "chose the epoch" not in report
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "finished" and "torch" not in facts["versions"]
    assert "same decisions as the network" in err


def test_one_file_ships_with_its_bundle(desk, without_torch):
    script = (
        "import onnx; m = onnx.load('runs/first/classifier/model.onnx'); "
        "print(sorted(p.key for p in m.metadata_props), [o.name for o in m.graph.output])"
    )
    command = [str(program(without_torch, "python")), "-c", script]
    said = subprocess.run(command, cwd=desk, env=clean_environment(desk), capture_output=True, text=True)
    assert "sightline" in said.stdout and "'probabilities', 'features', 'novelty'" in said.stdout, said


def test_a_finished_run_is_used_as_ever(own_desk, without_torch):
    photo = "photos/amber/00.png"
    words = (
        f"predict runs/first {photo} --max-novelty 9999 --json",
        "evaluate runs/first photos --json",
        f"explain runs/first {photo} --out why --json",
        "check photos --embeddings runs/first",
        "export runs/first",
        "shrink runs/first --only int8 --max-loss 100",
        "runs --json",
        "models --json",
        "doctor",
    )
    verified = sightline(without_torch, "verify", "runs/first", cwd=own_desk)
    assert verified.code == 0, verified
    predicted, evaluated, explained, checked, *others = drive(without_torch, words, cwd=own_desk)
    assert json.loads(predicted.out)["predictions"][0]["label"] == "amber"
    assert evaluated.code in (0, 3) and json.loads(evaluated.out)["accuracy"]["value"] > 0.8
    assert json.loads(explained.out)["explanations"][0]["methods"] == ["occlusion"]
    assert "by occlusion alone" in explained.err.lower() and (own_desk / "why" / "00.png").is_file()
    assert checked.code == 0, checked.err
    exported, smaller, listed, networks, doctor = others
    assert exported.code == 0 and "same decisions as the network" in exported.err, exported
    assert smaller.code == 0 and "Chosen: int8" in smaller.out, smaller
    assert (own_desk / "runs/first/versions/int8/classifier/model.onnx").stat().st_size < 5_000_000
    assert [run["name"] for run in json.loads(listed.out)["runs"]] == ["first"]
    assert "tf_efficientnet_lite0.in1k" in networks.out
    assert doctor.code == 0 and "[train]      not installed" in doctor.out, doctor


def test_features_are_computed_once(own_desk, without_torch):
    again = (
        "train photos --recipe runs/first/plan.toml --set split_seed=5 --name again --require accuracy>=0.999 --json"
    )
    words = (again, "train photos --name same", "check photos --embeddings tf_efficientnet_lite0.in1k")
    trained, same, checked = drive(without_torch, words, cwd=own_desk)
    first, other = learnt(own_desk / "runs" / "first"), learnt(own_desk / "runs" / "again")
    assert other - first and trained.computed == len(other - first)  # another split: those alone that are new
    assert same.code == 0 and same.computed == 0
    assert (own_desk / "runs/same/evaluation/predictions.csv").read_text() == (
        own_desk / "runs/first/evaluation/predictions.csv"
    ).read_text()
    assert checked.code == 0 and checked.computed == COUNT * len(COLOURS) - len(first | other)
    # The same command as a gate: so few images can't show 99.9 %.
    answer = json.loads(trained.out)
    assert trained.code == 5 and answer["status"] == "finished" and answer["metrics"]["part"] == "test"


def test_further_ways_of_training(own_desk, without_torch):
    words = (
        "train small --name small --size 96",
        "train photos --weights runs/first --name further",
        "train photos --folds 2 --name folds --size 96",
        "compare runs/first runs/further",
        "train photos --plan",
    )
    small, further, folds, compared, planned = drive(without_torch, words, cwd=own_desk)
    assert small.code == 0 and small.computed == len(learnt(own_desk / "runs" / "small"))
    assert "images of 28 px are enlarged for it, and torch would train a better network for them" in small.err
    assert further.code == 0, further.err
    facts = json.loads((own_desk / "runs/further/run.json").read_text())
    assert facts["weights"].startswith("run first (started from: tf_efficientnet_lite0.in1k")
    assert folds.code == 0, folds.err
    metrics = json.loads((own_desk / "runs/folds/evaluation/metrics.json").read_text())
    assert metrics["accuracy"]["n"] == COUNT * len(COLOURS)
    assert compared.code == 0 and "difference" in compared.out, compared
    assert planned.code == 0, planned.err
    text = planned.out + planned.err
    assert "it would add fine-tuning, other networks, augmentation and GPUs" in text
    assert 'pip install "sightline[train]"' in text and "not used by this training: " in text


def test_a_killed_training_is_resumed_to_the_same_answers(desk, without_torch, tmp_path):
    shutil.copytree(desk / "photos", tmp_path / "photos")
    command = [str(program(without_torch, "sightline")), "train", "photos", "--name", "first"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Training: "):
            process.kill()
            break
    process.stderr.close()
    assert process.wait() not in (0, 2)
    run = tmp_path / "runs" / "first"
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    said = sightline(without_torch, "train", "photos", "--resume", cwd=tmp_path)
    assert said.code == 0, said.err
    ours, theirs = (table(folder / "runs" / "first", "evaluation/predictions.csv") for folder in (tmp_path, desk))
    assert ours == theirs


NEEDS_TORCH = {
    "train photos --model resnet18": ("plan.needs-torch", "resnet18"),
    "train photos --epochs 3": ("plan.needs-torch", "epochs = 3"),
    "train photos --no-pretrained": ("plan.needs-torch", "pretrained = False"),
    "train photos --device cuda": ("plan.needs-torch", "device = 'cuda'"),
    "train photos --devices 2": ("plan.needs-torch", "--devices 2"),
    "train photos --set flip=0.5": ("plan.needs-torch", "flip = 0.5"),
    "train photos --recipe convnext-tiny-finetune": ("plan.needs-torch", "torch is not installed"),
    "train photos --seeds 2": ("plan.needs-torch", "--seeds 2"),
    "train photos --set engine=torch": ("install.missing-extra", "[train]", "torch"),
    "train photos --plan --epochs 3": ("plan.needs-torch", "epochs = 3"),
    "train photos --folds 2 --epochs 3": ("plan.needs-torch", "epochs = 3"),
    "preview photos": ("install.missing-extra", "a preview", "torch"),
    "export runs/first --format pt2": ("install.missing-extra", "pt2", "torch"),
    "models resnet": ("install.missing-extra", "timm's networks", "torch"),
    "explain runs/first photos/amber/00.png --method gradcam": ("install.missing-extra", "Grad-CAM", "torch"),
    "check photos --embeddings resnet18": ("install.missing-extra", "resnet18", "torch"),
}


def test_what_needs_torch_says_so_with_the_line_that_installs_it(desk, without_torch, tmp_path):
    shutil.copytree(desk / "runs", tmp_path / "runs")
    shutil.copytree(desk / "photos", tmp_path / "photos")
    before = sorted(tmp_path.rglob("*"))
    for command, said in zip(NEEDS_TORCH, drive(without_torch, list(NEEDS_TORCH), cwd=tmp_path), strict=True):
        code, *words = NEEDS_TORCH[command]
        refused(said, code, *words)
    assert [path for path in sorted(tmp_path.rglob("*")) if "runs" in path.parts and path not in before] == []


def test_a_refusal_through_the_command_itself(desk, without_torch):
    said = sightline(without_torch, "train", "photos", "--model", "resnet18", cwd=desk)
    refused(said, "plan.needs-torch", "resnet18")
    as_json = sightline(without_torch, "train", "photos", "--epochs", "3", "--json", cwd=desk)
    error = json.loads(as_json.out)["error"]
    assert as_json.code == 2 and error["code"] == "plan.needs-torch" and "sightline[train]" in error["cure"]
