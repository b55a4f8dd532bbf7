"""The form that a JSON document was written in: which fields, of which types; what differs is named by its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["INTERVAL", "NUMBER", "Each", "Form", "Maybe", "refuse_form"]

# A type, several of them, a list of one form, fields by name, ``Each`` or ``Maybe``.
Form = Any


@dataclass(frozen=True, slots=True)
class Maybe:
    """A field that may be missing, or None."""

    form: Form


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose fields, whatever their names, all have one form."""

    form: Form


NUMBER = (int, float)
INTERVAL = {"value": NUMBER, "low": NUMBER, "high": NUMBER, "n": int, "method": str, "n_effective": Maybe(int)}


def refuse_form(value: Any, form: Form, place: str = "") -> None:
    """Raise ``ValueError``, which names the place, where a document is not of a form; fields beyond it are allowed.

    Example:
        >>> refuse_form({"runs": [{"name": 3}]}, {"runs": [{"name": str}]})
        Traceback (most recent call last):
        ValueError: runs[0].name is a number, not a text
    """
    match form:
        case Maybe(inner):
            if value is not None:
                refuse_form(value, inner, place)
        case Each(inner):
            refuse_form(value, dict, place)
            for name, one in value.items():
                refuse_form(one, inner, _inside(place, name))
        case dict():
            refuse_form(value, dict, place)
            for name, inner in form.items():
                if name not in value and not isinstance(inner, Maybe):
                    raise ValueError(f"it has no {_inside(place, name)}")
                refuse_form(value.get(name), inner, _inside(place, name))
        case [inner]:
            refuse_form(value, list, place)
            for number, one in enumerate(value):
                refuse_form(one, inner, f"{place}[{number}]")
        case _:
            kinds = form if isinstance(form, tuple) else (form,)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                wanted = _WORDS.get(kinds[0], kinds[0].__name__)
                raise ValueError(f"{place or 'it'} is {_WORDS.get(type(value), 'nothing')}, not {wanted}")


_WORDS = {
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else str(name)
