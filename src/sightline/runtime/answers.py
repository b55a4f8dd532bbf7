"""What a network's outputs must be, whatever file computed them; nothing else is ever shown as an answer."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["TOLERANCE", "find_wrong_answer"]

TOLERANCE = 1e-3  # of a sum of probabilities in float32: rounding of 20,000 classes is a hundredth of that

AnyArray = np.ndarray[Any, Any]


def find_wrong_answer(outputs: list[AnyArray], images: int, classes: int, width: int) -> str:
    """Return what is wrong with answers, or an empty text.

    Probabilities must be finite, from 0 to 1, and sum to 1; features finite; novelty finite and not below 0.

    Args:
        outputs: probabilities ``[N, K]``, features ``[N, D]`` and novelty ``[N]``, as they came from the graph.
        images, classes, width: N, K and D as they must be.

    Example:
        >>> said = [np.array([[0.5, 0.9]], np.float32), np.zeros((1, 3), np.float32), np.zeros(1, np.float32)]
        >>> find_wrong_answer(said, 1, 2, 3)
        'probabilities that sum to 1.4'
    """
    shapes = [output.shape for output in outputs]
    wanted = [(images, classes), (images, width), (images,)]
    if shapes != wanted or any(output.dtype != np.float32 for output in outputs):
        kinds = [f"{output.dtype} {list(output.shape)}" for output in outputs]
        return f"outputs {', '.join(kinds)} where float32 {', '.join(str(list(shape)) for shape in wanted)} must be"
    probabilities, features, novelty = outputs
    sums = probabilities.sum(1, dtype=np.float64)
    faults = (
        ("probabilities that are not finite", ~np.isfinite(probabilities).all(1)),
        ("probabilities below 0 or above 1", ((probabilities < 0) | (probabilities > 1 + TOLERANCE)).any(1)),
        ("probabilities that sum to {:.4g}", ~(np.abs(sums - 1) <= TOLERANCE)),
        ("features that are not finite", ~np.isfinite(features).all(1)),
        ("a novelty that is not finite, or below 0", ~(np.isfinite(novelty) & (novelty >= 0))),
    )
    for words, is_wrong in faults:
        if is_wrong.any():
            return words.format(sums[is_wrong.argmax()])
    return ""
