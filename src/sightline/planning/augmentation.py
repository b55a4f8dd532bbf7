"""Decisions about random changes of the training images."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts, Survival
from sightline.planning.inputs import SMALL_SIDE
from sightline.planning.own_networks import SMALL_NETWORK
from sightline.planning.settings import Chosen, Settings

__all__ = ["changes_to_probe", "decide_augmentation", "harmful_choices"]

# Names that a mirror would turn into another class, or into none.
_DIRECTIONS = ("left", "right", "text", "letter", "digit", "sign", "arrow")


def decide_augmentation(decide: Decisions, data: DataFacts) -> None:
    """Decide every random change of the training images, and how many views of an image are averaged."""
    _decide_mirror(decide, data)
    if decide.value("model") == SMALL_NETWORK and decide.value("flip"):
        reason = "on small images right more often, and a prediction still takes a millisecond or two"
        decide("mirrored", True, "network", reason)
    else:
        decide("mirrored", False, "default", "a prediction looks at an image once")
    is_small = data.median_short_side <= SMALL_SIDE
    if is_small:
        decide("translate", 0.0625, "default", "small random shifts; the border is filled by reflection")
        decide("zoom", 0.0, "default", "zooming would cut too much off small images")
    else:
        decide("translate", 0.0, "default", "random crops already shift the image")
        decide("zoom", 0.3, "default", "random crops cover 70 to 100 % of the side")
    for name in ("brightness", "contrast", "saturation"):
        if is_small:
            decide(name, 0.0, "default", "small networks learn faster without it")
        else:
            decide(name, 0.2, "default", "light and white balance differ between photos")
    decide.default(
        flip_mode=("random", "each image is flipped at random"),
        flip_vertical=(0.0, "most objects have a top and a bottom"),
        rotate=(0.0, "most images are upright"),
        zoom_out=(0.0, "no artificial border is added"),
        shear=(0.0, "most images are not skewed"),
        hue=(0.0, "colour often distinguishes the classes"),
        blur=(0.0, "sharpness is not changed"),
        blur_sigma=(2.0, "the usual value where blur is used"),
        erasing=(0.0, "not needed in short trainings"),
        policy=("none", "not needed in short trainings"),
        mixup=(0.0, "not needed in short trainings"),
        cutmix=(0.0, "not needed in short trainings"),
        views=(1, "each test image is predicted once, as in use"),
    )


def _decide_mirror(decide: Decisions, data: DataFacts) -> None:
    """Decide the left-right flip: by the probe where its result is clear, else by the names of the classes."""
    survival = data.survivals.get("mirror")
    if survival and survival.verdict == "harmful":
        decide("flip", 0.0, "data", f"{survival}: mirroring changes these classes")
        return
    if survival and survival.verdict == "harmless":
        decide("flip", 0.5, "data", f"{survival}: mirroring does not change these classes")
        return
    named = [name for name in data.classes if len(name) == 1 or any(word in name.lower() for word in _DIRECTIONS)]
    unknown = f"; not probed: {data.not_probed}" if data.not_probed else ""
    if survival:
        unknown = (
            "; a quick probe was not conclusive"
            if survival.can_tell
            else "; a quick probe could not distinguish these classes"
        )
    if named:
        decide("flip", 0.0, "data", f"class {named[0]!r} may change its meaning when mirrored{unknown}")
    else:
        decide("flip", 0.5, "default", f"most objects look natural when mirrored{unknown}")


# Setting -> (change, least value from which it is such a change).
_RISKS = (
    ("flip", "mirror", 0.0),
    ("flip_vertical", "upside-down", 0.0),
    ("rotate", "turn", 0.0),
    ("rotate", "quarter-turn", 45.0),
)


def changes_to_probe(chosen: Chosen) -> tuple[str, ...]:
    """Return the changes that are worth probing: the mirror unless it is switched off, others if switched on.

    Example:
        >>> changes_to_probe({}), changes_to_probe({"flip": 0, "rotate": 90})
        (('mirror',), ('turn', 'quarter-turn'))
    """
    defaults = {"flip": 0.5}
    return tuple(change for name, change, least in _RISKS if chosen.get(name, defaults.get(name, 0.0)) > least)


def harmful_choices(settings: Settings, data: DataFacts) -> Iterator[tuple[str, Survival]]:
    """Yield (setting, what the probe found) for settings whose change alters the classes."""
    for name, change, least in _RISKS:
        survival = data.survivals.get(change)
        if survival and survival.verdict == "harmful" and getattr(settings, name) > least:
            yield name, survival
