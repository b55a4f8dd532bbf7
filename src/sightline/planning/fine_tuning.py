"""Decisions about fine-tuning: how much of a pretrained network learns, and which network is kept after it.

Measured with the carried network at 224 px, after a head on its frozen features: photos of clothes, 425 of them with
two seeds and five epochs, and 3,068 with one seed; accuracy on images that chose nothing, in percent.

    ======================================  ============  =====================
    what learns, and the batch norms        425 photos    3,068 photos
    ======================================  ============  =====================
    the head alone                          82.7          87.6
    two stages, norms learn                 80.6          89.3 (six epochs)
    two stages, norms keep statistics       84.0          90.9 (four epochs)
    all, norms learn (192 px)               1.0 less than its head
    ======================================  ============  =====================

The rate of the two stages with frozen norms, at their end: 3e-4 84.0, 1e-3 84.8 of 425 photos of clothes; 92.4 and 90.0
of 208 photos of ants and bees (three seeds), whose head reaches 94.1: they are among the classes of the pretraining.
Halfway to the head it is 94.1 and 90.6. With 3,068 photos 5e-4 and 1e-3 gave 90.9 both.

Halfway between the head and the fine-tuned network, where norms learn: 82.7 and 90.6, with a log loss of 0.53 and 0.27
nats in place of 0.61 and 0.38 at the end.
"""

from __future__ import annotations

from sightline.planning.decisions import Decisions
from sightline.planning.facts import Hardware

__all__ = ["FEW", "decide_fine_tuning"]

FEW = 1_000  # training images: with fewer, a whole network learns at a low rate, and keeps its batch statistics
_THAWED = 3  # groups of layers: the head, and two stages


def decide_fine_tuning(decide: Decisions, count: int, hardware: Hardware) -> None:
    """Decide which layers learn, whether batch norms learn statistics, and what is kept; ``count``: training images."""
    pretrained = decide.value("pretrained")
    is_tuned = pretrained and decide.value("head_first") and not decide.value("freeze_body")
    if not is_tuned or hardware.device != "cpu" or decide.chosen("unfreeze_every", 0.0):
        decide("thaw", 0, "default", "the whole network learns")
    else:
        reason = "the head and the last two stages: a step takes less than half the time, and small sets gain as much"
        decide("thaw", _THAWED, "hardware", reason)
    if is_tuned:
        reason = "fine-tuning makes networks too sure and forgets: the best between head and last epoch is kept"
        decide("blend", True, "default", reason)
    else:
        decide("blend", False, "default", "there is no fitted head that fine-tuning starts from")
    if not pretrained:
        decide("freeze_norm", False, "default", "batch norms must learn the data's statistics")
    elif is_tuned:
        reason = "the statistics of the pretraining serve photos better: 84.0 against 80.6 % with 425 photos of clothes"
        decide("freeze_norm", True, "default", reason)
    else:
        words = "too few" if count < FEW else "enough"
        decide("freeze_norm", count < FEW, "data", f"{count:,} training images are {words} for new batch statistics")
