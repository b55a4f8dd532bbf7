"""What a search varies: settings with their ranges or choices, checked as a whole before the first trial."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sightline.errors import InputError
from sightline.planning.settings import Chosen, Settings, check_values
from sightline.text import did_you_mean

__all__ = ["STRENGTH", "STRENGTHENED", "Dial", "check_space", "describe_space", "read_space", "resolve"]

STRENGTH = "augmentation"  # a dial that is no setting: factor on the random changes of the plain recipe
STRENGTHENED = {  # setting -> its greatest value
    **{"rotate": 180.0, "translate": 0.5, "zoom": 0.9, "zoom_out": 2.0, "shear": 60.0},
    **{"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "blur": 1.0, "erasing": 1.0},
}
_MOST_STRENGTH = 10.0
_FIELDS = ("low", "high", "step", "log", "choices")
_OTHER_IMAGES = "it decides which images measure a trial, and all trials are measured on the same"
_THIS_MACHINE = "it is of the machine, not of the training"
# Setting -> why it can't be searched.
_FIXED = {
    **dict.fromkeys(("val_share", "test_share", "split_seed", "select_on_val", "resplit", "on_bad"), _OTHER_IMAGES),
    **dict.fromkeys(("group", "fixes", "versions", "layout", "skip", "follow_links", "value_range"), _OTHER_IMAGES),
    **dict.fromkeys(("engine", "device", "threads", "precision", "compile"), _THIS_MACHINE),
    "seed": "a search over seeds finds the luckiest one: sightline train --seeds 5 shows how much they matter",
    "weights": "all trials start from the same weights; search over model, or start a search for each",
    "pretrained": "all trials start from the same weights; search over model, or start a search for each",
    "time": "the budget is of the search: give --time",
    "views": "it changes no training: only a second evaluation of the test images",
}

Space = tuple["Dial", ...]


@dataclass(frozen=True, slots=True)
class Dial:
    """One setting that is searched, with its range, or its choices.

    Attributes:
        name: of the setting, or ``augmentation``.
        low, high: ends of the range, both possible; None where there are choices.
        step: between the values of a range; None: any.
        log: values are drawn evenly by their logarithm.
        choices: values, instead of a range.
        is_whole: whether values are whole numbers.

    Example:
        >>> Dial("learning_rate", 1e-4, 1e-1, log=True).describe()
        '0.0001 to 0.1, by the logarithm'
    """

    name: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    is_whole: bool = False

    def contains(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            return False
        assert self.low is not None and self.high is not None
        if not self.low <= value <= self.high:
            return False
        if not self.step:
            return not self.is_whole or float(value).is_integer()
        steps = (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-6)

    def ends(self) -> tuple[Any, ...]:
        """Return the values that are checked: the choices, or both ends."""
        return self.choices or (self.low, self.high)

    def describe(self) -> str:
        """Return the range or the choices in words."""
        if self.choices:
            return ", ".join(map(_shown, self.choices))
        steps = f" in steps of {self.step:g}" if self.step else ""
        return f"{_shown(self.low)} to {_shown(self.high)}{steps}{', by the logarithm' if self.log else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that say something, as a table of ``space.toml``."""
        fields = {"low": self.low, "high": self.high, "step": self.step, "log": self.log or None}
        found: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        return {"choices": json.loads(json.dumps(self.choices))} if self.choices else found


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_space(path: str | Path) -> Space:
    """Read and check a ``space.toml``: one table a setting, with ``low`` and ``high``, or ``choices``.

    Raises:
        InputError: if the file can't be read, or for the first thing in it that is wrong.

    Example:
        ``read_space("space.toml")[0].name``
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("tune.space", f"can't read the space {path}: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        cure = "write lines like: learning_rate = {low = 1e-4, high = 1e-1, log = true}"
        raise InputError("tune.space", f"{path} is not valid TOML: {error}", cure) from error
    return check_space(tables)


def check_space(tables: Mapping[str, Any]) -> Space:
    """Return the dials of a space, all of it checked.

    Args:
        tables: setting -> ``{"low": ..., "high": ..., "step": ..., "log": ...}``, ``{"choices": [...]}``, or the list
            of choices itself.

    Raises:
        InputError: for an unknown name, an empty range, or a value that the setting can't have.

    Example:
        >>> check_space({"width": [16, 32]})[0].choices
        (16, 32)
    """
    if not tables:
        cure = "write lines like: learning_rate = {low = 1e-4, high = 1e-1, log = true}"
        raise InputError("tune.space", "the space is empty", cure)
    return tuple(_dial(name, table) for name, table in tables.items())


def _dial(name: str, table: Any) -> Dial:
    _refuse_name(name)
    table = {"choices": table} if isinstance(table, list | tuple) else table
    if not isinstance(table, dict):
        message = f"{name} = {table!r} is one value, and nothing to search"
        raise InputError("tune.space", message, f"give a range or choices, or the value itself: --set {name}={table}")
    for field in table:
        if field not in _FIELDS:
            cure = did_you_mean(field, _FIELDS, f"give {', '.join(_FIELDS[:4])}; or choices")
            raise InputError("tune.space", f"{name} has no {field!r}", cure)
    dial = _with_choices(name, table) if "choices" in table else _with_range(name, table)
    if name == STRENGTH:
        _refuse_strength(dial)
        return dial
    for value in dial.ends():
        check_values({name: value})  # names the setting, the value and the rule
    return dial


def _refuse_name(name: str) -> None:
    if name in _FIXED:
        raise InputError("tune.fixed", f"{name} can't be searched: {_FIXED[name]}", "leave it out of the space")
    known = [one for one in (*Settings.model_fields, STRENGTH) if one not in _FIXED]
    if name not in known:
        cure = did_you_mean(name, known, "sightline train DATA --plan lists all settings")
        raise InputError("tune.unknown-setting", f"there is no setting {name!r} to search", cure)


def _with_choices(name: str, table: Mapping[str, Any]) -> Dial:
    choices = table["choices"]
    if set(table) != {"choices"}:
        raise InputError("tune.space", f"{name} has choices and a range", "give one of them")
    if not isinstance(choices, list | tuple) or len(choices) < 2:
        message = f"{name}: choices = {choices!r} leaves nothing to choose"
        raise InputError("tune.empty-range", message, "give two values or more")
    kept = [choice for place, choice in enumerate(choices) if choice not in choices[:place]]
    if len(kept) < len(choices):
        message = f"{name}: choices = {list(choices)!r} names a value twice"
        raise InputError("tune.empty-range", message, "give each value once")
    return Dial(name, choices=tuple(choices))


def _with_range(name: str, table: Mapping[str, Any]) -> Dial:
    kinds = {float} if name == STRENGTH else _kinds(name)
    if not kinds & {int, float}:
        cure = f"give {name} = [first, second ...]"
        raise InputError("tune.space", f"{name} has no range: it takes certain values alone", cure)
    absent = [end for end in ("low", "high") if end not in table]
    if absent:
        raise InputError("tune.space", f"{name} has no {absent[0]}", "give low and high; or choices")
    low, high, step, log = (table.get(field) for field in _FIELDS[:4])
    for field, value in (("low", low), ("high", high), ("step", 1 if step is None else step)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError("tune.space", f"{name}: {field} = {value!r} is not a number", "give a number")
    assert isinstance(low, int | float) and isinstance(high, int | float)
    is_whole = float not in kinds
    if is_whole and any(not float(value).is_integer() for value in (low, high, step or 1)):
        raise InputError("tune.space", f"{name} takes whole numbers", "give whole numbers for low, high and step")
    if low >= high:
        message = f"{name}: the range from {low:g} to {high:g} is empty"
        raise InputError("tune.empty-range", message, "give a low that is less than high")
    if step is not None and (step <= 0 or step > high - low):
        message = f"{name}: step = {step:g} leaves one value between {low:g} and {high:g}"
        raise InputError("tune.empty-range", message, f"give a step from above 0 to {high - low:g}")
    if not isinstance(log, bool | None):
        raise InputError("tune.space", f"{name}: log = {log!r} is neither true nor false", "give log = true")
    if log and low <= 0:
        message = f"{name}: low = {low:g} has no logarithm"
        raise InputError("tune.space", message, "give a low above 0, or leave out log")
    if log and step is not None:
        raise InputError("tune.space", f"{name} has log and step", "leave one of them out")
    if is_whole:
        return Dial(name, int(low), int(high), None if step is None else int(step), bool(log), is_whole=True)
    return Dial(name, float(low), float(high), None if step is None else float(step), bool(log))


def _kinds(name: str) -> set[Any]:
    """Return the plain types that a setting may have."""
    annotation = Settings.model_fields[name].annotation
    return {annotation, *get_args(annotation)} & {int, float, bool, str} if name != "loss" else set()


def _refuse_strength(dial: Dial) -> None:
    for value in dial.ends():
        if isinstance(value, bool | str) or not 0 <= value <= _MOST_STRENGTH:
            message = f"{STRENGTH} = {value!r}: it is a factor on the recipe's random changes"
            raise InputError("tune.space", message, f"give numbers from 0 (none) to {_MOST_STRENGTH:g}; 1: as they are")


def resolve(values: Chosen, plain: Settings) -> dict[str, Any]:
    """Return the settings of a trial: ``augmentation`` becomes a value for each random change that the recipe makes.

    Args:
        values: dial -> value.
        plain: settings of the plain recipe.

    Example:
        ``resolve({"augmentation": 2.0}, plain)["zoom"]``
    """
    found = {name: value for name, value in values.items() if name != STRENGTH}
    if STRENGTH in values:
        for name, most in STRENGTHENED.items():
            if name not in found and getattr(plain, name):
                found[name] = min(most, round(getattr(plain, name) * float(values[STRENGTH]), 6))
    return found


def describe_space(space: Sequence[Dial]) -> str:
    """Return the space in a line."""
    return "; ".join(f"{dial.name} {dial.describe()}" for dial in space)
