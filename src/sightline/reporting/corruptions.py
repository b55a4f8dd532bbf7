"""The section of the report on what corruptions of the images cost."""

from __future__ import annotations

from typing import Any

from sightline.errors import UnreadableImage
from sightline.evaluation.intervals import Interval
from sightline.pixels.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from sightline.reporting.thumbnails import image_uri
from sightline.runs.recorded import Recorded

__all__ = ["robustness"]

_CHANCE = 0.05
_MANY = 0.05  # of accuracy lost from which on a corruption is listed as one that hurts


def robustness(run: Recorded) -> dict[str, Any] | None:
    """The accuracy under each change, and one image under all of them; None where it was not measured."""
    measured = run.robustness
    if measured is None:
        return None
    rows = [
        {
            **row,
            "shown": Interval(**row["accuracy"]),
            "points": f"{-100 * row['drop']:+.1f}",
            "is_sure": row["p"] < _CHANCE,
            "chance": f"{row['p']:.3f}" if row["p"] >= 0.001 else "under 0.001",
        }
        for row in measured["rows"]
    ]
    kinds = list(dict.fromkeys(row["corruption"] for row in rows))
    return {
        "part": measured["part"],
        "count": measured["count"],
        "count_all": measured["count_all"],
        "count_bad": measured["count_bad"],
        "accuracy": Interval(**measured["accuracy"]),
        "kinds": [(kind, [row for row in rows if row["corruption"] == kind]) for kind in kinds],
        "hurt": [_said(row) for row in _first_that_hurt(rows)],
        "spared": [kind for kind in kinds if not any(_hurts(row) for row in rows if row["corruption"] == kind)],
        "many": f"{100 * _MANY:.0f}",
        **_images(run, measured),
    }


def _hurts(row: dict[str, Any]) -> bool:
    return bool(row["is_sure"] and row["drop"] >= _MANY)


def _first_that_hurt(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each kind the mildest severity that costs many points, beyond chance; mild and costly ones first."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        if _hurts(row):
            first.setdefault(row["corruption"], row)
    return sorted(first.values(), key=lambda row: (row["severity"], -row["drop"]))


def _said(row: dict[str, Any]) -> str:
    return f"{row['words']} costs {100 * row['drop']:.1f} points"


def _images(run: Recorded, measured: dict[str, Any]) -> dict[str, Any]:
    """Return the example as the network sees it, plain and under every change; none where it can't be read any more."""
    door = run.plan.preprocess
    try:
        square = door.apply(door.decode(run.place(measured["example"])))
    except UnreadableImage:
        return {"plain": None, "changed": [], "is_small": False, "example": measured["example"]}
    changed = [
        {
            "words": corruption.describe(severity),
            "uri": image_uri(corrupt(square, name, severity, seed=measured["seed"])),
        }
        for name, corruption in CORRUPTIONS.items()
        for severity in SEVERITIES
    ]
    is_small = door.size < 96
    return {"plain": image_uri(square), "changed": changed, "is_small": is_small, "example": measured["example"]}
