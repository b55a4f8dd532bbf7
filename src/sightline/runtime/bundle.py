"""What must travel with a network so that it means something: classes, preprocessing, origin.

The bundle is one JSON document. It stands in ``model.onnx``'s metadata under the key ``sightline``, so that
one file is enough, and beside it as ``classifier.json`` for people and other programs.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from sightline.errors import ModelError
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle_schema import FIELDS, find_fault
from sightline.text import one_line, printable, readable_bytes

__all__ = ["MAX_METADATA", "METADATA_KEY", "SCHEMA_VERSION", "Bundle"]

SCHEMA_VERSION = 3
_READABLE = (2, 3)  # in 2 there was no max_novelty
MAX_METADATA = 16 * 2**20  # bytes: the names of some 100,000 classes
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
        min_confidence: from which on at most ``target_error`` of the predictions are wrong, in 19 of 20 draws of
            validation images; None where no threshold can promise that.
        target_error: share of wrong answers that ``min_confidence`` was chosen for.
        set_mass: of sets of classes, see ``Predictions.sets``; None where validation was too small to choose it.
        set_coverage: share of images whose set holds the true class, as ``set_mass`` was chosen for.
        max_novelty: above which at most 5 in 100 images like the validation images lie, in 9 of 10 draws of these; None
            where validation was too small to promise that.
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
    max_novelty: float | None = 1.0

    @property
    def novelty_limit(self) -> float:
        """``max_novelty``, or infinity where there is none: no image is new then."""
        return math.inf if self.max_novelty is None else self.max_novelty

    def to_json(self, *, ascii_only: bool = False) -> str:
        """Return the bundle as one JSON document, indented, with its schema version.

        Args:
            ascii_only: escape all other letters; a class name that is no UTF-8 can't be stored in ONNX otherwise.
        """
        fields = {**asdict(self), "classes": list(self.classes), "preprocess": self.preprocess.to_dict()}
        return json.dumps({"schema_version": SCHEMA_VERSION, **fields}, indent=2, ensure_ascii=ascii_only)

    @classmethod
    def read(cls, file: Path) -> Bundle:
        """Read a ``classifier.json``.

        Raises:
            ModelError: as for :meth:`from_json`, and for a file that is not there, too large, or not UTF-8.
        """
        cure = "export the classifier again: sightline export RUN"
        try:
            size = file.stat().st_size
            text = file.read_text("utf-8") if size <= MAX_METADATA else ""
        except (OSError, ValueError) as error:
            raise ModelError("model.bundle", f"{file} can't be read: {one_line(error)}", cure) from error
        if size > MAX_METADATA:
            raise ModelError("model.bundle", f"{file} takes {readable_bytes(size)}; no bundle does", cure)
        return cls.from_json(text, source=str(file))

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Bundle:
        """Read what ``to_json`` wrote.

        Args:
            text: the JSON document.
            source: what to call it in an error: a path.

        Raises:
            ModelError: if it is damaged, says what no classifier can have, or was written by a newer Sightline.
        """
        cure = "export the classifier again: sightline export RUN; where the run is of another version too, train again"

        def damaged(why: object) -> ModelError:
            text = one_line(printable(str(why)), 300)
            return ModelError("model.bundle", f"{source} has no readable bundle: {text}", cure)

        try:
            fields = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_such_number)
        except (ValueError, RecursionError) as error:
            raise damaged(error) from error
        if not isinstance(fields, dict) or "schema_version" not in fields:
            raise damaged("it says no schema_version")
        version = fields.pop("schema_version")
        if version not in _READABLE or not isinstance(version, int):
            reads = " and ".join(map(str, _READABLE))
            message = f"{source} has schema version {one_line(repr(version), 40)}; this Sightline reads {reads}"
            raise ModelError("model.schema", message, cure)
        fault = find_fault(fields, FIELDS)
        if fault:
            raise damaged(fault)
        try:
            preprocess = Preprocess.from_dict(fields.pop("preprocess"))
        except ModelError as error:
            raise ModelError(error.code, f"{source}: {error.message}", error.cure) from error
        return cls(classes=tuple(fields.pop("classes")), preprocess=preprocess, **fields)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; of a name that stands there twice, it would silently be the last."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands there twice")
    return fields


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
