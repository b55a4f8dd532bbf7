"""How much of a search's lead over the plain recipe is luck: the best of many trials, measured on one validation set.

The winner of a search is the trial that fits this validation set best, by its merit and by chance. Its lead over the
plain recipe is therefore too large, and more so the more trials there are, the fewer images, and the more equal the
trials. Arrays only.

Simulated searches (``benchmarks/search_luck.py``) whose trials agree on 85 to 95 % of the images and are truly equal,
differ with a standard deviation of 0.5, 1 or 2 points, or are equal but for one that is 3 points better; 400 searches a
setting of 5 trials, 200 of more. Over these settings, where another trial than the plain recipe won:

======  ======  ===============  ====================  ==================  ===================
images  trials  true lead in     expected less true    called better,      called better, one
                the interval     lead, points          all equal           3 points better
======  ======  ===============  ====================  ==================  ===================
50      5       98 to 100 %      +0.1 to +1.3          1 %                 2 %
50      20      99 to 100 %      0.0 to +0.3           0 %                 0 %
50      100     99 to 100 %      -0.8 to +0.3          0 %                 0 %
200     5       97 to 99 %       -0.6 to +0.5          2 %                 14 %
200     20      96 to 99 %       -0.6 to +0.2          1 %                 8 %
200     100     97 to 99 %       -0.7 to -0.1          2 %                 4 %
1,000   5       96 to 97 %       -0.2 to +0.3          2 %                 80 %
1,000   20      97 to 99 %       -0.5 to +0.1          1 %                 66 %
1,000   100     95 to 99 %       -0.7 to 0.0           0 %                 62 %
======  ======  ===============  ====================  ==================  ===================

The leads as they were observed are 2 to 7 points too large for 50 images, and up to 1.7 for 1,000. The interval holds
the truth more often than 95 % where trials are nearly equal: it reaches up to where a lead without luck would, since
the scores don't show whether the winner is the luckiest of equals or the one that is truly better. Drawn about the
expected lead alone it held the truth in only 82 % of the searches in which one of 100 was better. With few trials
something of the luck stays in ``expected``, as the plain recipe was unlucky where it was beaten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Units, draw_blocks
from sightline.evaluation.paired import variance_of_gain

__all__ = ["Lead", "judge_lead"]

_TIE = 1e-9  # of the largest difference of an image: means that are nearer differ by rounding alone
_ROUNDS, _LEAST_ROUNDS, _CELLS = 500, 200, 4e8  # of resampling: usual, least, and about how many products they cost

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lead:
    """The lead of a search's winner over the plain recipe, and what of it holds on other images.

    Attributes:
        observed: the winner's mean score less the plain recipe's on the validation images, in the unit of the scores
            (for 1 and 0: a share); 0 where the plain recipe wins.
        expected: what of it is expected on other images of the same kind; below 0 where the plain recipe is expected
            to be better.
        luck: ``observed - expected``.
        low, high: the ends of the 95 % interval of the lead on other images.
        trials: how many were compared, the plain recipe among them.
        images: of validation.
    """

    observed: float
    expected: float
    luck: float
    low: float
    high: float
    trials: int
    images: int

    @property
    def is_better(self) -> bool:
        """Whether the winner is better than the plain recipe by more than luck explains: ``low`` is above 0."""
        return self.low > 0


def judge_lead(
    scores: npt.NDArray[np.float64] | npt.NDArray[np.bool_],
    plain: int = 0,
    *,
    units: Units | None = None,
    seed: int = 0,
) -> Lead:
    """Return how much of the best trial's lead over the plain recipe is expected to hold on other images.

    Images are drawn with replacement, many times. Each time the trial that is best on the drawn images is selected
    anew, and its lead is measured on the images that were not drawn; ``expected`` is the mean of these leads, at most
    what was observed. The interval reaches as far below the expected and above the observed lead as that of a paired
    difference does.

    Args:
        scores: ``[T, V]``, of each trial on each validation image, the same images for all; higher is better: 1 and 0
            for right and wrong, or minus the loss. Failed trials are left out.
        plain: row of the plain recipe. It wins ties, then the earliest trial does.
        units: ``[V]``, number of the unit (a patient, a burst of photos) of each image, which is drawn as a whole;
            None: each image is its own.
        seed: of the draws.

    Raises:
        ValueError: if there is no trial or no image, if ``plain`` is none of the trials, if ``units`` are not one an
            image, or if a score is not finite.

    References:
        I. Tsamardinos, E. Greasidou and G. Borboudakis, Bootstrapping the out-of-sample predictions for efficient and
        accurate cross-validation, Machine Learning 107 (2018).

    Example:
        >>> scores = np.random.default_rng(1).random((50, 200)) < 0.8  # fifty trials that are equally good
        >>> lead = judge_lead(scores)
        >>> round(lead.observed, 3), round(lead.expected, 3), lead.is_better
        (0.06, -0.008, False)
    """
    scores = np.asarray(scores, np.float64)
    _refuse(scores, plain, units)
    trials, images = scores.shape
    gains = np.delete(scores, plain, 0) - scores[plain]
    gains = np.concatenate([np.zeros((1, images)), gains])  # the plain recipe comes first
    winner = int(_best(gains.mean(1), gains))
    if not winner:
        return Lead(0.0, 0.0, 0.0, 0.0, 0.0, trials, images)
    observed, reach = float(gains[winner].mean()), float(scores.max() - scores.min())
    names = np.arange(images) if units is None else np.unique(units, return_inverse=True)[1]
    if not names.any():  # one unit: nothing shows how units differ, so that the lead may be anything
        return Lead(observed, 0.0, observed, -reach, reach, trials, images)
    held = float(_leads_left_out(gains, None if units is None else names, seed).mean())
    expected, spread = min(held, observed), _half_width(gains[winner], names)
    low, high = max(-reach, expected - spread), min(reach, observed + spread)
    return Lead(observed, expected, observed - expected, low, high, trials, images)


def _refuse(scores: Floats, plain: int, units: Units | None) -> None:
    """Raise ValueError for arrays that don't fit together."""
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"scores are [trials, images], at least one of each, not {scores.shape}")
    trials, images = scores.shape
    if not 0 <= plain < trials:
        raise ValueError(f"the plain recipe is one of {trials} trials, 0 to {trials - 1}, not {plain}")
    if units is not None and units.shape != (images,):
        raise ValueError(f"units are one an image, ({images},), not {units.shape}")
    failed = np.flatnonzero(~np.isfinite(scores).all(1)).tolist()
    if failed:
        raise ValueError(f"scores of trials {failed} are not finite: leave failed trials out")


def _best(means: Floats, gains: Floats) -> npt.NDArray[np.intp]:
    """Return ``[...]``, the first of the best of means ``[..., T]``, whatever the rounding of their sums."""
    near = _TIE * np.abs(gains).max()
    first: npt.NDArray[np.intp] = np.argmax(means >= means.max(-1, keepdims=True) - near, -1)
    return first


def _leads_left_out(gains: Floats, units: Units | None, seed: int) -> Floats:
    """Return ``[R]``: in each resample of the images, the lead of its best trial on the images that are not in it.

    Args:
        gains: ``[T, V]``, of each trial over the plain recipe.
        units, seed: as for ``judge_lead``; there are two units at least.
    """
    images, leads = gains.shape[1], []
    rounds = int(min(_ROUNDS, max(_LEAST_ROUNDS, _CELLS // gains.size)))
    one_class = np.zeros(images, np.int64)
    for weights in draw_blocks(one_class, units, rounds=rounds, seed=seed):  # each leaves a unit out, or more
        best = _best(weights @ gains.T / images, gains)
        outside = weights == 0
        leads.append(np.einsum("rv,rv->r", outside, gains[best]) / outside.sum(1))
    return np.concatenate(leads)


def _half_width(gain: Floats, names: Units) -> float:
    """Return half the width of the 95 % interval of a mean difference over images, by units."""
    from scipy.stats import t

    variance, freedom = variance_of_gain(gain, names)
    return float(t.ppf(0.975, freedom)) * math.sqrt(variance)
