"""Images that a run keeps as arrays for its page: changed training images, explanations of measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Explanations", "Views"]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Some training images, plain and changed.

    Attributes:
        labels: ``[N] int64``.
        plain: ``[N, S, S, 3] uint8``, as in evaluation.
        changed: ``[N, V, S, S, 3] uint8``, as in ``V`` steps of the training.
        shares: ``[N, V, K] float32``: the targets of the loss; 1 for one class, unless images are mixed.
    """

    labels: npt.NDArray[np.int64]
    plain: Bytes
    changed: Bytes
    shares: npt.NDArray[np.float32]

    def shrunk(self, side: int) -> Views:
        """Return the same with images of at most ``side`` px."""
        from PIL import Image

        if self.plain.shape[1] <= side:
            return self

        def shrink(images: Bytes) -> Bytes:
            flat = images.reshape(-1, *images.shape[-3:])
            small = [Image.fromarray(image).resize((side, side), Image.Resampling.BOX) for image in flat]
            return np.stack([np.asarray(one) for one in small]).reshape(*images.shape[:-3], side, side, 3)

        return replace(self, plain=shrink(self.plain), changed=shrink(self.changed))


@dataclass(frozen=True, slots=True, eq=False)
class Explanations:
    """Which places of ``M`` measured images moved the score of their predicted classes.

    Attributes:
        images: ``[M, S, S, 3] uint8``.
        paths: ``[M] str``.
        labels, predicted: ``[M] int64``, true and most probable classes.
        confidence: ``[M]``, the probability of the latter.
        agreement: ``[M]``, rank correlation of the two maps; NaN where there are no two.
        layer: the module whose output Grad-CAM looked at; empty without it.
        gradcam, occlusion: ``[M or fewer, S, S] uint8``, maps of 0 to 255 of the first images; None: not made.
    """

    images: Bytes
    paths: npt.NDArray[np.str_]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.floating[Any]]
    agreement: npt.NDArray[np.floating[Any]]
    layer: str
    gradcam: Bytes | None = None
    occlusion: Bytes | None = None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Explanations:
        """Return those of a file; ``pictures`` is what runs before 0.2 called ``images``.

        Raises:
            LookupError, TypeError: if arrays are missing.
        """
        named = {"images" if name == "pictures" else name: array for name, array in arrays.items()}
        known: dict[str, Any] = {field.name: named[field.name] for field in fields(cls) if field.name in named}
        return cls(**{**known, "layer": str(named["layer"])})
