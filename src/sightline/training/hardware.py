"""The device that this machine can train on, and why a better one can't be used."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from sightline.errors import DeviceError
from sightline.installation import gpu_driver
from sightline.machine import cpu_name, usable_threads
from sightline.planning.facts import Hardware

__all__ = ["count_devices", "probe_hardware"]


def probe_hardware(device: str | None = None) -> Hardware:
    """Choose the device: the one asked for, or CUDA, or MPS, or the CPU.

    Where CUDA exists but does not work, its cause is reported and the CPU is used.

    Args:
        device: ``cpu``, ``mps``, ``cuda``, ``cuda:N``, or None for the best there is.

    Raises:
        DeviceError: if a device was asked for that this machine does not have.
    """
    threads = usable_threads()
    wanted = (device or "").split(":")[0]
    cpu = Hardware("cpu", cpu_name(), threads, "no GPU on this machine", has_bf16=_cpu_has_bf16())
    if wanted == "cpu":
        return replace(cpu, reason="chosen by you")
    if wanted in ("", "cuda"):
        usable, cause = _try_cuda(device or "cuda")
        if usable:
            name, reason = torch.cuda.get_device_name(usable), "an NVIDIA GPU is available"
            has_bf16 = torch.cuda.get_device_capability(usable) >= (8, 0)
            return Hardware(usable, name, threads, "chosen by you" if device else reason, has_bf16=has_bf16)
        if cause:
            return replace(cpu, reason="CUDA does not work, so the CPU is used", warning=cause)
    if wanted in ("", "mps") and torch.backends.mps.is_available():
        return Hardware("mps", "Apple GPU", threads, "chosen by you" if device else "an Apple GPU is available")
    if wanted:
        raise DeviceError(
            "device.missing",
            f"this machine has no device {device!r}",
            "leave out --device, or use --device cpu",
        )
    return cpu


def count_devices(device: str) -> int:
    """Return how many devices of this kind can train together: the GPUs from this one on; else 1.

    Example:
        >>> count_devices("cpu")
        1
    """
    kind, _, index = device.partition(":")
    return torch.cuda.device_count() - int(index or 0) if kind == "cuda" else 1


def _try_cuda(device: str) -> tuple[str, str]:
    """Return (usable device, cause of failure): both empty when there is no GPU at all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            available = torch.cuda.is_available()
            if available and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
                return "", ""
            if available:
                name = device if ":" in device else "cuda:0"
                torch.zeros(8, device=name).sum().item()
                return name, ""
        except Exception as error:  # a driver, a library or a card can fail in any way
            return "", f"CUDA does not work: {type(error).__name__}: {str(error).splitlines()[0]}"
    driver = gpu_driver()
    if driver is None:
        return "", ""
    if torch.version.cuda is None:
        return "", f"an NVIDIA driver is installed ({driver}), but torch is a CPU build"
    reason = str(caught[0].message).splitlines()[0] if caught else "no usable device"
    return "", f"an NVIDIA driver is installed ({driver}), but torch can't use it: {reason}"


def _cpu_has_bf16() -> bool:
    """Tell whether the CPU has bf16 instructions; without them torch emulates it, several times slower."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
