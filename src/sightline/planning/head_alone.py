"""Training a head alone, without torch: what is decided then, and which settings it does not have."""

from __future__ import annotations

from sightline.errors import InputError
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.decisions import Decisions
from sightline.planning.facts import EarlierRun
from sightline.planning.recipe import UNUSED
from sightline.planning.settings import Chosen
from sightline.text import did_you_mean

__all__ = ["is_of_head_alone", "mark_unused", "refuse_torch_settings", "suggest_head"]

_OF_BODY = ("size", "mean", "std")  # what the graph of an earlier run was made for
_MISTYPED = 0.8  # likeness from which on a name was meant to be the carried network's
_WITHOUT = "only a head is trained, on the features of a pretrained network"
_FIXED = {
    "pretrained": True,
    "head_first": True,
    "freeze_body": True,
    "freeze_norm": True,
    "epochs": 0,
    "precision": "fp32",
    "device": "cpu",
}
# Settings of data, pixels and evaluation mean what they mean with torch.
_KEPT = {
    *(
        "model",
        "features",
        "head_strength",
        "weights",
        "size",
        "resize",
        "fit",
        "interpolation",
        "mean",
        "std",
        "draft",
        "value_range",
    ),
    *("on_bad", "group", "fixes", "versions", "layout", "skip", "resplit", "follow_links", "val_share"),
    *("test_share", "train_share", "select_on_val", "seed", "split_seed"),
    *("time", "imbalance", "views", "engine", "threads"),
}


def suggest_head(decide: Decisions) -> None:
    """Suggest the settings of a training of the head alone."""
    for name, value in _FIXED.items():
        decide.suggest(name, value, "default", _WITHOUT)
    decide.suggest("weights", "", "default", "those that come with Sightline")
    decide.suggest("time", 0.0, "default", "no time limit: the features of all images are computed")


def mark_unused(decide: Decisions) -> None:
    """Say of each decided setting that a head alone does not have that it is not used."""
    for name, made in decide.values.items():
        if name == "flip" and decide.value("views") > 1:
            decide.replace(name, made.value, UNUSED, f"no image is changed in training; of the views: {made.reason}")
        elif name not in _KEPT and name not in _FIXED:
            decide.replace(name, made.value, UNUSED, f"not used: {_WITHOUT}")
        elif name in _FIXED and name != "device" and made.origin == "default":
            decide.replace(name, made.value, UNUSED, made.reason)


def is_of_head_alone(chosen: Chosen) -> bool:
    """Whether a head alone has every chosen setting, and no other network than the carried one was asked for.

    Example:
        >>> is_of_head_alone({"time": 60.0, "seed": 1}), is_of_head_alone({"epochs": 2})
        (True, False)
    """
    if chosen.get("weights") or not is_carried(str(chosen.get("model") or CARRIED.name)):
        return False
    return not any(_is_of_torch(name, value) for name, value in chosen.items())


def _is_of_torch(name: str, value: object) -> bool:
    return name not in _KEPT and value != _FIXED.get(name, ...)


def refuse_torch_settings(chosen: Chosen, earlier: EarlierRun | None, why: str, cure: str) -> None:
    """Raise ``InputError`` for a chosen setting that a head alone does not have.

    Args:
        chosen: what a person chose.
        earlier: the run that ``weights`` names, if it is one.
        why: why only a head is trained, in words.
        cure: what to type for more.

    Example:
        >>> refuse_torch_settings({"seed": 1, "epochs": 0}, None, "torch is not installed", "install it")
    """
    for name, value in chosen.items():
        if _is_of_torch(name, value):
            message = f"{name} = {value!r}, but {why}: {_WITHOUT}"
            raise InputError("plan.needs-torch", message, f"leave out {name}; or {cure}")
    model = str(chosen.get("model") or CARRIED.name)
    for name in _OF_BODY:
        if name in chosen and earlier is not None and not is_carried(earlier.model):
            message = f"{name} = {chosen[name]!r}, but {why}: the network of {earlier.name} is used as it is"
            raise InputError("plan.needs-torch", message, f"leave out {name}; or {cure}")
    if not is_carried(model) and earlier is None:
        message = f"--model {model}, but {why}: {_WITHOUT}, and {CARRIED.name} is the one that is here"
        meant = did_you_mean(model, [CARRIED.name], cutoff=_MISTYPED)
        ways = f"leave out --model, or give a --weights RUN; or {cure}"
        raise InputError("plan.needs-torch", message, f"{meant} {ways}" if meant else ways)
