"""What a classifier said about some images: plain arrays, one row an image, in the order they were given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sightline.text import as_html, csv_text, guarded, share

__all__ = ["Prediction", "Predictions"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said about one image.

    Attributes:
        path: the image's name as it was given.
        label: the most probable class, or None when the image could not be read.
        confidence: probability of ``label``, 0 to 1; NaN when there is none.
        top: (class, probability) pairs, most probable first.
        error: why the image could not be read, or None.
        novelty: how unlike the training images it is: above 1 more than 95 % of the validation images were. None where
            that is not known.
        unknown: why the answer should be ``unknown``: ``new`` (unlike the training) or ``unsure``; empty: it is not.
    """

    path: str
    label: str | None
    confidence: float
    top: tuple[tuple[str, float], ...]
    error: str | None = None
    novelty: float | None = None
    unknown: str = ""

    @property
    def answer(self) -> str | None:
        """The class, or ``unknown``; None where the image could not be read."""
        return "unknown" if self.unknown else self.label


@dataclass(frozen=True, slots=True)
class Predictions(Sequence[Prediction]):
    """Predictions for ``N`` images and ``K`` classes.

    Attributes:
        classes: names, in the order of the columns of ``probabilities``.
        paths: the images' names, length N.
        probabilities: ``[N, K] float32``; a row sums to 1, or is NaN where the image could not be read.
        features: ``[N, D] float32``, the network's last layer before the head; NaN likewise.
        errors: reason or None, length N.
        novelty: ``[N] float32``, 0 and up; NaN where nothing is known about it.
        unknown: why each should be answered with ``unknown``: ``new``, ``unsure`` or an empty string; length N.

    Example:
        >>> one = np.array([[0.25, 0.75]], np.float32)
        >>> said = Predictions(("ant", "bee"), ("x.jpg",), one, np.zeros((1, 2), np.float32), (None,))
        >>> said[0].label, said.count_bad
        ('bee', 0)
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    errors: tuple[str | None, ...]
    novelty: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.novelty) != len(self.paths):
            object.__setattr__(self, "novelty", np.full(len(self.paths), np.nan, np.float32))
        if len(self.unknown) != len(self.paths):
            object.__setattr__(self, "unknown", ("",) * len(self.paths))

    @property
    def is_ok(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: True where the image could be read."""
        return np.array([error is None for error in self.errors], bool)

    @property
    def count_bad(self) -> int:
        """How many images could not be read."""
        return len(self.errors) - int(self.is_ok.sum())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int | slice) -> Prediction:  # type: ignore[override]
        """Return one row with all classes, most probable first.

        Raises:
            TypeError: for a slice; write ``list(predictions)[:5]``.
        """
        if isinstance(row, slice):
            raise TypeError("one row at a time; for several write list(predictions)[start:stop]")
        error = self.errors[row]
        if error is not None:
            return Prediction(self.paths[row], None, float("nan"), (), error)
        values = self.probabilities[row]
        order = np.argsort(-values, kind="stable")
        top = tuple((self.classes[i], float(values[i])) for i in order)
        novelty = None if np.isnan(self.novelty[row]) else float(self.novelty[row])
        return Prediction(self.paths[row], top[0][0], top[0][1], top, None, novelty, self.unknown[row])

    def __iter__(self) -> Iterator[Prediction]:
        return (self[row] for row in range(len(self)))

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return the rows of several predictions of one classifier, in order."""
        first = parts[0]
        return cls(
            first.classes,
            tuple(path for part in parts for path in part.paths),
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.features for part in parts]),
            tuple(error for part in parts for error in part.errors),
            np.concatenate([part.novelty for part in parts]),
            tuple(reason for part in parts for reason in part.unknown),
        )

    def judged(self, min_confidence: float, max_novelty: float) -> Predictions:
        """Return the same predictions with ``unknown`` by these thresholds.

        Args:
            min_confidence: the least probability of the best class, 0 to 1; 0: any will do.
            max_novelty: above it an image is new; infinite: none is.

        Example:
            >>> one = np.array([[0.25, 0.75]], np.float32)
            >>> said = Predictions(("ant", "bee"), ("x.jpg",), one, np.zeros((1, 2), np.float32), (None,))
            >>> said.judged(0.8, 1.0)[0].answer
            'unknown'
        """
        is_new = self.novelty > max_novelty  # false for NaN
        is_unsure = np.nan_to_num(self.probabilities.max(1, initial=0), nan=1.0) < min_confidence
        reasons = ("new" if new else "unsure" if unsure else "" for new, unsure in zip(is_new, is_unsure, strict=True))
        return replace(self, unknown=tuple(reasons))

    def sets(self, mass: float) -> list[tuple[str, ...]]:
        """Return for each image the classes that may be true, most probable first; none where it could not be read.

        Args:
            mass: a class joins as long as the probabilities of those before it are not above it. With the bundle's
                ``set_mass`` sets hold the true class in ``set_coverage`` of images.

        Example:
            >>> one = np.array([[0.25, 0.4, 0.35]], np.float32)
            >>> said = Predictions(("ant", "bee", "cow"), ("x.jpg",), one, np.zeros((1, 2), np.float32), (None,))
            >>> said.sets(0.5)
            [('bee', 'cow')]
        """
        found = []
        for row in self:
            values = np.array([value for _, value in row.top])
            before = np.concatenate([[0.0], np.cumsum(values)[:-1]]) if len(values) else values
            found.append(tuple(name for (name, _), sum_ in zip(row.top, before, strict=True) if sum_ <= mass + 1e-6))
        return found

    def to_dicts(self, *, top: int | None = None, mass: float | None = None) -> list[dict[str, object]]:
        """Return one JSON-able dict a row: path, label, answer, confidence, novelty, probabilities, error.

        With ``mass`` also ``set``, see ``sets``.
        """
        sets = self.sets(mass) if mass is not None else None
        return [
            {
                "path": row.path,
                "label": row.label,
                "answer": row.answer,
                "unknown": row.unknown,
                "confidence": None if row.error else round(row.confidence, 6),
                "novelty": None if row.novelty is None else round(row.novelty, 4),
                "probabilities": {name: round(value, 6) for name, value in row.top[:top]},
                **({"set": list(sets[position])} if sets is not None else {}),
                "error": row.error,
            }
            for position, row in enumerate(self)
        ]

    def to_jsonl(self, *, top: int | None = None, mass: float | None = None) -> str:
        """Return one JSON object a line, each line ended."""
        return "".join(json.dumps(fields) + "\n" for fields in self.to_dicts(top=top, mass=mass))

    def to_csv(self, *, top: int | None = None, header: bool = True) -> str:
        """Return CSV text.

        Without ``top`` the columns are path, label, answer, unknown, confidence, novelty, error, and for each class in
        model order ``probability:CLASS``, so that no class has the name of another column; with it, label and
        confidence repeat for the second, third ... most probable class. An answer ``unknown`` is the class of that
        name where the column unknown is empty.
        """
        count = min(top, len(self.classes)) if top else 0
        ranked = [f"{name}_{rank}" for rank in range(2, count + 1) for name in ("label", "confidence")]
        first = ["path", "label", "answer", "unknown", "confidence", "novelty", "error"]
        rows = [[*first, *(ranked if top else (f"probability:{name}" for name in self.classes))]] if header else []
        for position, row in enumerate(self):
            confidence = "" if row.error else f"{row.confidence:.6f}"
            if row.error:
                rest = [""] * (len(ranked) if top else len(self.classes))
            elif top:
                rest = [cell for name, value in row.top[1:count] for cell in (name, f"{value:.6f}")]
            else:
                rest = [f"{value:.6f}" for value in self.probabilities[position]]
            novelty = "" if row.novelty is None else f"{row.novelty:.4f}"
            said = [row.path, row.label or "", row.answer or "", row.unknown]
            rows.append([*said, confidence, novelty, row.error or "", *rest])
        return csv_text([[guarded(cell) for cell in row] for row in rows])

    def _repr_html_(self) -> str:
        """Show a table in a notebook: the first 20 rows."""
        cells = "".join(
            f"<tr><td>{as_html(row.path)}</td><td>{as_html(_shown(row))}</td>"
            f"<td>{'' if row.error else share(row.confidence)}</td></tr>"
            for row in (self[i] for i in range(min(20, len(self))))
        )
        more = f"<p>and {len(self) - 20:,} more</p>" if len(self) > 20 else ""
        head = "<tr><th>image</th><th>predicted</th><th>probability</th></tr>"
        return f"<table>{head}{cells}</table>{more}"


def _shown(row: Prediction) -> str:
    return f"unknown ({row.label}?)" if row.unknown else row.label or row.error or ""
