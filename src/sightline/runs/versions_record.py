"""What a run keeps of the smaller versions of its classifier: a row each, and how the chosen one did on the test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sightline.runs.json_forms import NUMBER, Maybe, refuse_form

__all__ = ["ORIGINAL", "OnTest", "VersionRow", "VersionsRecord"]

_ROW = {
    **dict.fromkeys(("name", "words", "verdict"), str),
    **dict.fromkeys(("bytes", "changed", "corrected", "newly_wrong"), int),
    **dict.fromkeys(("alone", "together", "accuracy", "difference", "low", "high"), NUMBER),
    "is_within": bool,
}
_TEST = {
    **dict.fromkeys(("part", "verdict"), str),
    **dict.fromkeys(("n", "changed", "corrected", "newly_wrong"), int),
    **dict.fromkeys(("difference", "low", "high"), NUMBER),
    "accuracy": [NUMBER],
    "log_loss": [NUMBER],
    "temperature": [NUMBER],
    "new": Maybe([NUMBER]),
}
_FORM = {
    **dict.fromkeys(("made", "classifier", "processor", "chosen", "reason"), str),
    **dict.fromkeys(("threads", "images"), int),
    "max_loss": NUMBER,
    "rows": [_ROW],
    "test": Maybe(_TEST),
}
ORIGINAL = "float32"  # the classifier as it was trained, that all versions are compared with


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version, measured on validation images and on this machine.

    Attributes:
        name: ``float32`` for the classifier itself.
        words: what was done to it.
        bytes: of its ``model.onnx``.
        alone, together: milliseconds an image, in batches of 1 and of 32.
        accuracy: on validation, 0 to 1.
        difference, low, high: its accuracy less that of ``float32``, with the 95 % interval; -1 to 1.
        changed: images that it decides otherwise.
        corrected, newly_wrong: of these, right in the version alone; in ``float32`` alone.
        is_within: whether it is shown to lose no more than allowed.
        verdict: why it may be used, or not.
    """

    name: str
    words: str
    bytes: int
    alone: float
    together: float
    accuracy: float
    difference: float
    low: float
    high: float
    changed: int
    corrected: int
    newly_wrong: int
    is_within: bool
    verdict: str

    @property
    def answers_the_same(self) -> bool:
        """Whether it needs no interval: no decision changes, and no probability by more than an export's may."""
        return not self.changed and self.low == self.high == 0

    def speed(self, original: VersionRow) -> float:
        """Return how many times as fast it is: the geometric mean over both sizes of batches."""
        return math.sqrt(original.alone / self.alone * original.together / self.together)


@dataclass(frozen=True, slots=True)
class OnTest:
    """How the chosen version did on the measured images, which had no part in choosing it.

    Attributes:
        part: ``test``, or ``val`` where the run has no test images.
        n: images.
        accuracy: of (``float32``, the version), 0 to 1.
        difference, low, high: of the accuracies, with the 95 % interval.
        changed, corrected, newly_wrong: as in :class:`VersionRow`.
        verdict: in words, with the p value.
        log_loss, temperature, new: of (``float32``, the version): log-loss in nats, the fitted temperature, and the
            share of images called new; None where there is no limit of novelty.
    """

    part: str
    n: int
    accuracy: tuple[float, float]
    difference: float
    low: float
    high: float
    changed: int
    corrected: int
    newly_wrong: int
    verdict: str
    log_loss: tuple[float, float]
    temperature: tuple[float, float]
    new: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class VersionsRecord:
    """All versions that were made at once.

    Attributes:
        made: UTC time, ISO 8601.
        classifier: digest of the classifier that they are versions of, see ``Classifier.digest``.
        processor: that they were timed on.
        threads: that computed.
        images: of validation.
        max_loss: points of accuracy that a version may lose at most, at the upper end of the interval.
        rows: ``float32`` first.
        chosen: name of the version that was written; empty: none.
        reason: why that one, or why none.
        test: how it did on the test; None without one.
    """

    made: str
    classifier: str
    processor: str
    threads: int
    images: int
    max_loss: float
    rows: tuple[VersionRow, ...]
    chosen: str
    reason: str
    test: OnTest | None = None

    @property
    def original(self) -> VersionRow:
        """The row of ``float32``."""
        return self.rows[0]

    @property
    def front(self) -> tuple[str, ...]:
        """Names of the versions that no other one beats in both accuracy and latency of one image."""
        return tuple(
            row.name
            for row in self.rows
            if not any(
                other.accuracy >= row.accuracy
                and other.alone <= row.alone
                and (other.accuracy, -other.alone) != (row.accuracy, -row.alone)
                for other in self.rows
            )
        )

    def row(self, name: str) -> VersionRow:
        """Return the row of a version.

        Raises:
            KeyError: if there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"there is no version {name}")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values, with what follows from them."""
        fields = asdict(self)
        for row, own in zip(fields["rows"], self.rows, strict=True):
            row["speed"] = own.speed(self.original)
            row["is_on_front"] = own.name in self.front
        return {"schema_version": 1, **fields}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> VersionsRecord:
        """Return what ``to_dict`` returned; other fields are left out.

        Raises:
            ValueError: if something is missing, or is of another form.
        """
        refuse_form(fields, _FORM)
        rows = tuple(VersionRow(**{name: row[name] for name in VersionRow.__slots__}) for row in fields["rows"])
        names = [row.name for row in rows]
        if names[:1] != [ORIGINAL] or not all(row.alone > 0 and row.together > 0 for row in rows):
            raise ValueError("its rows are not those of versions")
        if fields["chosen"] not in (*names, ""):
            raise ValueError(f"it has no version {fields['chosen']!r}")
        test = fields["test"]
        if test is not None:
            pairs = {name: _pair(test[name]) for name in ("accuracy", "log_loss", "temperature", "new") if test[name]}
            test = OnTest(**{name: pairs.get(name, test[name]) for name in OnTest.__slots__})
        own = {name: fields[name] for name in cls.__slots__ if name not in ("rows", "test")}
        return cls(**own, rows=rows, test=test)


def _pair(values: Any) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
