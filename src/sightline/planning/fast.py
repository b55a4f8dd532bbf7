"""Settings for our fast network: the recipe that it was designed with, for any number of images and classes.

Sources: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498), and its Muon version. Their
rates are for batches of 2,000 and a loss that is summed over the batch; the formulas here give the same updates with
a mean loss at any batch size.
"""

from __future__ import annotations

import math

from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts
from sightline.planning.own_networks import OWN_NETWORKS

__all__ = ["head_rate_of", "suggest_fast", "usual_epochs"]

_MUON_RATE = 0.24  # at a batch of 2,000; it follows the root of the batch size
_BIAS_RATE = 0.053  # an image of the batch
_HEAD_RATE = 0.67 / 256  # an image of the batch, over the number of features
_DECAY = 1.33e-5  # an image of the batch: the share that a step takes from biases and head
_SHARE = 0.35  # of the steps, at each of the smaller sides
_SEEN = 250_000  # images in all epochs together, within the bounds below
_EPOCHS = (8, 40)
_BATCHES = (16, 500)


def suggest_fast(decide: Decisions, data: DataFacts) -> None:
    """Suggest settings for the network ``small-fast`` from scratch, before the general decisions are made."""
    count = data.counts["train"]
    low, high = _BATCHES
    batch = decide.chosen("batch_size", max(low, min(high, count // 20)))
    decide.suggest("batch_size", batch, "data", f"one twentieth of {count:,} training images, between {low} and {high}")
    few, many = _EPOCHS
    reason = f"{count:,} training images: between {few} and {many} epochs, fewer for larger sets"
    decide.suggest("epochs", usual_epochs(count), "data", reason)
    if decide.chosen("schedule", "linear") in ("linear", "cosine", "one-cycle"):
        decide.suggest("patience", 0, "network", "the last steps gain most, as the learning rate falls to zero")
    reason = "part of this recipe: higher accuracy, but underconfident probabilities"
    decide.suggest("label_smoothing", 0.2, "network", reason)
    decide.suggest("flip_mode", "alternating", "network", "each image and its mirror image are used equally often")
    _suggest_sizes(decide, decide.chosen("size", max(16, min(64, -(-data.median_short_side // 8) * 8))))
    if decide.chosen("optimizer", "muon") == "muon":
        _suggest_updates(decide, batch)


def usual_epochs(count: int) -> int:
    """Return the epochs of this recipe without a time limit, for so many training images.

    Example:
        >>> usual_epochs(1_000), usual_epochs(42_500)
        (40, 8)
    """
    few, many = _EPOCHS
    return max(few, min(many, round(_SEEN / max(1, count))))


def head_rate_of(width: int, batch: int) -> float:
    """Return the head's rate relative to the others: it follows the width.

    Example:
        >>> head_rate_of(32, 500) == 2 * head_rate_of(64, 500)
        True
    """
    return round(_HEAD_RATE * batch / (2 * width) / (_MUON_RATE * math.sqrt(batch / 2_000)), 4)


def _suggest_sizes(decide: Decisions, size: int) -> None:
    least = 24 if size > 40 else 12  # what the network's stages can halve
    sides = sorted({max(least, size // 8 * part) for part in (4, 6)} - {size})
    sides = [side for side in sides if side < size]
    reason = "the first steps learn as much from smaller images, at a fraction of the time"
    decide.suggest("early_sizes", tuple(sides), "network", reason)
    decide.suggest("early_share", _SHARE * len(sides), "network", f"{_SHARE:.0%} of the steps at each of these sizes")


def _suggest_updates(decide: Decisions, batch: int) -> None:
    width = max(1, decide.chosen("width", OWN_NETWORKS["small-fast"].width))  # 0 is refused with the settings
    rate = _MUON_RATE * math.sqrt(batch / 2_000)
    reason = f"as in the CIFAR-10 speed records, for batches of {batch} images"
    decide.suggest("optimizer", "muon", "network", "learns most per step when there are few steps")
    decide.suggest("learning_rate", round(rate, 4), "network", reason)
    decide.suggest("bias_rate", round(min(1_000, _BIAS_RATE * batch / rate), 2), "network", reason)
    decide.suggest("head_rate", head_rate_of(width, batch), "network", reason)
    decide.suggest("weight_decay", round(min(10, _DECAY * batch / rate), 4), "network", reason)
    decide.suggest(
        "decay_norms", True, "network", "biases have a high learning rate and need it; filters are normalised"
    )
    decide.suggest("schedule", "linear", "network", "falls to zero at the last step")
    if decide.chosen("schedule", "linear") != "one-cycle":  # whose rise and momentum are its own
        decide.suggest("momentum", 0.85, "network", "lower than usual, as there are few steps")
        decide.suggest("warmup", 0.0, "network", "the near-identity initialisation needs no warm-up")
