"""Every setting of a training: name, type, range and meaning, in one table.

``sightline train --set NAME=VALUE`` takes each of them, a few have options of their own, and the plan holds all.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from sightline.errors import InputError
from sightline.text import did_you_mean

__all__ = ["Chosen", "Settings", "check_names", "check_values", "make_settings", "parse_assignment", "parse_time"]


Model = TypeVar("Model", bound=BaseModel)
Chosen = Mapping[str, Any]  # setting -> value, for those that a person chose: an option, a recipe's line
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_Spread = Annotated[float, Field(ge=1e-3)]  # what pixels are divided by
_Weight = Annotated[float, Field(gt=0, le=100)]


def _as_sum(value: Any) -> Any:
    """Let a loss be named alone: ``focal`` is ``{"focal": 1.0}``."""
    return {value: 1.0} if isinstance(value, str) else value


def parse_time(value: object) -> object:
    """Return seconds of ``90``, ``"90s"``, ``"10m"``, ``"2h"`` or ``"1h30m"``; anything else comes back as it is.

    Example:
        >>> parse_time("10m"), parse_time("1h30m"), parse_time(45)
        (600.0, 5400.0, 45)
    """
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value.strip().lower())
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", value.lower()):
        return value
    if any(unit not in _UNITS for _, unit in parts):
        return value
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class Settings(BaseModel):
    """All settings of one training. Fields have no defaults: ``make_plan`` decides each, with a reason."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(description="network: a timm name, or one of our own (sightline models small-*)")
    pretrained: bool = Field(description="start from pretrained weights")
    weights: str = Field(description="safetensors file, or an earlier run, to start from; empty: the published weights")
    width: int = Field(
        ge=0, le=4096, description="channels of the first stage of our own networks; 0 for timm's, which are fixed"
    )
    depth: int = Field(ge=0, le=64, description="blocks per stage of our own networks; 0 for timm's, which are fixed")
    kernel_size: Literal[0, 3, 5, 7, 9, 11] = Field(
        default=0, description="side of the filters in the stages of our own networks; 0: what is usual for the network"
    )
    dense_units: int = Field(
        default=0,
        ge=0,
        le=65_536,
        description="units of the dense layer of small-cnn, before the last; 0: as many as its last stage has channels",
    )
    features: Literal["last", "stages"] = Field(
        default="last",
        description="what the last layer sees: the body's last map, averaged, or those of its earlier stages too",
    )
    head_strength: float = Field(
        default=0.0,
        ge=0,
        le=10_000,
        description="how freely the fitted head may follow the training images (scikit-learn's C); "
        "0: by held-out images",
    )
    dropout: float = Field(ge=0, lt=1, description="probability of dropping a feature before the last layer")
    stage_dropout: float = Field(ge=0, lt=1, description="dropout probability after each stage of our own networks")
    stochastic_depth: float = Field(
        ge=0, lt=1, description="probability of skipping the last block; less for earlier ones"
    )

    size: int = Field(ge=8, le=1024, description="side of the network's square input, in pixels")
    resize: int = Field(ge=8, le=2048, description="short side that images are stored at, before the crop")
    fit: Literal["crop", "pad", "squash"] = Field(description="how an image becomes a square")
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = Field(description="filter for resizing, antialiased")
    mean: tuple[float, float, float] = Field(description="per channel, subtracted from pixels scaled to 0..1")
    std: tuple[_Spread, _Spread, _Spread] = Field(description="per channel, divides the pixels after that")
    draft: int = Field(ge=0, le=16, description="JPEGs are decoded no smaller than this many times resize; 0: in full")
    value_range: tuple[()] | tuple[float, float] = Field(
        description="black and white values of 16-bit, 32-bit, float images"
    )

    on_bad: Literal["skip", "fail"] = Field(description="unreadable images are left out, or stop the training")
    group: str = Field(
        description="column or regular expression that names the group of an image; groups are not split"
    )
    fixes: str = Field(description="CSV of path,action,value: images to exclude, relabel or group; empty: none")
    versions: Literal["auto", "all", "off"] = Field(
        default="auto", description="how versions of one original are searched: likely pairs first, all, or not at all"
    )
    layout: Literal["", "classes", "splits", "inner-splits", "tables"] = Field(
        default="", description="how the folders of the data are read; empty: by their names, if there is one way"
    )
    skip: tuple[str, ...] = Field(default=(), description="patterns of files and folders that are left out")
    follow_links: bool = Field(default=False, description="links that lead out of the folder of the data are followed")
    val_share: float = Field(ge=0, lt=1, description="share drawn for validation where none is given")
    test_share: float = Field(ge=0, lt=1, description="share drawn for the test where none is given")
    train_share: float = Field(default=1.0, gt=0, le=1, description="share of the training images that is used")
    resplit: bool = Field(default=False, description="put a split that comes with the images aside, and draw one")
    select_on_val: bool = Field(description="choose the epoch on a given val folder although there is no test")
    seed: int = Field(ge=0, lt=2**31, description="seed of split, initial weights, order and augmentation")
    split_seed: int = Field(ge=0, lt=2**31, description="seed of the split, where it differs from seed")

    time: Annotated[float, BeforeValidator(parse_time), Field(ge=0, le=10**7)] = Field(
        description="seconds for the whole command, such as 90, 10m or 2h; 0: no limit"
    )
    epochs: int = Field(
        ge=0, le=10_000, description="passes over the training images; an upper limit where time is set"
    )
    batch_size: int = Field(ge=1, le=65_536, description="images per step")
    accumulate: int = Field(ge=1, le=4096, description="parts in which a batch goes through the network")
    head_first: bool = Field(description="fit the head on frozen features before fine-tuning")
    freeze_body: bool = Field(description="train the head only")
    freeze_norm: bool = Field(description="keep the batch norms' running statistics as they are")
    unfreeze_every: float = Field(
        ge=0, description="epochs until the next group of layers is unfrozen, from the head down; 0: all train"
    )
    thaw: int = Field(
        default=0, ge=0, le=64, description="groups of layers that learn, from the head down; the others stay; 0: all"
    )
    blend: bool = Field(
        default=False, description="keep the best network between the fitted head and the last epoch, by validation"
    )
    early_sizes: tuple[Annotated[int, Field(ge=8, le=1024)], ...] = Field(
        max_length=8, description="input sizes of the first steps, one after the other; empty: size throughout"
    )
    early_share: float = Field(ge=0, lt=1, description="share of all steps at early_sizes, equally many each")

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop", "muon"] = Field(description="rule that updates the weights")
    learning_rate: float = Field(gt=0, le=100, description="highest learning rate of the schedule")
    find_rate: bool = Field(description="search for the learning rate in a short range test before the training")
    momentum: float = Field(ge=0, lt=1, description="of SGD (Nesterov), RMSprop and Muon; the first beta of the Adams")
    weight_decay: float = Field(ge=0, le=10, description="decoupled in adamw and muon, else added to the gradient")
    decay_norms: bool = Field(description="apply weight decay to norms and biases too")
    bias_rate: float = Field(gt=0, le=1000, description="factor on the learning rate of norms and biases")
    head_rate: float = Field(gt=0, le=1000, description="factor on the learning rate of the last layer")
    layer_decay: float = Field(gt=0, le=1, description="factor on the rate for each group of layers below the head")
    schedule: Literal["constant", "cosine", "linear", "step", "exponential", "one-cycle", "plateau"] = Field(
        description="course of the learning rate after warm-up"
    )
    warmup: float = Field(ge=0, lt=1, description="share of all steps in which the rate rises")
    decay_factor: float = Field(gt=0, le=1, description="factor on the rate in step, exponential and plateau")
    decay_every: float = Field(gt=0, description="epochs (see decay_unit) from one such factor to the next")
    decay_unit: Literal["epochs", "steps"] = Field(description="unit of decay_every")
    clip_norm: float = Field(ge=0, description="largest norm of the gradient; 0: no clipping")
    clip_value: float = Field(ge=0, description="largest value in the gradient; 0: no clipping")
    ema: float = Field(
        ge=0, lt=1, description="decay per step of the averaged weights, which are evaluated and kept; 0: none"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(description="number format of the training's arithmetic")
    compile: bool = Field(description="compile the network with torch.compile")

    loss: Annotated[
        dict[Literal["cross_entropy", "focal", "binary_cross_entropy"], _Weight], BeforeValidator(_as_sum)
    ] = Field(min_length=1, description="losses and their weights in the sum, for example {cross_entropy = 1.0}")
    focal_gamma: float = Field(ge=0, le=10, description="how strongly the focal loss favours hard images")
    label_smoothing: float = Field(ge=0, lt=1, description="probability spread over all classes in the target")
    imbalance: Literal["none", "class_weights", "balanced_sampling", "auto"] = Field(
        description="how classes of uneven size are balanced"
    )
    select_by: Literal["loss", "accuracy"] = Field(description="validation metric that chooses the epoch")
    patience: int = Field(ge=0, description="epochs without improvement before stopping; 0: never stop early")

    flip: float = Field(ge=0, le=1, description="probability of a left-right flip")
    flip_mode: Literal["random", "alternating"] = Field(description="flip at random, or in every other epoch")
    flip_vertical: float = Field(ge=0, le=1, description="probability of an upside-down flip")
    rotate: float = Field(ge=0, le=180, description="largest rotation either way, in degrees")
    translate: float = Field(ge=0, le=0.5, description="largest shift, as a share of the side")
    zoom: float = Field(ge=0, le=0.9, description="largest share of the side that a random crop leaves out")
    zoom_out: float = Field(ge=0, le=2, description="largest share of the side that is added around")
    shear: float = Field(ge=0, le=60, description="largest shear either way, in degrees")
    brightness: float = Field(ge=0, le=1, description="largest change of brightness, as a share")
    contrast: float = Field(ge=0, le=1, description="largest change of contrast, as a share")
    saturation: float = Field(ge=0, le=1, description="largest change of saturation, as a share")
    hue: float = Field(ge=0, le=0.5, description="largest turn of the hue, as a share of the colour circle")
    blur: float = Field(ge=0, le=1, description="probability of a Gaussian blur")
    blur_sigma: float = Field(gt=0, le=20, description="largest standard deviation of the blur, in pixels at 224")
    erasing: float = Field(ge=0, le=1, description="probability of erasing a random rectangle")
    policy: Literal["none", "randaugment", "trivialaugment"] = Field(
        description="published policy of random operations"
    )
    mixup: float = Field(ge=0, le=10, description="alpha of the share in which two images are mixed; 0: none")
    cutmix: float = Field(ge=0, le=10, description="alpha of the share of a patch from another image; 0: none")
    mirrored: bool = Field(
        default=False,
        description="a prediction is the mean of those of an image and of its mirror image",
    )
    views: int = Field(ge=1, le=10, description="views averaged in a second evaluation of the test images")

    engine: Literal["torch", "onnxruntime"] = Field(
        default="torch",
        description="what computes networks; onnxruntime: a head on frozen features alone, without torch",
    )
    device: str = Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$", description="cpu, mps, cuda or cuda:N")
    threads: int = Field(ge=1, le=1024, description="CPU threads; results are reproducible only with the same number")


def check_names(chosen: Chosen) -> None:
    """Raise ``InputError`` with the nearest right name if a name is unknown.

    Example:
        >>> check_names({"epochs": 3})
    """
    for name in chosen:
        if name not in Settings.model_fields:
            cure = did_you_mean(name, Settings.model_fields, "sightline train DATA --plan lists them all")
            raise InputError("plan.unknown-setting", f"there is no setting {name!r}", cure)


def check_values(chosen: Chosen) -> Chosen:
    """Return chosen values as their settings' types, before anything is read for them.

    Raises:
        InputError: for an unknown name, or a value out of its range.

    Example:
        >>> check_values({"epochs": "3"})
        {'epochs': 3}
    """
    check_names(chosen)
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in Settings.model_fields.items() if name in chosen
    }
    model: type[BaseModel] = create_model("Chosen", __config__=Settings.model_config, **fields)
    return _validated(model, chosen).model_dump()


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Return validated settings.

    Raises:
        InputError: naming the setting, the value and the rule.
    """
    return _validated(Settings, values)


def _validated(model: type[Model], values: Mapping[str, Any]) -> Model:
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        description = Settings.model_fields[name].description
        is_absent = first["type"] == "missing" and len(first["loc"]) == 1  # the input is then all other settings
        given = "" if is_absent else f" = {first['input']!r}"
        raise InputError(
            "plan.bad-value",
            f"{name}{given}: {first['msg'][0].lower()}{first['msg'][1:]}",
            f"{name}: {description}{_range_of(name)}",
        ) from error


def _range_of(name: str) -> str:
    """Return the least and the greatest value of a setting in words, as far as it has them."""
    rules = Settings.model_fields[name].metadata
    bounds = [(kind, getattr(rule, kind)) for rule in rules for kind in _BOUNDS if hasattr(rule, kind)]
    words = " and ".join(f"{_BOUNDS[kind]} {bound:g}" for kind, bound in bounds)
    return f"; give {words}" if words else ""


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return (name, value) of ``name=value``; the value is read as TOML, and as text where that fails.

    Example:
        >>> parse_assignment("flip=0.5"), parse_assignment("schedule=cosine")
        (('flip', 0.5), ('schedule', 'cosine'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(
            "plan.assignment", f"--set {text!r} is not of the form name=value", "for example --set flip=0.5"
        )
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()
