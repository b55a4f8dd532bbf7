"""Devices: the one asked for, the best there is, and a broken CUDA named with its cause."""

from __future__ import annotations

import warnings

import pytest
import torch

from sightline.errors import DeviceError
from sightline.training import hardware
from sightline.training.hardware import probe_hardware


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(hardware, "gpu_driver", lambda: None)


def test_without_a_gpu_the_cpu_is_used(no_gpu):
    found = probe_hardware()
    assert (found.device, found.warning) == ("cpu", "")
    assert found.threads >= 1 and found.name


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_with_the_cure(no_gpu, device):
    with pytest.raises(DeviceError) as caught:
        probe_hardware(device)
    assert device in caught.value.message and "--device cpu" in caught.value.cure


@pytest.mark.parametrize("asked", [None, "cuda"])
def test_a_cuda_that_fails_is_named_with_its_cause_and_the_cpu_is_used(monkeypatch, asked):
    def fail(*arguments, **more):
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "zeros", fail)
    found = probe_hardware(asked)
    assert found.device == "cpu"
    assert "no kernel image" in found.warning


def test_a_driver_that_torch_cannot_use_is_named_with_what_torch_says(monkeypatch):
    def unavailable() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", unavailable)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(hardware, "gpu_driver", lambda: "/usr/bin/nvidia-smi")
    found = probe_hardware()
    assert found.device == "cpu"
    assert "too old" in found.warning


def test_a_gpu_of_another_number_is_missing_and_not_broken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="cuda:7"):
        probe_hardware("cuda:7")


def test_the_cpu_can_be_chosen_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert probe_hardware("cpu").device == "cpu"
