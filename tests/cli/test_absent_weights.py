"""What was asked for by name and can't be had is refused before data are read and before torch is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from answering_hub import BAD_DAYS, REPOSITORY, answering_hub

NAME = REPOSITORY.partition("/")[2]
NOWHERE = "no-such-folder"  # whoever reads data first says data.missing

# Every command that reads data for a network: how it is told which one.
COMMANDS = {
    "train": ["train", NOWHERE, "--model", "NETWORK"],
    "plan": ["train", NOWHERE, "--model", "NETWORK", "--plan"],
    "folds": ["train", NOWHERE, "--model", "NETWORK", "--folds", "3"],
    "seeds": ["train", NOWHERE, "--model", "NETWORK", "--seeds", "2"],
    "preview": ["preview", NOWHERE, "--set", "model=NETWORK"],
    "check": ["check", NOWHERE, "--embeddings", "NETWORK"],
}


def words_of(command, network):
    return [word.replace("NETWORK", network) for word in COMMANDS[command]]


@pytest.fixture
def files(here):
    """Weights files that can't be used, and one that can: name -> the code of the error."""
    torch.save({"a": torch.zeros(1)}, here / "net.pth")
    (here / "text.safetensors").write_text("not at all weights")
    save_file({"a": np.zeros(1000, np.float32)}, here / "whole.safetensors")
    (here / "cut.safetensors").write_bytes((here / "whole.safetensors").read_bytes()[:-100])
    return here


def refused(result, code, *words):
    status, out, err = result
    assert status == 2 and out == "" and f"error[{code}]" in err, err
    assert "Reading" not in err and "Planning" not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_name_and_a_wrong_tag(sightline, here, hub, command):
    refused(sightline(*words_of(command, "resnet81")), "model.unknown-name", "resnet18")
    refused(sightline(*words_of(command, "resnet18.nobody")), "model.unknown-tag", "resnet18.tv_in1k")


@pytest.mark.parametrize("command", COMMANDS)
def test_weights_that_are_neither_here_nor_to_be_had(sightline, here, hub, command):
    said = sightline(*words_of(command, "resnet18"))
    refused(said, "weights.unavailable", "resnet18", "tf_efficientnet_lite0.in1k needs no download", "--no-pretrained")


@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_hub_that_gives_nothing(sightline, here, connect_hub, day):
    with answering_hub(day) as hub:
        connect_hub(hub.endpoint)
        refused(sightline("train", NOWHERE, "--model", NAME), "weights.unavailable", NAME)


def test_what_a_recipe_names_is_asked_for_by_name(sightline, here, hub):
    (here / "mine.toml").write_text('model = "resnet18"\n')
    refused(sightline("train", NOWHERE, "--recipe", "mine.toml"), "weights.unavailable", "resnet18")


@pytest.mark.parametrize("more", [[], ["--plan"], ["--seeds", "2"]])
@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("gone.safetensors", "weights.missing"),
        ("runs/gone", "weights.missing"),
        ("latest", "run.no-latest"),
        ("net.pth", "weights.pickle"),
        ("text.safetensors", "weights.not-safetensors"),
        ("cut.safetensors", "weights.damaged"),
    ],
)
def test_weights_of_ones_own_that_cannot_be_used(sightline, files, hub, file, code, more):
    refused(sightline("train", NOWHERE, "--model", "resnet18", "--weights", file, *more), code)


@pytest.mark.parametrize(
    "choice",
    [
        ["--model", "resnet18", "--no-pretrained"],
        ["--model", "resnet18", "--weights", "whole.safetensors"],
        ["--model", "tf_efficientnet_lite0.in1k"],
        ["--model", "small-fast"],
        [],
    ],
)
def test_what_needs_no_hub_is_not_refused(sightline, files, hub, choice):
    status, _, err = sightline("train", NOWHERE, *choice)
    assert status == 2 and "error[data.missing]" in err


def test_what_the_hub_has_is_not_refused(sightline, here, connect_hub):
    with answering_hub("good", b"some bytes") as hub:
        connect_hub(hub.endpoint)
        status, _, err = sightline("train", NOWHERE, "--model", NAME)
        assert status == 2 and "error[data.missing]" in err
        assert hub.count("GET /api/models/") == 1


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("command", "network", "code"),
    [
        ("train", "resnet81", "model.unknown-name"),
        ("plan", "resnet18.nobody", "model.unknown-tag"),
        ("folds", "resnet18", "weights.unavailable"),
        ("preview", "resnet18", "weights.unavailable"),
        ("check", "resnet18", "weights.unavailable"),
    ],
)
def test_a_fresh_process_has_not_loaded_torch_or_timm_by_then(here, command, network, code):
    script = (
        "import sys; from sightline.cli import main\ntry: main()\n"
        "except SystemExit as end: print('END', end.code, sorted({'torch', 'timm', 'sklearn'} & set(sys.modules)))"
    )
    with answering_hub("broken") as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(here / "hub"), "HF_HUB_OFFLINE": "0"}
        words = [sys.executable, "-c", script, *words_of(command, network)]
        result = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert "END 2 []" in result.stdout and f"error[{code}]" in result.stderr, result.stderr
