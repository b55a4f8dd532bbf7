"""What a prediction was asked for: recorded beside its output, so that only the same question goes on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sightline.data.choices import FindingChoices
from sightline.predicting.shards import WHOLE, Shard

__all__ = ["Request", "differences"]

# How each part of a record is called on the command line.
_WORDS = {
    "model": "the model",
    "form": "--format",
    "top": "--top-k",
    "sets": "--sets",
    "min_confidence": "--min-confidence",
    "max_novelty": "--max-novelty",
    "sources": "the sources",
    "skip": "--skip",
    "follow_links": "--follow-links",
    "shard": "--shard",
    "sort": "--sort-into",
    "link": "--link",
}

_NO_CHOICES = FindingChoices()


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that the rows of an output depend on, but for the content of the images.

    Attributes:
        sources: as they were typed.
        form: ``csv``, ``jsonl`` or ``parquet``.
        top: only so many classes a row; None: all of them.
        mass: with which sets are made, or None: no sets.
        min_confidence, max_novelty: as :meth:`~sightline.runtime.classifier.Classifier.predict` takes them.
        choices: about finding the images.
        shard: which of them.
        sort: the folder that they are sorted into, or empty; ``link``: as links.
    """

    sources: tuple[str, ...]
    form: str
    top: int | None = None
    mass: float | None = None
    min_confidence: float | str = 0.0
    max_novelty: float | str = "auto"
    choices: FindingChoices = _NO_CHOICES
    shard: Shard = WHOLE
    sort: str = ""
    link: bool = False

    def record(self, digest: str) -> dict[str, Any]:
        """Return it as JSON, with the digest of the model that is asked."""
        fields = asdict(self)
        choices, mass = fields.pop("choices"), fields.pop("mass")
        return {
            "model": digest,
            **fields,
            "sources": list(self.sources),
            "sets": mass,
            "max_novelty": str(self.max_novelty),  # infinity is no JSON
            "min_confidence": str(self.min_confidence),
            "skip": list(choices["skip"]),
            "follow_links": choices["follow_links"],
            "shard": str(self.shard),
        }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words in what two records differ; empty: in nothing.

    Example:
        >>> differences({"top": 2, "sources": ["a"]}, {"top": 3, "sources": ["a"]})
        '--top-k was 2 and is 3'
    """
    found = []
    for name in dict.fromkeys([*now, *before]):
        then, asked = before.get(name), now.get(name)
        if then != asked:
            was, now_is = ("were", "are") if name == "sources" else ("was", "is")
            found.append(f"{_WORDS.get(name, name)} {was} {_shown(name, then)} and {now_is} {_shown(name, asked)}")
    return "; ".join(found)


def _shown(name: str, value: Any) -> str:
    if name == "model":
        return f"{str(value)[:12]}..."  # its sha256
    if value is None or value == "":
        return "all" if name == "top" else "off"
    if isinstance(value, Sequence) and not isinstance(value, str):
        text = " ".join(map(str, value))
        return text if len(text) <= 100 else f"{text[:100]}..."
    return value if isinstance(value, str) else json.dumps(value)
