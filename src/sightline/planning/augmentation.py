"""Decisions about random changes of the training images."""

from __future__ import annotations

from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts
from sightline.planning.inputs import SMALL_SIDE

__all__ = ["decide_augmentation"]

# Names that a mirror would turn into another class, or into none.
_DIRECTIONS = ("left", "right", "text", "letter", "digit", "sign", "arrow")


def decide_augmentation(decide: Decisions, data: DataFacts) -> None:
    """Decide every random change."""
    mirrored = [name for name in data.classes if len(name) == 1 or any(word in name.lower() for word in _DIRECTIONS)]
    if mirrored:
        decide("flip", 0.0, "data", f"class {mirrored[0]!r} may change its meaning in a mirror")
    else:
        decide("flip", 0.5, "default", "most things look as natural in a mirror")
    is_small = data.median_short_side <= SMALL_SIDE
    if is_small:
        decide("translate", 0.0625, "default", "small shifts; the cut-off edge is mirrored in")
        decide("zoom", 0.0, "default", "small images lose too much by zooming")
    else:
        decide("translate", 0.0, "default", "random crops shift already")
        decide("zoom", 0.3, "default", "random crops of 70 to 100 % of the side")
    for name in ("brightness", "contrast", "saturation"):
        if is_small:
            decide(name, 0.0, "default", "small networks learn faster without")
        else:
            decide(name, 0.2, "default", "light and white balance differ between photos")
    decide.default(
        flip_mode=("random", "each image by chance"),
        flip_vertical=(0.0, "most things have an upper side"),
        rotate=(0.0, "most pictures are upright"),
        zoom_out=(0.0, "no border is invented"),
        shear=(0.0, "most pictures are taken straight"),
        hue=(0.0, "colours are often what tells classes apart"),
        blur=(0.0, "sharpness is left as it is"),
        blur_sigma=(2.0, "usual where blur is used"),
        erasing=(0.0, "not needed in short trainings"),
        policy=("none", "not needed in short trainings"),
        mixup=(0.0, "not needed in short trainings"),
        cutmix=(0.0, "not needed in short trainings"),
        views=(1, "the figure is that of one look at each image, as in use"),
    )
