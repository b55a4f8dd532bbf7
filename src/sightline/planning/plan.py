"""The plan: every setting with its origin and reason. Options override the recipe, the recipe overrides what
data and hardware suggest, and that overrides the defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sightline.errors import InputError, WeightsError
from sightline.pixels.preprocess import Preprocess
from sightline.planning.augmentation import decide_augmentation
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.decisions import Decision, Decisions
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts
from sightline.planning.fast import head_rate_of, suggest_fast
from sightline.planning.features import decide_features, refuse_features
from sightline.planning.head_alone import mark_unused, suggest_head
from sightline.planning.inputs import SMALL_SIDE, decide_data, decide_pixels
from sightline.planning.learning import (
    decide_learning,
    decide_network,
    refuse_contradictions,
    refuse_no_training,
    refuse_unused_weights,
)
from sightline.planning.own_networks import OWN_NETWORKS, SMALL_NETWORK
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings, make_settings
from sightline.text import listed

__all__ = ["Plan", "choose_model", "make_plan"]

_CPU_NETWORK = CARRIED.name
_GPU_NETWORK = "convnext_tiny.in12k_ft_in1k"


@dataclass(frozen=True, slots=True)
class Plan:
    """All settings of a training and the decisions behind them, in the order of :class:`Settings`."""

    settings: Settings
    decisions: tuple[Decision, ...]

    @property
    def preprocess(self) -> Preprocess:
        """How images become the network's input."""
        s = self.settings
        return Preprocess(
            size=s.size,
            resize=max(s.resize, s.size),
            fit=s.fit,
            interpolation=s.interpolation,
            draft=s.draft,
            value_range=s.value_range or None,
        )

    def with_seed(self, seed: int, reason: str, split_reason: str) -> Plan:
        """Return the same plan with another seed, and why; the split's seed stays, and ``split_reason`` says why."""
        reasons = {"seed": reason, "split_seed": split_reason}
        changed = [replace(d, reason=reasons[d.name]) if d.name in reasons else d for d in self.decisions]
        changed = [replace(d, value=seed) if d.name == "seed" else d for d in changed]
        return Plan(self.settings.model_copy(update={"seed": seed}), tuple(changed))

    def rows(self) -> tuple[tuple[str, str, str, str], ...]:
        """Return (setting, value, origin, reason) as text."""
        return tuple((d.name, _shown(d.value), d.origin, d.reason) for d in self.decisions)

    def to_toml(self) -> str:
        """Return the plan as TOML: a table of value, origin and reason for each setting."""
        import tomli_w

        tables = {d.name: {"value": d.value, "origin": d.origin, "reason": d.reason} for d in self.decisions}
        return tomli_w.dumps(tables)

    def replace(self, decision: Decision) -> Plan:
        """Return the plan with another value for one setting, found after planning."""
        settings = make_settings({**self.settings.model_dump(), decision.name: decision.value})
        return Plan(settings, tuple(decision if d.name == decision.name else d for d in self.decisions))

    def without_limit(self) -> Plan:
        """Return the plan without its time limit, for what is done with a network after its training."""
        return Plan(self.settings.model_copy(update={"time": 0.0}), self.decisions)

    def with_width(self, width: int, reason: str) -> Plan:
        """Return the plan for another width of our fast network, with what follows from it."""
        rate = next(decision for decision in self.decisions if decision.name == "head_rate")
        plan = self.replace(Decision("width", width, "time", reason))
        if rate.origin != "network":
            return plan
        return plan.replace(replace(rate, value=head_rate_of(width, self.settings.batch_size)))

    @classmethod
    def from_toml(cls, text: str) -> Plan:
        """Read what ``to_toml`` wrote.

        Raises:
            ValueError: if it is something else, or of a version with other settings.
        """
        try:
            tables = tomllib.loads(text)
            if unknown := [name for name in tables if name not in Settings.model_fields]:
                raise TypeError(f"{listed(unknown, 3)}: no setting of this version")
            decisions = tuple(Decision(name, **fields) for name, fields in tables.items())
            if any(not isinstance(word, str) for one in decisions for word in (one.origin, one.reason)):
                raise TypeError("an origin or a reason is not a text")
            return cls(make_settings({d.name: d.value for d in decisions}), decisions)
        except (tomllib.TOMLDecodeError, TypeError, RecursionError, InputError) as error:
            raise ValueError(error.message if isinstance(error, InputError) else str(error)) from error


def choose_model(
    recipe: Recipe,
    options: Recipe,
    data: DataFacts,
    hardware: Hardware,
    earlier: EarlierRun | None = None,
    timed: Mapping[str, tuple[Any, str]] | None = None,
) -> Decision:
    """Return the decision for the network's name; the rest of the plan follows from it.

    Args:
        recipe, options, data, hardware, earlier, timed: as for ``make_plan``.

    Raises:
        WeightsError: if another network was chosen than the earlier run's.
    """
    decide = Decisions(recipe, options, timed)
    side = data.median_short_side
    if earlier:
        decide("model", earlier.model, "weights", f"the network of {earlier.name}")
        chosen = decide.values["model"]
        _refuse_other(chosen, earlier)
        decide.replace(
            "model", earlier.model, chosen.origin, chosen.reason
        )  # a name with another tag means the same network
    elif hardware.engine == "onnxruntime":
        decide("model", CARRIED.name, "hardware", _reason_without_torch(side))
    elif side <= SMALL_SIDE:
        reason = f"images are small ({side} px): our own small network from scratch, no download"
        decide("model", SMALL_NETWORK, "data", reason)
    elif hardware.device == "cpu":
        decide(
            "model",
            _CPU_NETWORK,
            "hardware",
            f"images of {side} px on a CPU: a light pretrained network (0.4 GMAC) whose weights come with Sightline: "
            "no download",
        )
    else:
        decide("model", _GPU_NETWORK, "hardware", f"images of {side} px on a GPU: a strong pretrained network")
    return decide.values["model"]


def _reason_without_torch(side: int) -> str:
    """Return why the carried network is used, and what to expect of it for images of ``side`` px."""
    reason = "the pretrained network that comes with Sightline: its features need no torch"
    if side <= SMALL_SIDE:
        reason += f"; images of {side} px are enlarged for it, and torch would train a better network for them"
    return reason


def _refuse_other(model: Decision, earlier: EarlierRun) -> None:
    if model.value.split(".")[0] != earlier.model.split(".")[0]:
        where = "the recipe's model" if model.origin == "recipe" else "--model"
        message = f"{earlier.name} uses the network {earlier.model}, but {where} is {model.value}"
        cure = f"give --model {earlier.model}" if model.origin == "recipe" else "leave out --model, or --weights"
        raise WeightsError("weights.other-network", message, cure)


def make_plan(
    recipe: Recipe,
    options: Recipe,
    data: DataFacts,
    hardware: Hardware,
    network: NetworkFacts,
    earlier: EarlierRun | None = None,
    timed: Mapping[str, tuple[Any, str]] | None = None,
) -> Plan:
    """Decide every setting.

    Args:
        recipe: choices of a recipe file; may be empty.
        options: choices typed for this run; they win.
        data, hardware: facts about them.
        network: facts about the network that ``choose_model`` named; or about the carried one, where that network's
            weights can't be had and nobody asked for it by name.
        earlier: the run whose network is the start, if it is one.
        timed: setting -> (value, reason), from ``fit_to_time``; a choice of a person wins.

    Raises:
        InputError: if a chosen value is out of its range.

    Example:
        ``make_plan(Recipe(), Recipe(epochs=3), data, hardware, network).settings.epochs == 3``
    """
    recipe = recipe.under(options)
    decide = Decisions(recipe, options, timed)
    if hardware.engine == "onnxruntime":
        suggest_head(decide)
    model = choose_model(recipe, options, data, hardware, earlier, timed)
    if is_carried(network.name) and model.origin == "hardware" and not is_carried(model.value):
        reason = f"the weights of {model.value} can't be had here, and those of this network come with Sightline"
        model = replace(model, value=network.name, reason=reason)
    if network.name == SMALL_NETWORK and not earlier:
        suggest_fast(decide, data)
    decide_data(decide, data)
    decide_network(decide, network, earlier)
    if earlier:  # "latest" may be another run tomorrow
        typed = decide.values["weights"]
        decide.replace("weights", str(earlier.folder), typed.origin, f"{typed.reason}, as {typed.value}")
    # A tag names published weights; where a file is loaded instead, only the architecture is known.
    name = network.name.split(".")[0] if decide.value("weights") else network.name
    decide.replace("model", earlier.model if earlier else name, model.origin, model.reason)
    decide_pixels(decide, data, network, earlier)
    decide_augmentation(decide, data)
    decide_learning(decide, data, hardware, earlier)
    decide_features(decide, network, earlier)
    origin = "default" if hardware.engine == "torch" else "hardware"  # what is usual need not be printed
    decide("engine", hardware.engine, origin, hardware.engine_reason)
    decide("device", hardware.device, "hardware", hardware.reason)
    decide("threads", hardware.threads, "hardware", "one thread for each CPU that this process may use")
    if (
        "device" in options.chosen or "device" in recipe.chosen
    ):  # the probe may have found that the chosen one can't be used
        decide.replace("device", hardware.device, "hardware", hardware.reason)
    if hardware.engine == "onnxruntime":
        mark_unused(decide)
    settings = make_settings({name: decision.value for name, decision in decide.values.items()})
    _refuse_conflicts(settings)
    refuse_contradictions(settings)
    ordered = tuple(
        Decision(name, value, decide.values[name].origin, decide.values[name].reason)
        for name, value in settings.model_dump().items()
    )
    return Plan(settings, ordered)


def _refuse_conflicts(settings: Settings) -> None:
    """Raise ``InputError`` for settings that can't be combined."""
    if settings.weights and not settings.pretrained:
        refuse_unused_weights()
    _refuse_shape(settings)
    refuse_features(settings.features, settings.model)
    if settings.epochs == 0 and not settings.head_first:
        refuse_no_training()
    if settings.value_range and settings.value_range[0] >= settings.value_range[1]:
        low, high = settings.value_range
        raise InputError(
            "plan.conflict",
            f"--range {low:g},{high:g}: the first value must be less than the second",
            "give --range LOW,HIGH",
        )
    if settings.fit == "crop" and settings.resize < settings.size:
        message = f"resize = {settings.resize} is less than size = {settings.size}"
        raise InputError("plan.conflict", message, f"give --set resize={settings.size} or more")


def _refuse_shape(settings: Settings) -> None:
    """Raise ``InputError`` for a shape or a dropout that the network does not have."""
    own = OWN_NETWORKS.get(settings.model)
    if own is None:
        shape = ("width", "depth", "kernel_size", "dense_units", "stage_dropout")
        chosen = next((name for name in shape if getattr(settings, name)), None)
        if chosen:
            message = f"{chosen} = {getattr(settings, chosen):g} can't be used: the shape of {settings.model} is fixed"
            cure = f"give --set {chosen}=0, or one of Sightline's own networks: sightline models"
            raise InputError("plan.conflict", message, cure)
        return
    for name, usual in (("width", own.width), ("depth", own.depth)):
        if not getattr(settings, name):
            message = f"{name} = 0 leaves {settings.model} without layers"
            raise InputError("plan.conflict", message, f"give --set {name}={usual}, or leave it out")
    for name in own.lacks:
        if getattr(settings, name):
            message = f"{name} = {getattr(settings, name):g}, but {settings.model} does not support {name}"
            able = next(one for one in ("small-resnet", "small-cnn") if name not in OWN_NETWORKS[one].lacks)
            raise InputError("plan.conflict", message, f"give --set {name}=0, or --model {able}")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(item if isinstance(item, str) else f"{item:g}" for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {item:g}" for name, item in value.items())
    return str(value)
