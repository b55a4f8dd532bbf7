"""Classes of uneven size: weights for the loss, or an order in which each class occurs equally often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["balanced_order", "class_weights"]


def class_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return a weight for each class, inversely proportional to its training images; the mean over all images is 1.

    So the scale of the loss, and the effect of the learning rate, stay the same. A class without images has weight 1.

    References:
        G. King, L. Zeng, "Logistic regression in rare events data", 2001; scikit-learn's ``class_weight="balanced"``.

    Example:
        >>> class_weights((30, 10))
        (0.6666666666666666, 2.0)
    """
    present = sum(count > 0 for count in counts)
    return tuple(sum(counts) / (present * count) if count else 1.0 for count in counts)


def balanced_order(labels: npt.NDArray[np.int64], seed: int, epoch: int) -> npt.NDArray[np.intp]:
    """Return ``[N]`` positions to draw in one epoch: all classes equally often, up to one image.

    Within a class no image is repeated before all others were drawn; of a large class, each epoch draws a part.
    The order depends on seed and epoch alone.

    Args:
        labels: ``[N] int64``.
        seed: of the plan.
        epoch: from 1.

    Example:
        >>> sorted(balanced_order(np.array([0, 0, 0, 1]), seed=0, epoch=1).tolist()).count(3)
        2
    """
    random = np.random.default_rng((seed, epoch))
    classes = random.permutation(np.unique(labels))  # which classes get one image more changes from epoch to epoch
    drawn = []
    for place, wanted in enumerate(np.array_split(np.arange(len(labels)), len(classes))):
        members = np.flatnonzero(labels == classes[place])
        rounds = -(-len(wanted) // len(members))
        drawn.append(np.concatenate([random.permutation(members) for _ in range(rounds)])[: len(wanted)])
    return random.permutation(np.concatenate(drawn))
