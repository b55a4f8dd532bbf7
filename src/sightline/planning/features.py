"""What the last layer sees: the averages of a network's last map alone, or of those of its earlier stages too."""

from __future__ import annotations

from sightline.errors import InputError
from sightline.planning.decisions import Decisions
from sightline.planning.facts import EarlierRun, NetworkFacts
from sightline.planning.own_networks import OWN_NETWORKS

__all__ = ["decide_features", "refuse_features"]

# Families for which features of several stages were measured. A head on the maps at 1/8, 1/16 and 1/32 of the image,
# each scaled alike, beside the usual features; test accuracy in percent (loss), 2 networks, 1 to 3 seeds: photos of
# clothes with lite0 at 224 px 85.8 (0.368) and 87.6 (0.342), at 160 px 3 more, with 50 images a class 1.5 more;
# enlarged scenes 1.3 more with both; ants and bees, which are classes that the networks know, 0.5 less.
_FAMILIES = ("tf_efficientnet_lite", "efficientnet_lite", "mobilenetv2_")
_REASON = (
    "maps of earlier stages, averaged, beside the last: a head on them was right 1 to 3 points more often on clothes "
    "and scenes; where the last alone has the lower held-out loss, the head is fitted on that"
)


def decide_features(decide: Decisions, network: NetworkFacts, earlier: EarlierRun | None) -> None:
    """Decide the features, after the network and whether a head is fitted first.

    Raises:
        InputError: if an earlier run's network is to have others than it was trained with.
    """
    decide("head_strength", 0.0, "default", "the strength with the lowest loss on held-out images")
    if earlier:
        used = earlier.settings.get("features", "last")
        if decide("features", used, "weights", f"as in {earlier.name}") != used:
            asked = decide.value("features")
            message = f"features = {asked}, but the network of {earlier.name} was trained with features = {used}"
            raise InputError("plan.conflict", message, "leave out --set features, or --weights")
    elif not decide.value("head_first") or not network.name.startswith(_FAMILIES):
        known = "no head is fitted first" if not decide.value("head_first") else "as its authors designed it"
        decide("features", "last", "default", known)
    else:
        decide("features", "stages", "network", _REASON)


def refuse_features(features: str, model: str) -> None:
    """Raise ``InputError`` for features of stages that one of our own networks does not have.

    Example:
        >>> refuse_features("stages", "mobilenetv2_100")
    """
    if features == "stages" and model in OWN_NETWORKS:
        message = f"features = stages, but {model} is not pretrained: its last layer alone is read"
        raise InputError("plan.conflict", message, "give --set features=last, or a timm --model")
