"""Subjects for the checks: tables of labels with facts, without any file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sightline.checks.subject import Subject
from sightline.data.samples import Samples
from sightline.data.split import make_split, make_split_of_nothing
from sightline.errors import DataError
from sightline.pixels.image_facts import FACTS


@pytest.fixture
def subject(table: Callable[..., Samples]) -> Callable[..., Subject]:
    """Return a function that makes a :class:`Subject` of labels; ``facts`` are columns by name, one value or N."""

    def make(
        labels: Any,
        *,
        facts: dict[str, Any] | None = None,
        near: Any = (),
        doubtful: Any = (),
        versions: Any = (),
        extra_classes: Any = (),
        **more: Any,
    ):
        samples = table(labels, **more)
        rows = np.zeros(len(samples), FACTS)
        usual = {
            "width": 100,
            "height": 80,
            "bytes": 5000,
            "format": b"JPEG",
            "mode": b"RGB",
            "orientation": 1,
            "frames": 1,
            "brightness": 0.5,
            "contrast": 0.2,
            "sharpness": 0.1,
            "saturation": 0.3,
            "spread": 0.2,
        }
        for name, values in {**usual, **(facts or {})}.items():
            rows[name] = values
        pairs = [np.array(one, np.intp).reshape(-1, 2) for one in (near, doubtful, versions)]
        known = dict(zip(("near", "doubtful", "versions"), pairs, strict=True))
        samples = replace(samples, facts=rows, extra_classes=tuple(extra_classes), **known)
        try:
            return Subject(samples, make_split(samples))
        except DataError:
            return Subject(samples, make_split_of_nothing(samples))

    return make
