"""The findings of ``sightline verify``: what was compared, what differs, what could not be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Checked", "Difference", "Leaves", "compare_leaves"]

_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was recorded.

    Attributes:
        file: where: a file of the run, or an image.
        what: of it, for example ``sha256``, ``label``, or the name of a metric.
        recorded: as the run has it.
        found: as it is now.
    """

    file: str
    what: str
    recorded: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}: recorded {self.recorded}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of one check.

    Attributes:
        name: of it.
        said: what was compared, with counts.
        differences: what is not as recorded.
        not_checked: what could not be compared, and why.
    """

    name: str
    said: str
    differences: tuple[Difference, ...] = ()
    not_checked: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


@dataclass(slots=True)
class Leaves:
    """What comparing two JSON documents found.

    Attributes:
        same: how many values are equal.
        other: (place, recorded, found) of those that are not.
        only_recorded: places that the second document lacks.
        only_found: places that the first lacks.
    """

    same: int = 0
    other: list[tuple[str, Any, Any]] = field(default_factory=list)
    only_recorded: list[str] = field(default_factory=list)
    only_found: list[str] = field(default_factory=list)


def compare_leaves(recorded: Any, found: Any) -> Leaves:
    """Compare two JSON documents value by value; numbers that are not whole may differ by 1e-9.

    Example:
        >>> compare_leaves({"a": [1, 2], "b": 0.5, "c": 1}, {"a": [1, 3], "b": 0.5000000000001})
        Leaves(same=2, other=[('a[1]', 2, 3)], only_recorded=['c'], only_found=[])
    """
    leaves = Leaves()
    for kind, place, one, two in _walk(recorded, found, ""):
        if kind == "recorded":
            leaves.only_recorded.append(place)
        elif kind == "found":
            leaves.only_found.append(place)
        elif _is_same(one, two):
            leaves.same += 1
        else:
            leaves.other.append((place, one, two))
    return leaves


def _walk(recorded: Any, found: Any, place: str) -> Iterator[tuple[str, str, Any, Any]]:
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in {**recorded, **found}:
            inside = f"{place}.{key}" if place else str(key)
            if key not in found:
                yield "recorded", inside, None, None
            elif key not in recorded:
                yield "found", inside, None, None
            else:
                yield from _walk(recorded[key], found[key], inside)
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for number, (one, two) in enumerate(zip(recorded, found, strict=True)):
            yield from _walk(one, two, f"{place}[{number}]")
    elif isinstance(recorded, list) and isinstance(found, list):
        yield "both", f"length of {place}", len(recorded), len(found)
    else:
        yield "both", place, recorded, found


def _is_same(one: Any, two: Any) -> bool:
    numbers = (int, float)
    if (
        isinstance(one, numbers)
        and isinstance(two, numbers)
        and not isinstance(one, bool)
        and not isinstance(two, bool)
    ):
        return math.isclose(one, two, rel_tol=_NEAR, abs_tol=_NEAR)
    return type(one) is type(two) and bool(one == two)
