"""What a training leaves: a network that makes features and logits of images, whatever computes it."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sightline.evaluation.abstain import Novelty
from sightline.events import Progressed
from sightline.pipeline.workbench import Workbench

if TYPE_CHECKING:
    from sightline.exporting.parity import Exportable

__all__ = ["Features", "Trained"]

Features = npt.NDArray[np.float32]


class Trained(Protocol):
    """A network of which the head is fitted, at least."""

    @property
    def feature_size(self) -> int:
        """D."""

    def extract(
        self, workbench: Workbench, rows: npt.NDArray[np.intp], total: int, done: int, until: float = math.inf
    ) -> Generator[Progressed, None, Features]:
        """Return ``[N, D]`` features of the images at ``rows``, which can be read.

        Args:
            workbench: whose images.
            rows: positions in its samples.
            total, done: progress is counted from ``done`` to ``total``.
            until: by ``time.monotonic()``, when to stop, with the features of the first images.
        """

    def logits(self, features: Features) -> Features:
        """Return ``[N, K]`` of ``[N, D]``."""

    def graph(self, temperature: float = 1.0, novelty: Novelty | None = None) -> Exportable:
        """Return what is exported; the network itself stays as it is."""
