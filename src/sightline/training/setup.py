"""From a plan to a network on its device, or from the weights of a run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from sightline.errors import RunError
from sightline.networks.build import build_network
from sightline.networks.network import Network
from sightline.networks.small_fast import SmallFast, whiten_first_layer
from sightline.networks.weights import StartWeights
from sightline.pixels.cache import PixelStore
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.runs.safe_files import recover_folder
from sightline.text import one_line
from sightline.training.batches import Batches, keep_on_device
from sightline.training.checkpoint import load_checkpoint

__all__ = [
    "load_shipped",
    "load_trained",
    "make_batches",
    "on_device",
    "set_up_network",
    "versions",
    "whiten_network",
]

_WHITENED_BY = 2_000  # images up to 64 px for the whitening of the first layer; of larger ones as many pixels


def set_up_network(settings: Settings, classes: int, weights: StartWeights | None) -> Network:
    """Build the planned network on the planned device, with the planned threads and seed."""
    torch.set_num_threads(settings.threads)
    network = build_network(settings, classes, weights).to(torch.device(settings.device))
    # Measured: channels-last makes a CPU training step 1.38 times faster, and convolutions on a GPU too.
    return network.to(memory_format=torch.channels_last)


def on_device(network: Network, settings: Settings) -> Network:
    """Return a network on the planned device, or on the CPU where this machine lacks that device."""
    torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    is_there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.get(device.type, True)
    return network.to(device if is_there else torch.device("cpu")).to(memory_format=torch.channels_last)


def whiten_network(network: Network, train: Batches, seed: int) -> None:
    """Initialise a whitening first layer, if the network has one, from some training images."""
    if isinstance(network.body, SmallFast):
        count = max(1, round(_WHITENED_BY * min(1.0, (64 / train.preprocess.size) ** 2)))
        some = next(train.shuffled(count, seed, 0)).images
        whiten_first_layer(network.body, (some - network.mean) / network.std)


def make_batches(
    plan: Plan, store: PixelStore, rows: Sequence[int], labels: Sequence[int], device: torch.device | None = None
) -> Batches:
    """Return the images of one part as batches on the planned device, or on another; on a GPU they are kept there if
    they fit."""
    device = torch.device(plan.settings.device) if device is None else device
    batches = Batches(store, np.asarray(rows, np.intp), np.asarray(labels, np.int64), plan.preprocess, device)
    if device.type == "cuda":
        return keep_on_device(batches, torch.cuda.mem_get_info(device)[0])
    return batches


def load_trained(settings: Settings, classes: int, checkpoint: Path, shipped: Path) -> tuple[Network, int | None]:
    """Return (network on the CPU, its epoch) from the best checkpoint, or from the shipped weights.

    Raises:
        RunError: if neither exists, they are damaged, or don't fit the plan.
    """
    network = build_network(settings, classes, None)
    epoch = None
    recover_folder(shipped.parent)
    has_checkpoint = (recover_folder(checkpoint) / "manifest.json").is_file()  # the last file of a complete one
    if has_checkpoint or not shipped.is_file():
        tensors, facts = load_checkpoint(checkpoint)
        weights = tensors["model"]
        epoch = int(facts["epoch"])
    else:
        weights = _read_weights(shipped)
    return _filled(network, weights), epoch


def load_shipped(settings: Settings, classes: int, weights: Path) -> Network:
    """Return the network of a classifier's ``model.safetensors``, on the CPU, in evaluation mode.

    Raises:
        RunError: if the file is damaged, or does not fit the plan.
    """
    tensors = _read_weights(weights)
    return _filled(build_network(settings, classes, None), tensors).eval()


def _read_weights(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, FileNotFoundError) as error:
        text = one_line(error)
        cure = "restore the file that sightline verify names, or train again; prediction needs only model.onnx"
        raise RunError("run.damaged", f"{file} is damaged: {text}", cure) from error


def _filled(network: Network, weights: dict[str, torch.Tensor]) -> Network:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        text = one_line(error)
        raise RunError("run.weights", f"the weights of this run don't fit its plan: {text}", "train again") from error
    return network


def versions() -> dict[str, str]:
    """Return the versions that affect the numbers, without importing timm, which takes seconds."""
    named = {name: version(name) for name in ("timm", "pillow", "onnxruntime")}
    return {"torch": str(torch.__version__), "numpy": np.__version__, **named}
