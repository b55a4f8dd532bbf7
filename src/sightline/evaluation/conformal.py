"""Sets of classes that contain the true class as often as was asked for. Arrays only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion

__all__ = ["COVERAGE", "SETS_FROM", "PredictionSets", "choose_mass", "describe_sets", "mass_before"]

COVERAGE = 0.9  # share of images whose set holds the true class
ROUNDING = 1e-6  # of sums of probabilities, as predictions allow for too
SETS_FROM = 200  # validation images: with fewer the promise is too vague to be of use

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """What sets of classes do on test images.

    Attributes:
        aim: share of images whose set holds the true class, as it was asked for.
        mass: probability that a set is filled to.
        band: ends between which the true share is in 9 of 10 cases, for so many validation images.
        coverage: share of the test images whose set holds the true class.
        mean_size: classes in a set.
        sizes: images with sets of 1, 2, 3, 4, and 5 or more classes.
    """

    aim: float
    mass: float
    band: tuple[float, float]
    coverage: Interval
    mean_size: float
    sizes: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values, as in ``metrics.json``."""
        return {
            "aim": self.aim,
            "mass": self.mass,
            "band": list(self.band),
            "coverage": self.coverage.to_dict(),
            "mean_size": self.mean_size,
            "sizes": list(self.sizes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PredictionSets:
        """Return what ``to_dict`` was called on.

        Raises:
            LookupError, TypeError: if the values are of something else.
        """
        low, high = values["band"]
        return cls(
            aim=values["aim"],
            mass=values["mass"],
            band=(low, high),
            coverage=Interval(**values["coverage"]),
            mean_size=values["mean_size"],
            sizes=tuple(values["sizes"]),
        )


def mass_before(labels: Labels, probabilities: Shares) -> npt.NDArray[np.float64]:
    """Return ``[N]``: the probability of all classes before the true one; of equal ones the first class is first."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    is_before = (probabilities > own) | ((probabilities == own) & (np.arange(probabilities.shape[1]) < labels[:, None]))
    mass: npt.NDArray[np.float64] = np.where(is_before, probabilities, 0).sum(1, dtype=np.float64)
    return mass


def choose_mass(labels: Labels, probabilities: Shares, coverage: float = COVERAGE) -> float | None:
    """Return the mass up to which classes join a set, most probable first, so that sets hold the truth often enough.

    A class joins as long as the probabilities of those before it are not above the mass; the first always does. On new
    images like these the true class is in the set with a probability of at least ``coverage``, over the draw of these
    images too. None with fewer than 200.

    Args:
        labels: ``[N]`` of validation.
        probabilities: ``[N, K]``, calibrated.
        coverage: 0 to 1.

    References:
        Y. Romano, M. Sesia and E. Candes, Classification with valid and adaptive coverage, NeurIPS 2020, without their
        randomisation: a set is never empty, and holds the truth a little more often.

    Example:
        >>> shares = np.array([[0.6, 0.4]] * 300, np.float32)
        >>> round(choose_mass(np.array([0, 1, 0] * 100), shares), 2)
        0.6
    """
    n = len(labels)
    if n < SETS_FROM:
        return None
    rank = min(n, math.ceil((n + 1) * coverage))
    return float(np.sort(mass_before(labels, probabilities))[rank - 1])


def describe_sets(
    labels: Labels, probabilities: Shares, mass: float, count: int, units: Units | None = None
) -> PredictionSets:
    """Return what sets of that mass do on test images.

    Args:
        labels: ``[N]``.
        probabilities: ``[N, K]``.
        mass: of ``choose_mass``.
        count: validation images that chose it: they leave ``band``, in which the true coverage lies in 9 of 10 cases.
        units: ``[N]``: images of one unit are not independent; None: all are.
    """
    from scipy.stats import beta

    ordered = -np.sort(-probabilities, axis=1)
    before = np.concatenate([np.zeros((len(labels), 1)), np.cumsum(ordered, 1, dtype=np.float64)[:, :-1]], 1)
    sizes = np.maximum(1, (before <= mass + ROUNDING).sum(1))
    rank = min(count, math.ceil((count + 1) * COVERAGE))
    low, high = (float(end) for end in beta.ppf((0.05, 0.95), rank, count + 1 - rank))
    holds = mass_before(labels, probabilities) <= mass + ROUNDING
    return PredictionSets(
        aim=COVERAGE,
        mass=mass,
        band=(low, high),
        coverage=proportion(holds, units),
        mean_size=float(sizes.mean()),
        sizes=tuple(np.bincount(np.minimum(sizes, 5), minlength=6)[1:].tolist()),
    )
