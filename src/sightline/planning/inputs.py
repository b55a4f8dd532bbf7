"""Decisions about the input: which images are used for what, and how they become the network's square input."""

from __future__ import annotations

from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts, EarlierRun, NetworkFacts

__all__ = ["SMALL_SIDE", "decide_data", "decide_pixels"]

SMALL_SIDE = 64  # up to here images are small, and a network of our own is the default
# If 90 % of the images are at most this long for their width, a centre crop leaves out 15 % of the area at most.
_CROP_ASPECT = 1.18
_SQUASH_ASPECT = 2


def decide_data(decide: Decisions, data: DataFacts) -> None:
    """Decide which images are used, and for what."""
    decide.default(
        draft=(2, "photos far larger than the input are decoded at reduced scale, several times faster"),
        value_range=((), "the high byte of 16-bit images is used; 32-bit and float images are refused"),
        on_bad=("skip", "images that can't be read are left out and counted, up to 1 %"),
        group=("", "no groups except those in a table; copies always stay on one side of the split"),
        fixes=("", "the data are used as they are"),
        versions=("auto", "likely pairs are compared first, and all where some are versions of one original"),
        layout=("", "by the names of the folders"),
        skip=((), "nothing but hidden files, conflict copies and what Sightline wrote"),
        follow_links=(False, "links that lead out of the folder are not data unless you say so"),
        val_share=(data.shares[0], "enough to choose the epoch: 15 %, at most 5,000 images"),
        test_share=(data.shares[1], "kept for the final evaluation: 15 %, at most 10,000 images"),
        train_share=(1.0, "all images that are not in validation or test"),
        resplit=(False, "a split that comes with the images is used as it is"),
        select_on_val=(False, "where no test set is given, a given val folder becomes the test set"),
        seed=(0, "the same seed and threads give the same weights on a CPU"),
    )
    decide("split_seed", decide.value("seed"), "default", "the same as seed")


def decide_pixels(decide: Decisions, data: DataFacts, network: NetworkFacts, earlier: EarlierRun | None = None) -> None:
    """Decide the size of the input and how an image is fitted to it."""
    side = data.median_short_side
    if earlier and "size" in earlier.settings:
        size = decide("size", earlier.settings["size"], "weights", f"as in {earlier.name}")
    elif network.family == "small":
        size = max(16, min(SMALL_SIDE, -(-side // 8) * 8))
        reason = f"median short side of {side} px, rounded up to a multiple of 8, between 16 and {SMALL_SIDE}"
        size = decide("size", size, "data", reason)
    else:
        size = decide("size", network.size, "network", "the size that the network was trained at")
    most = f"90 % of the images are at most {data.wide_aspect:g} times as long as wide"
    if data.wide_aspect < 1.05:
        most = "90 % of the images are square or nearly so"
    if data.wide_aspect <= _CROP_ASPECT:
        fit = decide("fit", "crop", "data", f"{most}: a centre crop leaves out little")
    elif data.wide_aspect <= _SQUASH_ASPECT:
        # Measured on photos of 4:3, frozen features: as good as a crop or better, and nothing is cut off.
        fit = decide("fit", "squash", "data", f"{most}: they are stretched a little, and nothing is cut off")
    else:
        fit = decide("fit", "pad", "data", f"{most}: a crop would lose too much, and stretching would distort")
    if fit == "crop" and data.wide_aspect > _CROP_ASPECT and network.family != "small":
        resize = round(size * network.resize / network.size)
        decide("resize", resize, "network", "short side before the centre crop, as in its authors' evaluation")
    else:
        decide("resize", size, "default", "the short side is scaled to the input's side: no border is cut off")
    if earlier and "interpolation" in earlier.settings:
        decide("interpolation", earlier.settings["interpolation"], "weights", f"as in {earlier.name}")
    else:
        decide("interpolation", network.interpolation, "network", "as the network's authors resized")
