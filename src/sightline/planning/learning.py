"""Decisions about the network and how it learns."""

from __future__ import annotations

from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts
from sightline.planning.own_networks import OWN_NETWORKS

__all__ = ["decide_learning", "decide_network"]

_HEAD_REASON = "logistic regression on frozen features: a good model in seconds, and a safe start for fine-tuning"
_UNEVEN = 10  # largest class over smallest, from which on the loss is weighted

# The highest learning rate of each optimiser: (from scratch, a head alone, a pretrained network).
_RATES = {
    "sgd": (0.1, 0.1, 1e-3),
    "adam": (1e-3, 1e-3, 1e-4),
    "adamw": (4e-3, 1e-3, 1e-4),
    "rmsprop": (1e-3, 1e-3, 1e-4),
    "muon": (0.02, 0.02, 2e-3),
}
_DECAYS = {"sgd": 5e-4, "adam": 0.0, "adamw": 0.05, "rmsprop": 0.0, "muon": 0.01}


def decide_network(decide: Decisions, network: NetworkFacts, earlier: EarlierRun | None = None) -> None:
    """Decide where the weights come from and what the network looks like."""
    weights = decide("weights", "", "default", "the published weights of the network, where there are any")
    if earlier:
        decide("pretrained", True, "weights", f"goes on from {earlier.name}; licence: {earlier.licence}")
    elif weights or network.has_weights:
        reason = f"far better than a random start on photos; licence of the weights: {network.licence}"
        decide("pretrained", True, "network", "from the given file" if weights else reason)
    else:
        decide("pretrained", False, "network", "no published weights: training starts from scratch")
    own = OWN_NETWORKS.get(network.name)
    expects = f"as {network.name} expects it" if weights else "as the weights expect it"
    shape = "usual for this network" if own else "as its authors made it"
    suggested = {
        "mean": (network.mean, expects if network.has_weights else "centre of 0..1"),
        "std": (network.std, expects if network.has_weights else "spread of 0..1"),
        "width": (own.width if own else 0, shape),
        "depth": (own.depth if own else 0, shape),
    }
    for name, (value, reason) in suggested.items():
        if earlier and name in earlier.settings:
            decide(name, earlier.settings[name], "weights", f"as in {earlier.name}")
        else:
            decide(name, value, "network", reason)
    dropout, stage_dropout = (own.dropout, own.stage_dropout) if own else (0.0, 0.0)
    decide("dropout", dropout, "network", "part of this network" if dropout else "not needed in short trainings")
    reason = "part of this network" if stage_dropout else "not needed in short trainings"
    decide("stage_dropout", stage_dropout, "network", reason)
    decide("stochastic_depth", 0.0, "default", "not needed in short trainings")


def decide_learning(decide: Decisions, data: DataFacts, hardware: Hardware, earlier: EarlierRun | None = None) -> None:
    """Decide epochs, batches, updates, loss, and when to stop."""
    pretrained = decide.value("pretrained")
    count = data.counts["train"]
    known = earlier.head_rows(data.classes) if earlier else {}
    _decide_length(decide, count, hardware, earlier.name if earlier and known else "")
    _decide_updates(decide, pretrained)
    _decide_loss(decide, data)
    decide("select_by", "loss", "default", "it sees how sure the network is, accuracy only which class wins")
    patience = 3 if pretrained else max(10, decide.value("epochs") // 2)
    figure = decide.value("select_by")
    decide("patience", patience, "default", f"stop when the validation {figure} no longer gets better")
    if not pretrained:
        decide("freeze_norm", False, "default", "batch norms must learn the data's statistics")
    elif count < 1_000:
        decide("freeze_norm", True, "data", f"{count:,} training images are too few for new batch statistics")
    else:
        decide("freeze_norm", False, "data", f"{count:,} training images are enough for new batch statistics")


def _decide_length(decide: Decisions, count: int, hardware: Hardware, head_of: str) -> None:
    pretrained = decide.value("pretrained")
    decide("freeze_body", False, "default", "the whole network learns")
    if head_of:
        decide("head_first", False, "weights", f"the head of {head_of} goes on; fitting one would put it aside")
    else:
        reason = _HEAD_REASON if pretrained else "no pretrained features to fit a head on"
        decide("head_first", pretrained, "network", reason)
    if pretrained and hardware.device == "cpu":
        decide("epochs", 4, "hardware", "after the fitted head, a few epochs of the whole network; a CPU is slow at it")
    elif pretrained:
        decide("epochs", 12, "hardware", "after the fitted head, the whole network, from there")
    else:
        epochs = 40 if count < 4_000 else 20 if count < 20_000 else 12
        decide("epochs", epochs, "data", f"{count:,} training images from scratch")
    small = not pretrained and count < 4_000
    decide("batch_size", 32 if pretrained or small else 128, "data", f"{count:,} training images")
    decide.default(
        accumulate=(1, "a whole batch goes through at once"),
        unfreeze_every=(0.0, "all layers learn from the first step"),
        early_size=(0, "one size throughout"),
        early_share=(0.0, "one size throughout"),
        compile=(False, "compiling costs a minute or more, which a short training does not win back"),
    )
    if hardware.device.startswith("cuda"):
        decide("precision", "bf16", "hardware", "several times as fast on a GPU, with the range of fp32")
    else:
        decide("precision", "fp32", "hardware", "the fastest on this device")


def _decide_updates(decide: Decisions, pretrained: bool) -> None:
    frozen = decide.value("freeze_body")
    optimizer = decide("optimizer", "adamw", "default", "works without tuning")
    scratch, head, tuned = _RATES.get(optimizer, _RATES["adamw"])  # another name is refused with the settings
    if pretrained and not frozen:
        reason = "a tenth of a head's rate, so that pretrained features are kept"
        decide("learning_rate", tuned, "default", reason)
    else:
        reason = "usual for a head" if frozen else f"usual for {optimizer} from scratch"
        decide("learning_rate", head if frozen else scratch, "default", reason)
    decide("momentum", 0.9, "default", f"usual for {optimizer}")
    decide("weight_decay", _DECAYS.get(optimizer, 0.0), "default", f"usual for {optimizer}")
    decide("schedule", "cosine", "default", "falls to zero with the last step")
    decide("warmup", 0.1 if pretrained else 0.2, "default", "the first steps are the most fragile")
    decide.default(
        decay_norms=(False, "they are few, and decaying them only hurts"),
        bias_rate=(1.0, "one rate for all"),
        layer_decay=(1.0, "one rate for all"),
        decay_factor=(0.1, "usual for steps"),
        decay_every=(7.0, "usual for steps"),
        decay_unit=("epochs", "usual for steps"),
        clip_value=(0.0, "no single value is cut"),
        ema=(0.0, "the weights of the last step are measured"),
    )
    if pretrained:
        decide("clip_norm", 1.0, "default", "no single batch may undo the pretraining")
    else:
        decide("clip_norm", 0.0, "default", "batch norms keep gradients in range")


def _decide_loss(decide: Decisions, data: DataFacts) -> None:
    decide("loss", {"cross_entropy": 1.0}, "default", "its probabilities mean what they say")
    decide("focal_gamma", 2.0, "default", "as its authors chose it")
    decide("label_smoothing", 0.0, "default", "smoothing makes probabilities too timid, and they choose the epoch")
    present = [count for count in data.class_counts if count]
    ratio = max(present) / min(present) if present else 1.0
    if ratio < _UNEVEN:
        suggested = "none", f"the largest class has {ratio:.1f} times the training images of the smallest"
    else:
        reason = f"the largest class has {ratio:.0f} times the training images of the smallest: small ones count more"
        suggested = "class_weights", reason
    if decide("imbalance", suggested[0], "data", suggested[1]) == "auto":
        decide.replace("imbalance", suggested[0], "data", suggested[1])
