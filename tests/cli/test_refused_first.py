"""What will stop a training is found before data are read, by ``--plan`` as well."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from sightline.errors import WeightsError

NOWHERE = "no-such-folder"  # whoever reads data first says data.missing


@pytest.mark.parametrize("more", [[], ["--plan"], ["--seeds", "2"]], ids=["train", "plan", "seeds"])
@pytest.mark.parametrize(
    ("choice", "code", "words"),
    [
        ("--out afile", "run.write", "afile is not a folder"),
        ("--out afile/runs", "run.write", "afile is not a folder"),
        ("--epochs 0 --no-pretrained", "plan.conflict", "--epochs 1 or more"),
        ("--epochs 0 --set head_first=false", "plan.conflict", "leaves nothing to train"),
        ("--epochs 0 --model small-cnn", "plan.conflict", "leaves nothing to train"),
        ("--weights whole.safetensors --no-pretrained", "plan.conflict", "pretrained is false"),
        ("--weights whole.safetensors --model small-cnn", "weights.not-for-small", "is not from a run"),
        ("--val 0.6 --test 0.5", "split.share", "leave no images"),
        ("--set freeze_body=true --set unfreeze_every=2", "plan.conflict", "leave out one of them"),
        ("--set precision=fp16 --device cpu", "plan.conflict", "precision=fp32"),
        ("--size 5", "plan.bad-value", "give at least 8 and at most"),
        ("--lr 0", "plan.bad-value", "give more than 0"),
    ],
)
def test_before_data_are_read(sightline, here, choice, code, words, more):
    (here / "afile").write_text("x")
    save_file({"a": np.zeros(9, np.float32)}, here / "whole.safetensors")
    status, out, err = sightline("train", NOWHERE, *choice.split(), *more)
    assert status == 2 and out == "" and f"error[{code}]" in err and words in err, err
    assert "Reading" not in err
    assert {path.name for path in here.iterdir()} == {"afile", "whole.safetensors"}


@pytest.mark.parametrize("choice", ["--epochs 0", "--val 0.3 --test 0.3", "--set early_sizes=[64]", "--out new/runs"])
def test_what_may_be_right_is_not_refused_yet(sightline, here, choice):
    status, _, err = sightline("train", NOWHERE, *choice.split())
    assert status == 2 and "error[data.missing]" in err


@pytest.mark.parametrize("more", [[], ["--plan"]], ids=["train", "plan"])
def test_weights_of_another_network_are_refused_before_the_plan_in_plain_words(sightline, here, colours, more):
    from sightline.networks.carried import carried_file

    words = ["--model", "test_resnet", "--weights", str(carried_file()), "--size", "64", *more]
    status, out, err = sightline("train", str(colours), *words)
    assert status == 2 and out == "" and "error[weights.mismatch]" in err
    assert "tensors are missing, such as conv1.0.weight" in err and "state_dict" not in err
    assert "will take about" not in err and not (here / "runs").exists()


def test_a_damaged_package_is_told_before_torch_is_loaded(sightline, here, write_image, monkeypatch):
    """The default network's file is looked at as soon as the images are known to be photos."""
    from sightline.pipeline import decide

    def damaged() -> None:
        raise WeightsError("weights.carried", "the file is missing", "install Sightline again")

    monkeypatch.setattr(decide, "carried_file", damaged)
    for number in range(12):
        write_image(here / "photos" / "ab"[number % 2] / f"{number}.png", seed=number, size=(90, 80))
    status, _, err = sightline("train", "photos", "--plan")
    assert status == 2 and "error[weights.carried]" in err and "loading torch" not in err
