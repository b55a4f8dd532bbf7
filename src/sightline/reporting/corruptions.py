"""The section of the report on what corruptions of the images cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.errors import UnreadableImage
from sightline.evaluation.corruption_drops import CorruptionDrop, Robustness
from sightline.pixels.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from sightline.reporting.thumbnails import image_uri
from sightline.runs.recorded import Recorded
from sightline.text import p_value, signed

__all__ = ["robustness"]

_CHANCE = 0.05
_MANY = 0.05  # of accuracy lost from which on a corruption is listed as one that hurts


def robustness(run: Recorded) -> dict[str, Any] | None:
    """The accuracy under each change, and one image under all of them; None where it was not measured."""
    measured = run.robustness
    if measured is None:
        return None
    kinds = list(dict.fromkeys(row.corruption for row in measured.rows))
    return {
        "measured": measured,
        "kinds": [(kind, [_cells(row) for row in measured.rows if row.corruption == kind]) for kind in kinds],
        "hurt": [f"{row.words} costs {100 * row.drop.points:.1f} points" for row in _first_that_hurt(measured.rows)],
        "spared": [kind for kind in kinds if not any(_hurts(row) for row in measured.rows if row.corruption == kind)],
        "many": f"{100 * _MANY:.0f}",
        **_images(run, measured),
    }


def _cells(row: CorruptionDrop) -> dict[str, Any]:
    return {
        "words": row.words,
        "drop": row.drop,
        "points": signed(-100 * row.drop.points),
        "is_sure": row.drop.p < _CHANCE,
        "chance": p_value(row.drop.p).removeprefix("p = ").removeprefix("p "),
    }


def _hurts(row: CorruptionDrop) -> bool:
    return row.drop.p < _CHANCE and row.drop.points >= _MANY


def _first_that_hurt(rows: Sequence[CorruptionDrop]) -> list[CorruptionDrop]:
    """Return of each kind the mildest severity that costs many points, beyond chance; mild and costly ones first."""
    first: dict[str, CorruptionDrop] = {}
    for row in rows:
        if _hurts(row):
            first.setdefault(row.corruption, row)
    return sorted(first.values(), key=lambda row: (row.severity, -row.drop.points))


def _images(run: Recorded, measured: Robustness) -> dict[str, Any]:
    """Return the example as the network sees it, plain and under every change; none where it can't be read any more."""
    door = run.plan.preprocess
    try:
        square = door.apply(door.decode(run.place(measured.example)))
    except UnreadableImage:
        return {"plain": None, "changed": [], "is_small": False}
    changed = [
        {
            "words": corruption.describe(severity),
            "uri": image_uri(corrupt(square, name, severity, seed=measured.seed)),
        }
        for name, corruption in CORRUPTIONS.items()
        for severity in SEVERITIES
    ]
    return {"plain": image_uri(square), "changed": changed, "is_small": door.size < 96}
