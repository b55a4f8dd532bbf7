"""What must travel with a network so that it means something: classes, preprocessing, origin.

The bundle is one JSON document. It stands in ``model.onnx``'s metadata under the key ``sightline``, so that
one file is enough, and beside it as ``classifier.json`` for people and other programs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from sightline.errors import ModelError
from sightline.pixels.preprocess import Preprocess

__all__ = ["METADATA_KEY", "SCHEMA_VERSION", "Bundle"]

SCHEMA_VERSION = 2
METADATA_KEY = "sightline"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything about a classifier that its weights don't say.

    Attributes:
        classes: names in the order of the network's outputs.
        preprocess: how a decoded image becomes the network's input.
        model: name of the network, timm's where it is one.
        feature_size: length of the ``features`` output.
        weights: where the starting weights came from, in words.
        licence: licence of those weights, in words.
        data_fingerprint: sha256 over all images and labels that the run was given.
        sightline: version that wrote the bundle.
        created: UTC time, ISO 8601.
        temperature: that the logits are divided by, fitted on validation; it is in the graph.
        min_confidence: from which on at most ``target_error`` of the predictions were wrong on validation, by the upper
            end of the 95 % interval; None where no threshold reached that.
        target_error: share of wrong answers that ``min_confidence`` was chosen for.
        set_mass: of sets of classes, see ``Predictions.sets``; None where validation was too small to choose it.
        set_coverage: share of images whose set holds the true class, as ``set_mass`` was chosen for.
    """

    classes: tuple[str, ...]
    preprocess: Preprocess
    model: str
    feature_size: int
    weights: str
    licence: str
    data_fingerprint: str
    sightline: str
    created: str
    temperature: float = 1.0
    min_confidence: float | None = None
    target_error: float = 0.05
    set_mass: float | None = None
    set_coverage: float = 0.9

    def to_json(self, *, ascii_only: bool = False) -> str:
        """Return the bundle as one JSON document, indented, with its schema version.

        Args:
            ascii_only: escape all other letters; a class name that is no UTF-8 can't be stored in ONNX otherwise.
        """
        fields = {**asdict(self), "classes": list(self.classes), "preprocess": self.preprocess.to_dict()}
        return json.dumps({"schema_version": SCHEMA_VERSION, **fields}, indent=2, ensure_ascii=ascii_only)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Bundle:
        """Read what ``to_json`` wrote.

        Args:
            text: the JSON document.
            source: what to call it in an error: a path.

        Raises:
            ModelError: if it is damaged, or was written by a newer Sightline.
        """
        cure = "export the classifier again: sightline export RUN; where the run is of another version too, train again"
        try:
            fields: dict[str, Any] = json.loads(text)
            version = fields.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ModelError(
                    "model.schema",
                    f"{source} has schema version {version}; this Sightline reads {SCHEMA_VERSION}",
                    cure,
                )
            classes = tuple(str(name) for name in fields.pop("classes"))
            return cls(classes=classes, preprocess=Preprocess.from_dict(fields.pop("preprocess")), **fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError("model.bundle", f"{source} has no readable bundle: {error}", cure) from error
