"""Builds a :class:`Network` from a name and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline.errors import InputError, WeightsError
from sightline.networks.network import Network
from sightline.networks.small_cnn import SmallCnn
from sightline.networks.small_convnext import SmallConvnext
from sightline.networks.small_fast import SmallFast, scale_head
from sightline.networks.small_resnet import SmallResnet
from sightline.networks.stages import find_stages
from sightline.networks.weights import StartWeights
from sightline.planning.settings import Settings
from sightline.text import one_line

__all__ = ["BODIES", "build_network", "refuse_unfit_file"]

# Our own networks: from settings to a module from [N, 3, H, W] to [N, feature_size]. A new one is a row here and
# one in ``planning.own_networks``.
BODIES: dict[str, Callable[[Settings], Any]] = {
    "small-fast": lambda s: SmallFast(s.size, s.width, s.depth, s.kernel_size),
    "small-resnet": lambda s: SmallResnet(s.size, s.width, s.depth, s.stage_dropout, s.stochastic_depth, s.kernel_size),
    "small-convnext": lambda s: SmallConvnext(
        s.size, s.width, s.depth, s.stage_dropout, s.stochastic_depth, s.kernel_size
    ),
    "small-cnn": lambda s: SmallCnn(s.size, s.width, s.depth, s.stage_dropout, s.kernel_size, s.dense_units),
}


def build_network(settings: Settings, classes: int, weights: StartWeights | None) -> Network:
    """Build the planned network; the same seed gives the same weights.

    Args:
        settings: of the plan; model, its shape, features, mirrored, dropouts, size, mean, std and seed are used.
        classes: number of classes.
        weights: a file with timm's names, or of an earlier run; None for random weights.

    Raises:
        WeightsError: if the file does not fit the network.
        InputError: if the network does not accept images of this size, or has no blocks to skip or no stages.
    """
    torch.manual_seed(settings.seed)
    timm_file = weights.path if weights is not None and weights.rows is None else None
    if settings.model in BODIES:
        if timm_file:
            message = f"{settings.model} is one of Sightline's own networks, but {timm_file} is not from a run"
            raise WeightsError("weights.not-for-small", message, "give --weights RUN, or choose a timm --model")
        body = BODIES[settings.model](settings)
    else:
        body = _timm_body(settings, timm_file)
    feature_size = _count_features(body, settings)
    stages = find_stages(body, settings.size, settings.model) if settings.features == "stages" else None
    torch.manual_seed(settings.seed)  # so that the head's initial weights do not depend on the body
    network = Network(
        body, feature_size, classes, settings.mean, settings.std, settings.dropout, stages, settings.mirrored
    )
    if isinstance(body, SmallFast):
        scale_head(network.head)
    if weights is not None and weights.rows is not None:
        _load_earlier(network, weights.path, weights.rows, settings)
    return network


def _count_features(body: nn.Module, settings: Settings) -> int:
    """Return the length of a body's features, measured with one image."""
    with torch.inference_mode():
        try:
            return int(body.eval()(torch.zeros(1, 3, settings.size, settings.size)).shape[1])
        except (RuntimeError, AssertionError) as error:
            text = str(error).splitlines()[0]
            raise InputError(
                "model.size",
                f"{settings.model} does not accept images of {settings.size} px: {text}",
                "leave out --size",
            ) from error


def _load_earlier(network: Network, file: Path, rows: dict[int, int], settings: Settings) -> None:
    """Load the body of an earlier run, its features' scale and the given rows of its head; mean and std are the plan's.

    Raises:
        WeightsError: if the file is of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    ours = network.state_dict()
    head = {name: ours[name].clone() for name in ("head.weight", "head.bias")}
    try:
        state = load_file(file)
        body = {name: value for name, value in state.items() if name.startswith(("body.", "feature_scale"))}
        for position, row in rows.items():
            for name, value in head.items():
                value[position] = state[name][row]
        network.load_state_dict({**body, **head, "mean": ours["mean"], "std": ours["std"]})
    except (RuntimeError, KeyError, IndexError, SafetensorError, OSError) as error:
        text = one_line(error, 300)
        shape = ", ".join(f"{part} = {getattr(settings, part)}" for part in ("size", "width", "depth", "kernel_size"))
        if settings.dense_units:
            shape += f", dense_units = {settings.dense_units}"
        message = f"{file} does not fit {settings.model} with {shape}: {text}"
        raise WeightsError(
            "weights.mismatch", message, "use the size and the shape of the run that the weights come from"
        ) from error


def _timm_body(settings: Settings, weights: Path | None) -> nn.Module:
    """Return timm's network without its classifier: ``[N, 3, H, W]`` to the features before the last layer."""
    import timm

    config = timm.get_pretrained_cfg(settings.model)
    more: dict[str, Any] = {}
    if config.fixed_input_size and config.input_size[-1] != settings.size:
        more["img_size"] = settings.size
    if settings.stochastic_depth:
        more["drop_path_rate"] = settings.stochastic_depth
    name = settings.model.split(".")[0] if not config.tag else settings.model
    try:
        if weights is None:
            body: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **more)
        else:
            count = _rows_of_classifier(weights, config.classifier)
            if count is None:
                count = 0 if _is_body(weights, name) else config.num_classes
            overlay = {"file": str(weights), "num_classes": count, "custom_load": False, "label_offset": 0}
            # With the class count of the file, timm loads strictly: a missing weight is an error and not left random.
            body = timm.create_model(name, pretrained=True, num_classes=count, pretrained_cfg_overlay=overlay, **more)
            timm_network: Any = body  # timm adds this method to each of its networks
            timm_network.reset_classifier(0)
    except Exception as error:  # timm, safetensors and torch raise different types
        if "drop_path_rate" in str(error):
            raise _no_blocks(settings) from error
        if weights is None:
            raise
        raise _mismatch(weights, settings.model, one_line(error, 300)) from error
    if settings.stochastic_depth and not any(type(layer).__name__.startswith("DropPath") for layer in body.modules()):
        raise _no_blocks(settings)
    return body


def _mismatch(weights: Path, model: str, text: str) -> WeightsError:
    cure = f"give the weights of exactly {model}, or the --model that they are of"
    return WeightsError("weights.mismatch", f"{weights} does not fit {model}: {text}", cure)


def refuse_unfit_file(model: str, weights: Path) -> None:
    """Raise ``WeightsError`` where a file lacks tensors of a timm network, by the file's header; none is loaded.

    Args:
        model: with or without a tag.
        weights: a safetensors file.
    """
    import timm
    from safetensors import safe_open

    with torch.device("meta"):
        wanted = timm.create_model(model.split(".")[0], pretrained=False, num_classes=0).state_dict()
    with safe_open(weights, framework="numpy") as file:
        given = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    wanted = {name: tuple(value.shape) for name, value in wanted.items() if not name.endswith("num_batches_tracked")}
    absent = [name for name in wanted if name not in given]
    # Tables of positions are made to fit another size of images.
    other = [name for name, shape in wanted.items() if "pos" not in name and given.get(name, shape) != shape]
    if absent or other:
        what, odd = ("are missing", absent) if absent else ("have another shape", other)
        raise _mismatch(weights, model, f"{len(odd):,} of {len(wanted):,} tensors {what}, such as {odd[0]}")


def _no_blocks(settings: Settings) -> InputError:
    message = f"stochastic_depth = {settings.stochastic_depth:g}, but {settings.model} has no blocks to skip"
    return InputError("plan.conflict", message, "give --set stochastic_depth=0, or choose another --model")


def _rows_of_classifier(weights: Path, classifier: str | tuple[str, ...] | None) -> int | None:
    """Return how many classes a file's last layer has, from its header."""
    from safetensors import SafetensorError, safe_open

    name = classifier if isinstance(classifier, str) else (classifier or ("",))[0]
    try:
        with safe_open(weights, framework="numpy") as file:
            return int(file.get_slice(f"{name}.weight").get_shape()[0])
    except SafetensorError:
        return None


def _is_body(weights: Path, name: str) -> bool:
    """Whether a file has tensors of a network's body alone, as that of the carried network; others may be missing."""
    import timm
    from safetensors import safe_open

    with torch.device("meta"):
        body = timm.create_model(name, pretrained=False, num_classes=0)
    with safe_open(weights, framework="numpy") as file:
        return set(file.keys()).issubset(body.state_dict())
