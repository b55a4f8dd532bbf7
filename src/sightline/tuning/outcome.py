"""What came of one trial of a search: a record, and its form in the study's storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STATES", "Outcome", "completed", "pack_hits", "settings_words", "unpack_hits"]

# State -> what it means, in words.
STATES = {
    "complete": "trained to its end and measured on validation",
    "pruned": "stopped early: it was behind other trials at the same epoch",
    "failed": "it could not be trained; the reason says why",
    "lost": "its process was stopped or killed; its settings were tried again",
    "running": "being trained now",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial.

    Attributes:
        number: in the study, from 0.
        state: one of ``STATES``.
        reason: why it failed, was pruned or lost; for a complete one whatever should be known.
        settings: dial -> value; empty for the plain recipe where its values lie outside of the space.
        is_plain: whether it is the plain recipe.
        score: accuracy on the validation images that choose the epoch, of all folds where there are folds, 0 to 1;
            None unless complete.
        loss: log-loss on them, in nats; None where it is not known.
        epoch: the best one, whose network was measured; the middle one of several folds.
        course: validation accuracy after each epoch that was trained; with folds that so far after each fold.
        seconds: that it took.
        worker: process and host.
        retry_of: number of the lost trial that this one repeats; None: it repeats none.
        hits: for each validation image "1" where it is right, packed and in hexadecimal, see ``unpack_hits``.
    """

    number: int
    state: str
    reason: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_plain: bool = False
    score: float | None = None
    loss: float | None = None
    epoch: int = 0
    course: tuple[float, ...] = ()
    seconds: float = 0.0
    worker: str = ""
    retry_of: int | None = None
    hits: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Outcome:
        """Return what ``to_dict`` made."""
        return cls(**{**fields, "course": tuple(fields.get("course", ()))})

    def words(self) -> str:
        """Return the result in a few words, for a line of a table."""
        if self.state == "complete":
            return f"{100 * (self.score or 0.0):.2f} %"
        return f"{self.state}: {self.reason}" if self.reason else self.state


def settings_words(settings: Mapping[str, Any]) -> str:
    """Return values of dials in a line.

    Example:
        >>> settings_words({"learning_rate": 0.00123456, "depth": 2})
        'learning_rate 0.001235, depth 2'
    """
    shown = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items()
    )
    return ", ".join(shown)


def pack_hits(hits: npt.NDArray[np.bool_]) -> str:
    """Return ``[V] bool`` as text.

    Example:
        >>> unpack_hits(pack_hits(np.array([True, False, True])), 3).tolist()
        [True, False, True]
    """
    return np.packbits(hits).tobytes().hex()


def unpack_hits(text: str, count: int) -> npt.NDArray[np.bool_]:
    """Return the ``[count] bool`` of what ``pack_hits`` made.

    Raises:
        ValueError: if it is of another number of images, as far as its length shows.
    """
    if len(text) != 2 * -(-count // 8):
        raise ValueError(f"{len(text)} letters are not those of {count} images")
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count)
    found: npt.NDArray[np.bool_] = bits.astype(bool)
    return found


def completed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the trials that were trained to their end, the plain recipe first, then in order."""
    done = [outcome for outcome in outcomes if outcome.state == "complete"]
    return sorted(done, key=lambda outcome: (not outcome.is_plain, outcome.number))
