"""Decisions about what comes in: which images serve for what, and how images become the network's squares."""

from __future__ import annotations

from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts, EarlierRun, NetworkFacts

__all__ = ["SMALL_SIDE", "decide_data", "decide_pixels"]

SMALL_SIDE = 64  # up to here images are small, and a network of our own is the default
# Nine of ten images at most so long: a centre crop leaves out 15 % of the area at most.
_CROP_ASPECT = 1.18
_SQUASH_ASPECT = 2


def decide_data(decide: Decisions, data: DataFacts) -> None:
    """Decide which images are used, and for what."""
    decide.default(
        draft=(2, "a photo far larger than the input is decoded at reduced scale: several times faster"),
        value_range=((), "16 bits give their high byte; 32-bit and float images are refused"),
        on_bad=("skip", "images that can't be read are left out and counted, up to 1 %"),
        group=("", "no groups but those that a table names; copies stay together in any case"),
        fixes=("", "the data as they are"),
        val_share=(data.shares[0], "enough to choose the epoch: 15 %, at most 5,000 images"),
        test_share=(data.shares[1], "kept untouched for the final figure: 15 %, at most 10,000 images"),
        train_share=(1.0, "all images that are not kept for measuring"),
        select_on_val=(False, "a given val folder is worth more as an untouched test set"),
        seed=(0, "the same seed and threads give the same weights on a CPU"),
    )
    decide("split_seed", decide.value("seed"), "default", "the seed")


def decide_pixels(decide: Decisions, data: DataFacts, network: NetworkFacts, earlier: EarlierRun | None = None) -> None:
    """Decide the size of the input and how an image is brought to it."""
    side = data.median_short_side
    if earlier and "size" in earlier.settings:
        size = decide("size", earlier.settings["size"], "weights", f"as in {earlier.name}")
    elif network.family == "small":
        size = max(16, min(SMALL_SIDE, -(-side // 8) * 8))
        reason = f"median short side is {side} px, rounded up to 8, within 16 to {SMALL_SIDE}"
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
    if earlier and "interpolation" in earlier.settings:
        decide("interpolation", earlier.settings["interpolation"], "weights", f"as in {earlier.name}")
    else:
        decide("interpolation", network.interpolation, "network", "as the network's authors resize")
