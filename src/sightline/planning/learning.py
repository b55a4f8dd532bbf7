"""Decisions about the network and how it learns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NoReturn

from sightline.errors import InputError
from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts
from sightline.planning.fine_tuning import FEW, decide_fine_tuning
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.settings import Chosen, Settings

__all__ = [
    "decide_learning",
    "decide_network",
    "refuse_chosen",
    "refuse_contradictions",
    "refuse_no_training",
    "refuse_unused_weights",
]

_HEAD_REASON = "logistic regression on frozen features: a good model in seconds, and a safe start for fine-tuning"
# Ratio of the largest class to the smallest from which on the loss is weighted. With the small network on noisy digits
# made uneven (up to 100 training images a class, 5 seeds), mean accuracy of the classes without and with weights at
# 3:1 79.0 and 80.8 %, 10:1 72.8 and 74.5 %, 30:1 61.8 and 66.1 %, 100:1 51.3 and 55.2 %; accuracy over images as
# uneven as the training's 81.7 and 82.3 %, 81.9 and 81.8 %, 83.1 and 81.9 %, 85.0 and 82.5 %. Balanced sampling came
# between the two (62.7 % at 30:1).
_UNEVEN = 10
_UNEVEN_REASON = (
    "small classes count more in the loss; on digits made 30 times uneven that raised the mean accuracy of the classes "
    "from 62 to 66 %, and lowered that of all images from 83 to 82 %"
)

# The highest learning rate of each optimiser: (our own networks, timm's from scratch, a head alone, a pretrained
# network). AdamW: timm's recipes for batches of about a hundred; SGD: torchvision's; Muon: its authors' 0.02.
_RATES = {
    "sgd": (0.1, 0.05, 0.1, 1e-3),
    "adam": (1e-3, 1e-3, 1e-3, 1e-4),
    "adamw": (4e-3, 1e-3, 1e-3, 1e-4),
    "rmsprop": (1e-3, 1e-3, 1e-3, 1e-4),
    "muon": (0.02, 0.02, 0.02, 2e-3),
}
_DECAYS = {"sgd": 5e-4, "adam": 0.0, "adamw": 0.05, "rmsprop": 0.0, "muon": 0.01}
_MOMENTA = {"sgd": 0.9, "adam": 0.9, "adamw": 0.9, "rmsprop": 0.0, "muon": 0.95}

# Of each schedule: share of warm-up from scratch and pretrained, decay_factor, decay_every (below 1: a share of all
# epochs).
_SCHEDULES = {
    "constant": ((0.05, 0.05), 0.1, 7.0),
    "cosine": ((0.2, 0.1), 0.1, 7.0),
    "linear": ((0.2, 0.1), 0.1, 7.0),
    "step": ((0.05, 0.05), 0.1, 1 / 3),
    "exponential": ((0.05, 0.05), 0.9, 1.0),
    "one-cycle": ((0.3, 0.3), 0.1, 7.0),  # as torch's pct_start
    "plateau": ((0.05, 0.05), 0.1, 3.0),
}
_FALLING = ("cosine", "linear", "one-cycle")  # that fall to zero at the last step


def decide_network(decide: Decisions, network: NetworkFacts, earlier: EarlierRun | None = None) -> None:
    """Decide where the weights come from and what the network looks like."""
    weights = decide("weights", "", "default", "the network's published weights, if there are any")
    if earlier:
        decide("pretrained", True, "weights", f"training continues from {earlier.name}; licence: {earlier.licence}")
    elif weights or network.has_weights:
        reason = f"far better than random weights on photos; licence of the weights: {network.licence}"
        decide("pretrained", True, "network", "from the given file" if weights else reason)
    else:
        decide("pretrained", False, "network", "no published weights: training starts from scratch")
    own = OWN_NETWORKS.get(network.name)
    expects = f"as {network.name} expects it" if weights else "as the weights expect it"
    shape = "usual for this network" if own else "as its authors designed it"
    suggested = {
        "mean": (network.mean, expects if network.has_weights else "the middle of 0..1"),
        "std": (network.std, expects if network.has_weights else "spread of 0..1"),
        "width": (own.width if own else 0, shape),
        "depth": (own.depth if own else 0, shape),
        "kernel_size": (own.kernel_size if own else 0, shape),
    }
    for name, (value, reason) in suggested.items():
        _inherit(decide, name, value, reason, earlier)
    units = own.dense_units * decide.value("width") if own else 0
    reason = "as many as the last stage has channels" if units else "this network has no such layer"
    _inherit(decide, "dense_units", units, reason, earlier)
    dropout, stage_dropout = (own.dropout, own.stage_dropout) if own else (0.0, 0.0)
    decide("dropout", dropout, "network", "part of this network" if dropout else "not needed in short trainings")
    reason = "part of this network" if stage_dropout else "not needed in short trainings"
    decide("stage_dropout", stage_dropout, "network", reason)
    decide("stochastic_depth", 0.0, "default", "not needed in short trainings")


def _inherit(decide: Decisions, name: str, value: object, reason: str, earlier: EarlierRun | None) -> None:
    """Decide a part of the network's form, as in the earlier run whose weights it takes."""
    if earlier and name in earlier.settings:
        decide(name, earlier.settings[name], "weights", f"as in {earlier.name}")
    else:
        decide(name, value, "network", reason)


def decide_learning(decide: Decisions, data: DataFacts, hardware: Hardware, earlier: EarlierRun | None = None) -> None:
    """Decide epochs, batches, updates, loss, and when to stop."""
    pretrained = decide.value("pretrained")
    count = data.counts["train"]
    known = earlier.head_rows(data.classes) if earlier else {}
    decide("time", 0.0, "default", "no time limit: all epochs are trained")
    _decide_length(decide, count, hardware, earlier.name if earlier and known else "")
    _decide_early_sizes(decide)
    _decide_updates(decide)
    _decide_rates(decide, count)
    _decide_loss(decide, data)
    decide("select_by", "loss", "default", "the loss takes confidence into account, accuracy only the predicted class")
    metric = decide.value("select_by")
    patience = 3 if pretrained else max(10, decide.value("epochs") // 2)
    if decide.value("schedule") == "plateau":
        patience = max(patience, 2 * round(decide.value("decay_every")) + 1)  # leaves time for a lower rate to help
    why = f"stop when the validation {metric} no longer improves"
    if decide.value("time") and decide.value("schedule") in _FALLING:
        patience, why = 0, "the learning rate falls to zero at the time limit, and its last steps gain most"
    decide("patience", patience, "default", why)


# For settings that nobody chose: values that contradict no other.
_NEUTRAL = {
    **{"time": 0, "find_rate": False, "freeze_body": False, "unfreeze_every": 0, "layer_decay": 1, "size": 10**6},
    **{"early_sizes": (), "early_share": 0, "schedule": "", "decay_unit": "", "precision": "", "device": ""},
    **{"accumulate": 1, "batch_size": 10**6, "thaw": 0, "blend": False, "head_first": True},
}


def refuse_chosen(chosen: Chosen) -> None:
    """Raise ``InputError`` for settings that a person chose and that can't be combined, whatever the others become.

    Example:
        >>> refuse_chosen({"epochs": 5, "freeze_body": True})
    """
    both = {**_NEUTRAL, **chosen}
    both["early_share"] = both["early_share"] or len(both["early_sizes"])  # planned, where one of them is open
    refuse_contradictions(SimpleNamespace(**both))
    if chosen.get("weights") and chosen.get("pretrained") is False:
        refuse_unused_weights()
    is_random = chosen.get("pretrained") is False or (chosen.get("model") in OWN_NETWORKS and not chosen.get("weights"))
    if chosen.get("epochs") == 0 and (chosen.get("head_first") is False or is_random):
        refuse_no_training()


def refuse_unused_weights() -> NoReturn:
    """Raise ``InputError``: weights are given that would not be used."""
    message = "weights are given, but pretrained is false"
    raise InputError("plan.conflict", message, "leave out --weights or --no-pretrained")


def refuse_no_training() -> NoReturn:
    """Raise ``InputError``: no epoch, and no head."""
    cure = "give --epochs 1 or more, or --set head_first=true"
    raise InputError("plan.conflict", "epochs = 0 leaves nothing to train", cure)


def refuse_contradictions(settings: Settings | SimpleNamespace) -> None:
    """Raise ``InputError`` for learning settings that can't be combined."""
    s = settings
    rules = (
        (
            s.time and s.find_rate,
            "time and find_rate can't be combined: the time limit does not cover the learning rate finder",
            "leave out one of them",
        ),
        (
            s.freeze_body and s.unfreeze_every,
            "freeze_body and unfreeze_every can't be combined: one freezes layers for good, the other for a while",
            "leave out one of them",
        ),
        (
            s.find_rate and s.unfreeze_every,
            "find_rate tests the whole network, and unfreeze_every freezes most of it at first",
            "leave out --find-lr or --set unfreeze_every",
        ),
        (
            s.thaw and s.unfreeze_every,
            "thaw and unfreeze_every can't be combined: one says what learns in all steps, the other changes it",
            "leave out one of them",
        ),
        (
            s.thaw and s.freeze_body,
            "thaw and freeze_body can't be combined: one lets layers below the head learn, the other none",
            "leave out one of them",
        ),
        (
            s.blend and not s.head_first,
            "blend needs head_first: it looks for the best network between the fitted head and the last epoch",
            "leave out --set blend=true, or give --set head_first=true",
        ),
        (
            s.freeze_body and s.layer_decay < 1,
            "layer_decay has no effect with freeze_body, which trains the head alone",
            "leave out one of them",
        ),
        (
            max(s.early_sizes, default=0) > s.size,
            f"early_sizes = {list(s.early_sizes)} must not exceed size = {s.size}",
            f"give --set early_sizes=[{s.size // 4 * 3}] or less",
        ),
        (
            bool(s.early_sizes) != bool(s.early_share),
            f"early_sizes = {list(s.early_sizes)} and early_share = {s.early_share:g} need each other",
            "give both, or neither",
        ),
        (
            s.schedule == "plateau" and s.decay_unit == "steps",
            "the schedule plateau needs decay_unit = epochs, not steps",
            "leave out --set decay_unit=steps",
        ),
        (
            s.precision == "fp16" and s.device == "cpu",
            "fp16 needs a GPU",
            "give --set precision=fp32, or bf16, which a CPU can do",
        ),
        (
            s.accumulate > s.batch_size,
            f"accumulate = {s.accumulate} is more than batch_size = {s.batch_size}",
            "give fewer parts, or a larger --batch-size",
        ),
    )
    for is_so, message, cure in rules:
        if is_so:
            raise InputError("plan.conflict", message, cure)


def _decide_length(decide: Decisions, count: int, hardware: Hardware, head_of: str) -> None:
    pretrained = decide.value("pretrained")
    decide("freeze_body", False, "default", "the whole network learns")
    if head_of:
        decide(
            "head_first",
            False,
            "weights",
            f"training continues with the head of {head_of}; fitting a new one would discard it",
        )
    else:
        reason = _HEAD_REASON if pretrained else "no pretrained features to fit a head on"
        decide("head_first", pretrained, "network", reason)
    decide_fine_tuning(decide, count, hardware)
    if pretrained and hardware.device == "cpu":
        decide("epochs", 4, "hardware", "a few epochs after the fitted head; they are slow on a CPU")
    elif pretrained:
        decide("epochs", 12, "hardware", "epochs after the fitted head")
    else:
        epochs = 40 if count < 4_000 else 20 if count < 20_000 else 12
        decide("epochs", epochs, "data", f"{count:,} training images from scratch")
    small = not pretrained and count < 4_000
    decide("batch_size", 32 if pretrained or small else 128, "data", f"{count:,} training images")
    decide.default(
        accumulate=(1, "a batch goes through the network in one piece"),
        unfreeze_every=(0.0, "all layers learn from the first step"),
    )
    if decide("compile", False, "default", "compiling takes a minute or more, too long for a short training"):
        _explain(decide, "compile", "the first step takes a minute or more, later ones are faster")
    if hardware.device.startswith("cuda"):
        decide("precision", "bf16", "hardware", "several times as fast on a GPU, with the range of fp32")
    elif hardware.device == "cpu" and hardware.has_bf16:
        decide(
            "precision",
            "bf16",
            "hardware",
            "this CPU supports bf16: 1.4 to 1.8 times as fast as fp32 where it was measured",
        )
    else:
        decide("precision", "fp32", "hardware", "the fastest on this device")
        if decide.value("precision") == "bf16" and hardware.device == "cpu" and not hardware.has_bf16:
            _explain(decide, "precision", "this CPU only emulates bf16, which is slower")


def _explain(decide: Decisions, name: str, words: str) -> None:
    """Add the consequence of a choice to its reason."""
    made = decide.values[name]
    decide.replace(name, made.value, made.origin, f"{made.reason}; {words}")


def _decide_early_sizes(decide: Decisions) -> None:
    """Decide smaller input sizes for the first steps; choosing one of the two settings decides the other too."""
    if decide.chosen("early_share", None) == 0 and not decide.chosen("early_sizes", ()):
        decide.suggest("early_sizes", (), "default", "one size throughout")
    sizes = decide("early_sizes", (), "default", "one size throughout")
    if not sizes:
        share = decide.chosen("early_share", 0.0)
        if share and decide.values["early_sizes"].origin == "default":
            smaller = max(8, decide.value("size") * 3 // 4 // 8 * 8)
            decide.replace(
                "early_sizes", (smaller,), "default", "three quarters of the side, so a step takes about half the time"
            )
        else:
            decide.suggest("early_share", 0.0, "default", "one size throughout")
    decide("early_share", 0.5, "default", "half of the steps")


def _decide_updates(decide: Decisions) -> None:
    pretrained = decide.value("pretrained")
    optimizer = decide("optimizer", "adamw", "default", "works without tuning")
    decide("weight_decay", _DECAYS.get(optimizer, 0.0), "default", f"usual for {optimizer}")
    is_muon = optimizer == "muon"
    rates = "parameters that Muon does not suit use SGD, whose usual rate is higher" if is_muon else "one rate for all"
    decide.default(
        decay_norms=(False, "norms and biases are few, and decaying them only hurts"),
        bias_rate=(5.0 if is_muon else 1.0, rates),
        head_rate=(5.0 if is_muon else 1.0, rates),
        layer_decay=(1.0, "one rate for all"),
        clip_value=(0.0, "gradient values are not clipped"),
    )
    if decide("ema", 0.0, "default", "the weights of the last step are evaluated"):
        _explain(decide, "ema", "the averaged weights are evaluated and kept")
    if pretrained:
        decide("clip_norm", 1.0, "default", "keeps a single batch from undoing the pretraining")
    else:
        decide("clip_norm", 0.0, "default", "batch norms keep gradients in range")


def _decide_rates(decide: Decisions, count: int) -> None:
    pretrained, frozen, optimizer = (decide.value(name) for name in ("pretrained", "freeze_body", "optimizer"))
    rates = _RATES.get(optimizer, _RATES["adamw"])  # another name is refused with the settings
    own, scratch, head, tuned = rates
    if frozen:
        decide("learning_rate", head, "default", "usual for a head")
    elif pretrained and optimizer == "adamw" and decide.value("head_first") and (decide.value("thaw") or count >= FEW):
        reason = "three times the cautious rate: after a fitted head it gives more in few epochs"
        decide("learning_rate", 3 * tuned, "default", reason)
    elif pretrained:
        decide("learning_rate", tuned, "default", "a tenth of a head's rate, so that pretrained features are kept")
    elif decide.value("model") in OWN_NETWORKS:
        decide("learning_rate", own, "default", f"usual for {optimizer} and a small network from scratch")
    else:
        decide("learning_rate", scratch, "default", f"usual for {optimizer} from scratch")
    if decide("find_rate", False, "default", "the usual rate works well; --find-lr searches for a better one"):
        if decide.values["learning_rate"].origin == "option" and decide.values["find_rate"].origin == "option":
            message = "--lr gives a learning rate and --find-lr searches for one"
            raise InputError("plan.conflict", message, "leave out --lr or --find-lr")
        _explain(decide, "learning_rate", "the learning rate finder searches around it and replaces it")
    schedule = decide("schedule", "cosine", "default", "falls to zero at the last step")
    warmups, factor, every = _SCHEDULES.get(schedule, _SCHEDULES["cosine"])
    if schedule == "one-cycle":
        momentum, reason = max(_MOMENTA.get(optimizer, 0.9), 0.95), "as in torch: 0.1 lower where the rate is highest"
    else:
        momentum, reason = _MOMENTA.get(optimizer, 0.9), f"usual for {optimizer}"
    decide("momentum", momentum, "default", reason)
    words = (
        "share of the steps in which the rate rises"
        if schedule == "one-cycle"
        else "the first steps are the most fragile"
    )
    decide("warmup", warmups[pretrained], "default", words)
    if every < 1:
        every = max(1.0, round(decide.value("epochs") * every))
    used = f"usual for {schedule}" if schedule in ("step", "exponential", "plateau") else f"not used by {schedule}"
    decide("decay_factor", factor, "default", used)
    decide("decay_every", every, "default", used)
    decide("decay_unit", "epochs", "default", used)


def _decide_loss(decide: Decisions, data: DataFacts) -> None:
    decide(
        "loss", {"cross_entropy": 1.0}, "default", "a proper scoring rule, so its probabilities tend to be calibrated"
    )
    decide("focal_gamma", 2.0, "default", "the value its authors recommend")
    decide(
        "label_smoothing",
        0.0,
        "default",
        "smoothing makes probabilities underconfident, and their loss chooses the epoch",
    )
    present = [count for count in data.class_counts if count]
    ratio = max(present) / min(present) if present else 1.0
    times = f"the largest class has {ratio:.3g} times the training images of the smallest"
    if ratio < _UNEVEN:
        suggested = "none", f"{times}: too even for weights, which lower the accuracy over all images"
    else:
        suggested = "class_weights", f"{times}: {_UNEVEN_REASON}"
    if decide("imbalance", suggested[0], "data", suggested[1]) == "auto":
        decide.replace("imbalance", suggested[0], "data", suggested[1])
