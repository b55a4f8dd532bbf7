"""Decisions: one setting each, with its origin and reason; what a person chose wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.planning.recipe import Recipe

__all__ = ["Decision", "Decisions"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One setting: its value, where it came from (option, recipe, time, data, hardware, network, default, unused), and
    why."""

    name: str
    value: Any
    origin: str
    reason: str


class Decisions:
    """Collects decisions; what a person chose wins over what fits into the time, and that over what is suggested.

    Attributes:
        values: decisions by the name of their setting, in the order in which they were made.
    """

    def __init__(self, recipe: Recipe, options: Recipe, timed: Mapping[str, tuple[Any, str]] | None = None) -> None:
        timed = timed or {}
        by_time = {name: value for name, (value, _) in timed.items()}
        self._chosen = [("option", options.chosen), ("recipe", recipe.chosen), ("time", by_time)]
        self._words = {"option": "chosen by you", "recipe": "from the recipe"}
        self._reasons = {name: reason for name, (_, reason) in timed.items()}
        self._suggested: dict[str, Decision] = {}
        self.values: dict[str, Decision] = {}

    def __call__(self, name: str, value: Any, origin: str, reason: str) -> Any:
        """Decide a setting; returns its value: what a person chose, else what was suggested, else this one."""
        if name in self._suggested:
            made = self._suggested[name]
            value, origin, reason = made.value, made.origin, made.reason
        for where, chosen in self._chosen:
            if name in chosen:
                value, origin, reason = chosen[name], where, self._words.get(where) or self._reasons[name]
                break
        self.values[name] = Decision(name, value, origin, reason)
        return value

    def suggest(self, name: str, value: Any, origin: str, reason: str) -> None:
        """Replace the general suggestion for a setting that is decided later."""
        self._suggested[name] = Decision(name, value, origin, reason)

    def chosen(self, name: str, otherwise: Any) -> Any:
        """Return what a person or the time limit chose for a setting, or ``otherwise``."""
        return next((chosen[name] for _, chosen in self._chosen if name in chosen), otherwise)

    def default(self, **suggested: tuple[Any, str]) -> None:
        """Decide settings whose suggestion depends on nothing: name=(value, reason)."""
        for name, (value, reason) in suggested.items():
            self(name, value, "default", reason)

    def replace(self, name: str, value: Any, origin: str, reason: str) -> None:
        """Decide a setting whatever was chosen: the choice can't be kept, or leaves the value open."""
        self.values[name] = Decision(name, value, origin, reason)

    def value(self, name: str) -> Any:
        """Return the value of a setting that is decided already."""
        return self.values[name].value
