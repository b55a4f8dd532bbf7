"""The network that the package carries: the file is whole, and timm's network takes all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from sightline.errors import InputError, WeightsError
from sightline.networks import carried
from sightline.networks.build import build_network
from sightline.networks.describe import describe_network
from sightline.networks.weights import StartWeights, download_weights, find_cached, find_weights, refuse_unavailable
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe

PRETRAINED = Path(carried.__file__).with_name("pretrained")


def test_timms_network_takes_every_tensor_and_lacks_none():
    import timm
    import torch

    network = timm.create_model(CARRIED.name.split(".")[0], num_classes=0)
    network.load_state_dict(
        {name: torch.from_numpy(value) for name, value in load_file(carried.carried_file()).items()}
    )


def test_its_facts_are_those_of_timm():
    import timm

    config = timm.get_pretrained_cfg(CARRIED.name)
    assert (CARRIED.mean, CARRIED.std) == (config.mean, config.std)
    assert (CARRIED.size, CARRIED.resize) == (config.input_size[-1], config.input_size[-1] / config.crop_pct)
    assert (CARRIED.interpolation, CARRIED.licence) == (config.interpolation, config.license)


def test_its_origin_licence_and_sha256_lie_beside_it():
    text = (PRETRAINED / "ORIGIN.md").read_text()
    assert carried.SHA256 in text and "Apache-2.0" in text


def test_a_damaged_installation_is_told(tmp_path, monkeypatch):
    folder = shutil.copytree(PRETRAINED, tmp_path / "pretrained")
    monkeypatch.setattr(carried, "__file__", str(tmp_path / "carried.py"))
    assert carried.carried_file().is_file()
    file = folder / f"{CARRIED.name}.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="not as it was shipped"):
        carried.carried_file()
    file.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        carried.carried_file()


def test_it_is_described_and_found_without_timm_or_the_hubs_library():
    code = (
        "import sys; from sightline.networks import describe, weights\n"
        "for name in ('tf_efficientnet_lite0', 'tf_efficientnet_lite0.in1k'):\n"
        "    describe.refuse_unknown(name); weights.refuse_unavailable(name)\n"
        "    facts = describe.describe_network(name); found = weights.find_weights(facts, '')\n"
        "    print(facts.name, weights.download_weights(facts, found) == weights.find_cached(facts))\n"
        "print(sorted({'timm', 'torch', 'huggingface_hub'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"{CARRIED.name} True"] * 2 + ["[]"]


def test_its_source_and_licence_are_named():
    found = find_weights(CARRIED, "")
    assert (found.source, found.licence) == ("tf_efficientnet_lite0.in1k, carried by Sightline", "apache-2.0")


def test_a_tag_that_it_does_not_have_is_not_the_carried_one(hub):
    with pytest.raises(InputError) as caught:
        describe_network("tf_efficientnet_lite0.nobody")
    assert caught.value.code == "model.unknown-tag" and CARRIED.name in caught.value.cure


def settings(**chosen):
    data = DataFacts(("ant", "bee"), {"train": 100, "val": 20, "test": 20}, 300, 1.0)
    options = Recipe(model=CARRIED.name, **chosen)
    return make_plan(Recipe(), options, data, Hardware("cpu", "x", 2, "x"), CARRIED).settings


def test_the_network_that_is_built_has_the_carried_weights_in_full_precision():
    import torch

    path = find_cached(CARRIED)
    assert path is not None
    network = build_network(settings(), 2, StartWeights(path)).eval()
    state, stored = network.body.state_dict(), load_file(path)
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[name], torch.from_numpy(value).to(state[name])) for name, value in stored.items())
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
    assert network.features(torch.rand(2, 3, 224, 224)).shape == (2, 40 + 112 + 320 + 1280)


def test_a_file_of_ones_own_is_taken_instead(tmp_path):
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    path, own = tmp_path / "own.safetensors", timm.create_model("tf_efficientnet_lite0", num_classes=5).state_dict()
    save_file(own, path)
    found = find_weights(CARRIED, str(path))
    assert found.path == path and "own.safetensors" in found.source
    plan = settings(weights=str(path))
    assert plan.model == "tf_efficientnet_lite0"  # whose weights those are is not known
    body = build_network(plan, 2, StartWeights(download_weights(CARRIED, found))).body
    assert all(torch.equal(tensor, own[name]) for name, tensor in body.state_dict().items())


def test_it_is_never_looked_for_on_the_hub(hub, monkeypatch):
    monkeypatch.setattr("sightline.networks.weights.ask_hub", None)
    monkeypatch.setattr("sightline.networks.weights.find_in_cache", None)
    refuse_unavailable("tf_efficientnet_lite0")
    assert find_weights(CARRIED, "").path == find_cached(CARRIED) == carried.carried_file()
