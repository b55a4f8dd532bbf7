"""What each field of a bundle may be: it may come from a stranger, and whatever passes is used and shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sightline.text import listed, one_line, printable

__all__ = ["FIELDS", "find_fault"]

MAX_NAME = 1_000  # letters of a class name
MAX_TEXT = 10_000

Check = Callable[[Any], str]  # what is wrong with a value, or nothing


def find_fault(fields: Mapping[str, Any], checks: Mapping[str, tuple[bool, Check]]) -> str:
    """Return what is wrong with fields, by name and value; nothing where all is right.

    Args:
        fields: as JSON gives them.
        checks: name -> (whether it must be there, what is wrong with a value).

    Example:
        >>> find_fault({"model": 5}, {"model": (True, is_text)})
        'model is 5, and must be a text'
    """
    unknown = sorted(set(fields) - set(checks))
    if unknown:
        return f"it has unknown fields: {listed(unknown, 3)}"
    for name, (must, check) in checks.items():
        if must and name not in fields:
            return f"it says no {name}"
        fault = check(fields[name]) if name in fields else ""
        if fault:
            return f"{name} is {one_line(printable(repr(fields[name])[:400]), 80)}, and must be {fault}"
    return ""


def is_text(value: Any) -> str:
    """Return what is wrong with a text."""
    if not isinstance(value, str):
        return "a text"
    if _has_control(value):
        return "a text without control characters"
    return "" if len(value) <= MAX_TEXT else f"of at most {MAX_TEXT:,} letters"


def _has_control(text: str) -> bool:
    return any(unicodedata.category(letter) == "Cc" for letter in text)


def _is_time(value: Any) -> str:
    fault = is_text(value)
    if fault or not value:
        return fault
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "a time like 2026-11-22T10:00:00+00:00"
    return ""


def _are_classes(value: Any) -> str:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        return "a list of names"
    if not all(name.strip() and len(name) <= MAX_NAME for name in value):
        return f"a list of names of 1 to {MAX_NAME:,} letters"
    if any(map(_has_control, value)):
        return "a list of names without control characters"
    return "" if len(set(value)) == len(value) else "a list of names, each of them once"


def _is_object(value: Any) -> str:
    return "" if isinstance(value, dict) else "an object"


def _number(low: float, high: float, words: str, *, may_be_none: bool = False) -> Check:
    """Return a check of a number from ``low`` to ``high``."""

    def check(value: Any) -> str:
        if value is None and may_be_none:
            return ""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if is_number and low <= value <= high else words

    return check


def _is_width(value: Any) -> str:
    is_right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10**6
    return "" if is_right else "a number of features from 1 to 1,000,000"


_SHARE = "a number from 0 to 1"
# Name -> (whether it must be there: those that came later have a default; what is wrong with a value).
FIELDS: dict[str, tuple[bool, Check]] = {
    "classes": (True, _are_classes),
    "preprocess": (True, _is_object),
    "model": (True, is_text),
    "feature_size": (True, _is_width),
    "weights": (True, is_text),
    "licence": (True, is_text),
    "data_fingerprint": (True, is_text),
    "sightline": (True, is_text),
    "created": (True, _is_time),
    "temperature": (False, _number(1e-6, 1e6, "a number above 0")),
    "min_confidence": (False, _number(0, 1, _SHARE, may_be_none=True)),
    "target_error": (False, _number(0, 1, _SHARE)),
    "set_mass": (False, _number(0, 1.001, _SHARE, may_be_none=True)),  # a sum of float32
    "set_coverage": (False, _number(0, 1, _SHARE)),
    "max_novelty": (False, _number(0, 1e9, "a number of 0 or above", may_be_none=True)),
}
