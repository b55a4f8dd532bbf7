"""The network that the package carries: the file is whole, and timm's network takes all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from sightline.errors import WeightsError
from sightline.networks import carried
from sightline.planning.carried_network import CARRIED

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
