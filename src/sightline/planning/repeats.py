"""The ways in which one recipe is trained several times, in one table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REPEATS", "Repeats"]


@dataclass(frozen=True, slots=True)
class Repeats:
    """A way to train one recipe several times.

    Attributes:
        kind: as it is typed (``--folds``) and as ``run.json`` records it.
        one: a single training of it, as its folder is named (``fold-1``).
        code: of the error for a number of trainings that is too small.
        splits_data: whether each training has a split of its own, so that every image is tested once and predictions
            are pooled; otherwise all measure the same images, and metrics are averaged.
    """

    kind: str
    one: str
    code: str
    splits_data: bool

    def describe(self, number: int, times: int) -> str:
        """Return which training this is, in words.

        Example:
            >>> REPEATS["folds"].describe(2, 5)
            'fold 2 of 5'
        """
        return f"{self.one} {number} of {times}"


# By ``kind`` in run.json. A run of a kind that is not here is a single training, or a kept evaluation.
REPEATS = {
    "folds": Repeats("folds", "fold", "split.folds", splits_data=True),
    "seeds": Repeats("seeds", "seed", "plan.seeds", splits_data=False),
}
