"""The plan: every setting with where it came from and why. Options beat the recipe, the recipe beats what
data and hardware suggest, that beats the defaults."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from sightline.errors import InputError, RunError
from sightline.pixels.preprocess import Preprocess
from sightline.planning.facts import DataFacts, Hardware, NetworkFacts
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings, make_settings

__all__ = ["SMALL_NETWORK", "Decision", "Plan", "choose_model", "make_plan"]

SMALL_NETWORK = "small-cnn"
_SMALL_SIDE = 64
_CPU_NETWORK = "mobilenetv2_100.ra_in1k"
_GPU_NETWORK = "convnext_tiny.in12k_ft_in1k"
# Nine of ten images at most so long: a centre crop leaves out 15 % of the area at most.
_CROP_ASPECT = 1.18
_SQUASH_ASPECT = 2
# Names that a mirror would turn into another class, or into none.
_DIRECTIONS = ("left", "right", "text", "letter", "digit", "sign", "arrow")


@dataclass(frozen=True, slots=True)
class Decision:
    """One setting: its value, where it came from (option, recipe, data, hardware, network, default), and why."""

    name: str
    value: Any
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All settings of a training and the decisions behind them, in the order of :class:`Settings`."""

    settings: Settings
    decisions: tuple[Decision, ...]

    @property
    def preprocess(self) -> Preprocess:
        """How pictures become the network's input."""
        s = self.settings
        return Preprocess(
            size=s.size,
            resize=max(s.resize, s.size),
            fit=s.fit,
            interpolation=s.interpolation,
            draft=s.draft,
            value_range=s.value_range or None,
        )

    def rows(self) -> tuple[tuple[str, str, str, str], ...]:
        """Return (setting, value, origin, reason) as text."""
        return tuple((d.name, _shown(d.value), d.origin, d.reason) for d in self.decisions)

    def to_toml(self) -> str:
        """Return the plan as TOML: a table of value, origin and reason for each setting."""
        import tomli_w

        tables = {d.name: {"value": d.value, "origin": d.origin, "reason": d.reason} for d in self.decisions}
        return tomli_w.dumps(tables)

    @classmethod
    def from_toml(cls, text: str, *, source: str) -> Plan:
        """Read what ``to_toml`` wrote.

        Raises:
            RunError: if it is damaged.
        """
        try:
            tables = tomllib.loads(text)
            decisions = tuple(Decision(name, **fields) for name, fields in tables.items())
        except (tomllib.TOMLDecodeError, TypeError) as error:
            raise RunError("run.plan", f"{source} can't be read: {error}", "train again") from error
        return cls(make_settings({d.name: d.value for d in decisions}), decisions)


class _Decisions:
    """Collects decisions; what a person chose wins over what is suggested."""

    def __init__(self, recipe: Recipe, options: Recipe) -> None:
        self._chosen = [("option", options.chosen), ("recipe", recipe.chosen)]
        self.values: dict[str, Decision] = {}

    def __call__(self, name: str, value: Any, origin: str, reason: str) -> Any:
        for where, chosen in self._chosen:
            if name in chosen:
                value, origin, reason = (
                    chosen[name],
                    where,
                    "chosen by you" if where == "option" else "from the recipe",
                )
                break
        self.values[name] = Decision(name, value, origin, reason)
        return value


def choose_model(recipe: Recipe, options: Recipe, data: DataFacts, hardware: Hardware) -> Decision:
    """Return the decision for the network's name; the rest of the plan follows from what it is."""
    decide = _Decisions(recipe, options)
    side = data.median_short_side
    if side <= _SMALL_SIDE:
        reason = f"images are small ({side} px): our own small network from scratch, no download"
        decide("model", SMALL_NETWORK, "data", reason)
    elif hardware.device == "cpu":
        decide(
            "model",
            _CPU_NETWORK,
            "hardware",
            f"images of {side} px on a CPU: a light pretrained network (0.3 GMAC)",
        )
    else:
        decide("model", _GPU_NETWORK, "hardware", f"images of {side} px on a GPU: a strong pretrained network")
    return decide.values["model"]


def make_plan(recipe: Recipe, options: Recipe, data: DataFacts, hardware: Hardware, network: NetworkFacts) -> Plan:
    """Decide every setting.

    Args:
        recipe: choices of a recipe file; may be empty.
        options: choices typed for this run; they win.
        data, hardware: facts about them.
        network: facts about the network that ``choose_model`` named.

    Raises:
        InputError: if a chosen value is out of its range.

    Example:
        ``make_plan(Recipe(), Recipe(epochs=3), data, hardware, network).settings.epochs == 3``
    """
    decide = _Decisions(recipe, options)
    model = choose_model(recipe, options, data, hardware)
    name = network.name if model.origin in ("option", "recipe") else model.value
    decide.values["model"] = Decision("model", name, model.origin, model.reason)
    _plan_data(decide)
    _plan_network(decide, network)
    _plan_pixels(decide, data, network)
    _plan_augmentation(decide, data)
    _plan_optimisation(decide, data, hardware)
    decide("device", hardware.device, "hardware", hardware.reason)
    decide("threads", hardware.threads, "hardware", "one a CPU that this process may use")
    if "device" in options.chosen or "device" in recipe.chosen:  # the probe may have had to leave the one asked for
        decide.values["device"] = Decision("device", hardware.device, "hardware", hardware.reason)
    settings = make_settings({name: decision.value for name, decision in decide.values.items()})
    _refuse_conflicts(settings)
    ordered = tuple(
        Decision(name, value, decide.values[name].origin, decide.values[name].reason)
        for name, value in settings.model_dump().items()
    )
    return Plan(settings, ordered)


def _refuse_conflicts(settings: Settings) -> None:
    """Raise ``InputError`` for settings that are possible one by one, and not together."""
    if settings.weights and not settings.pretrained:
        raise InputError(
            "plan.conflict", "weights are given and pretrained is false", "leave out --weights or --no-pretrained"
        )
    if settings.epochs == 0 and not settings.head_first:
        raise InputError(
            "plan.conflict", "epochs = 0 leaves nothing to train", "give --epochs 1 or more, or --set head_first=true"
        )
    if settings.value_range and settings.value_range[0] >= settings.value_range[1]:
        low, high = settings.value_range
        raise InputError("plan.conflict", f"the range {low:g},{high:g} does not rise", "give --range LOW,HIGH")
    if settings.fit == "crop" and settings.resize < settings.size:
        message = f"resize = {settings.resize} is less than size = {settings.size}"
        raise InputError("plan.conflict", message, f"give --set resize={settings.size} or more")


def _plan_data(decide: _Decisions) -> None:
    decide("draft", 2, "default", "a photo far larger than the input is decoded at reduced scale: several times faster")
    decide("value_range", (), "default", "16 bits give their high byte; 32-bit and float pictures are refused")
    decide("on_bad", "skip", "default", "images that can't be read are left out and counted, up to 1 %")
    decide("group", "", "default", "no groups but those that a table names; copies stay together in any case")
    decide("fixes", "", "default", "the data as they are")
    decide("val_share", 0.15, "default", "enough to choose the epoch")
    decide("test_share", 0.15, "default", "kept untouched for the final figure")
    decide("select_on_val", False, "default", "a given val folder is worth more as an untouched test set")
    decide("seed", 0, "default", "the same seed and threads give the same weights on a CPU")


def _plan_network(decide: _Decisions, network: NetworkFacts) -> None:
    weights = decide("weights", "", "default", "the published weights of the network, where there are any")
    if weights or network.has_weights:
        reason = f"far better than a random start on photos; licence of the weights: {network.licence}"
        decide("pretrained", True, "network", "from the given file" if weights else reason)
    else:
        decide("pretrained", False, "network", "no published weights: training starts from scratch")
    decide(
        "mean",
        network.mean,
        "network",
        "as the weights expect it" if network.has_weights else "centre of 0..1",
    )
    decide("std", network.std, "network", "as the weights expect it" if network.has_weights else "spread of 0..1")


def _plan_pixels(decide: _Decisions, data: DataFacts, network: NetworkFacts) -> None:
    side = data.median_short_side
    if network.family == "small":
        size = max(16, min(_SMALL_SIDE, -(-side // 8) * 8))
        reason = f"median short side is {side} px, rounded up to 8, within 16 to {_SMALL_SIDE}"
        size = decide("size", size, "data", reason)
    else:
        size = decide("size", network.size, "network", "what the network was made for")
    nine = f"nine of ten images are at most {data.wide_aspect:g} times as long as wide"
    if data.wide_aspect <= _CROP_ASPECT:
        fit = decide("fit", "crop", "data", f"{nine}: the centre leaves little out")
    elif data.wide_aspect <= _SQUASH_ASPECT:
        # Measured on photos of 4:3, frozen features: as good as a crop or better, and nothing is cut off.
        fit = decide("fit", "squash", "data", f"{nine}: stretched a little, nothing is cut off")
    else:
        fit = decide("fit", "pad", "data", f"{nine}: a crop would lose too much, and stretching distort it")
    if fit == "crop" and data.wide_aspect > _CROP_ASPECT and network.family != "small":
        resize = round(size * network.resize / network.size)
        decide("resize", resize, "network", "short side before the centre crop, as its authors evaluate it")
    else:
        decide("resize", size, "default", "the short side becomes the input's side: no border is cut off")
    decide("interpolation", network.interpolation, "network", "as the network's authors resize")


def _plan_augmentation(decide: _Decisions, data: DataFacts) -> None:
    mirrored = [name for name in data.classes if len(name) == 1 or any(word in name.lower() for word in _DIRECTIONS)]
    if mirrored:
        decide("flip", 0.0, "data", f"class {mirrored[0]!r} may change its meaning in a mirror")
    else:
        decide("flip", 0.5, "default", "most things look as natural in a mirror")
    if data.median_short_side <= _SMALL_SIDE:
        decide("translate", 0.0625, "default", "small shifts; the cut-off edge is mirrored in")
        decide("zoom", 0.0, "default", "small images lose too much by zooming")
        decide("color", 0.0, "default", "small networks learn faster without")
    else:
        decide("translate", 0.0, "default", "random crops shift already")
        decide("zoom", 0.3, "default", "random crops of 70 to 100 % of the side")
        decide("color", 0.2, "default", "light and white balance differ between photos")


def _plan_optimisation(decide: _Decisions, data: DataFacts, hardware: Hardware) -> None:
    pretrained = decide.values["pretrained"].value
    count = data.counts["train"]
    decide("freeze_body", False, "default", "the whole network learns")
    decide(
        "head_first", pretrained, "network", _HEAD_REASON if pretrained else "no pretrained features to fit a head on"
    )
    if pretrained and hardware.device == "cpu":
        decide("epochs", 4, "hardware", "after the fitted head, a few epochs of the whole network; a CPU is slow at it")
    elif pretrained:
        decide("epochs", 12, "hardware", "after the fitted head, the whole network, from there")
    else:
        epochs = 40 if count < 4_000 else 20 if count < 20_000 else 12
        decide("epochs", epochs, "data", f"{count:,} training images from scratch")
    small = not pretrained and count < 4_000
    decide("batch_size", 32 if pretrained or small else 128, "data", f"{count:,} training images")
    _plan_updates(decide, pretrained)
    patience = 3 if pretrained else max(10, decide.values["epochs"].value // 2)
    decide("patience", patience, "default", "stop when the validation loss no longer falls")
    if not pretrained:
        decide("freeze_norm", False, "default", "batch norms must learn the data's statistics")
    elif count < 1_000:
        decide("freeze_norm", True, "data", f"{count:,} training images are too few for new batch statistics")
    else:
        decide("freeze_norm", False, "data", f"{count:,} training images are enough for new batch statistics")


def _plan_updates(decide: _Decisions, pretrained: bool) -> None:
    frozen = decide.values["freeze_body"].value
    optimizer = decide("optimizer", "adamw", "default", "works without tuning")
    sgd = optimizer == "sgd"
    if pretrained and not frozen:
        reason = "a tenth of a head's rate, so that pretrained features are kept"
        decide("learning_rate", 1e-3 if sgd else 1e-4, "default", reason)
    else:
        reason = "usual for a head" if frozen else f"usual for {optimizer} from scratch"
        decide("learning_rate", 0.1 if sgd else 1e-3 if frozen else 4e-3, "default", reason)
    decide("momentum", 0.9, "default", "usual for SGD")
    decide("weight_decay", 5e-4 if sgd else 0.05, "default", f"usual for {optimizer}")
    decide("schedule", "cosine", "default", "falls to zero with the last step")
    decide("warmup", 0.1 if pretrained else 0.2, "default", "the first steps are the most fragile")
    decide("label_smoothing", 0.0, "default", "smoothing makes probabilities too timid, and they choose the epoch")
    if pretrained:
        decide("clip_norm", 1.0, "default", "no single batch may undo the pretraining")
    else:
        decide("clip_norm", 0.0, "default", "batch norms keep gradients in range")


_HEAD_REASON = "logistic regression on frozen features: a good model in seconds, and a safe start for fine-tuning"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(f"{item:g}" for item in value)
    return str(value)
