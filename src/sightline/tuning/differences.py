"""In what a search differs from the one that was begun under its name, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["difference_of"]

_WORDS = {
    "version": "Sightline's version",
    "data": "the data's fingerprint",
    "split": "which images train and validate",
    "classes": "the classes",
    "measured": "what measures a trial",
    "space": "the space",
    "chosen": "the settings",
}


def difference_of(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what differs, in words; empty where nothing does.

    Example:
        >>> difference_of({"version": "1", "space": {"flip": [0, 1]}}, {"version": "1", "space": {}})
        'the space: flip was [0, 1], and is not there now'
    """
    before, now = (json.loads(json.dumps(facts, default=str)) for facts in (before, now))
    told = []
    for name in [*_WORDS, *sorted((before.keys() | now.keys()) - _WORDS.keys())]:
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            keys = sorted(key for key in old.keys() | new.keys() if old.get(key, ...) != new.get(key, ...))
            told.append(f"{_WORDS.get(name, name)}: {', '.join(_told(key, old, new) for key in keys)}")
        else:
            told.append(f"{_WORDS.get(name, name)} was {_short(old)}, and is {_short(new)}")
    return "; ".join(told)


def _told(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if key not in old:
        return f"{key} was not there, and is {_short(new[key])}"
    return f"{key} was {_short(old[key])}, and is {_short(new[key]) if key in new else 'not there now'}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
