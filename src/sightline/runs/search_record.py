"""What a run keeps of the search that it came from: the space, the trials, and what the winner's lead is worth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SearchRecord", "TrialRow"]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial.

    Attributes:
        number: in the study, from 0.
        state: ``complete``, ``pruned``, ``failed`` or ``lost``.
        reason: why it was not trained to its end.
        is_plain: whether it is the plain recipe.
        settings: dial -> value.
        score: validation accuracy, 0 to 1; None unless complete.
        course: accuracy after each epoch that was trained, or of the folds so far after each of them.
        seconds: that it took.
    """

    number: int
    state: str
    reason: str
    is_plain: bool
    settings: Mapping[str, Any]
    score: float | None
    course: tuple[float, ...]
    seconds: float

    @property
    def reached(self) -> float:
        """The score, or of a trial that was stopped the last accuracy; NaN where there is none."""
        if self.score is not None:
            return self.score
        return self.course[-1] if self.course else math.nan


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """The search.

    Attributes:
        name: of the search.
        sentence: what the winner's lead on validation is worth.
        best, plain: numbers of the best trial and of the plain recipe's.
        ships: ``best`` or ``plain``.
        lead: fields of :class:`~sightline.evaluation.search_luck.Lead`.
        sampler, pruner: by name.
        seconds: of the whole search so far.
        validation_images: that measured each trial.
        folds: that they are in, each measured by a network that was not trained on it; 0: they are of one split.
        space: dial -> ``low``, ``high``, ``step``, ``log``, or ``choices``.
        importance: dial -> share of the differences between trials that it explains, 0 to 1; empty where unknown.
        trials: in the order of their numbers.
    """

    name: str
    sentence: str
    best: int
    plain: int
    ships: str
    lead: Mapping[str, Any]
    sampler: str
    pruner: str
    seconds: float
    validation_images: int
    space: Mapping[str, Mapping[str, Any]]
    importance: Mapping[str, float]
    trials: tuple[TrialRow, ...]
    folds: int = 0

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SearchRecord:
        """Return what ``search.json`` says; other fields are left out.

        Raises:
            KeyError, TypeError: if something is missing.
        """
        own = {name: fields[name] for name in cls.__slots__ if name not in ("trials", "folds")}
        names = TrialRow.__slots__
        trials = tuple(
            TrialRow(**{**{name: row[name] for name in names}, "course": tuple(row["course"])})
            for row in fields["trials"]
        )
        return cls(**own, trials=trials, folds=fields.get("folds", 0))

    @property
    def accuracy_words(self) -> str:
        """What a trial's score is."""
        return f"Accuracy over {self.folds} folds" if self.folds else "Validation accuracy"

    @property
    def complete(self) -> tuple[TrialRow, ...]:
        """The trials that were trained to their end."""
        return tuple(trial for trial in self.trials if trial.score is not None)

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of trials, the most frequent first."""
        return dict(Counter(trial.state for trial in self.trials).most_common())

    def trial(self, number: int) -> TrialRow:
        """Return a trial by its number.

        Raises:
            KeyError: if there is none.
        """
        for trial in self.trials:
            if trial.number == number:
                return trial
        raise KeyError(f"there is no trial {number}")
