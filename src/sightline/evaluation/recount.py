"""The main metrics counted again from the words of a table alone: nothing here is shared with ``metrics``.

Plain Python over class names, so that a fault in the arrays, their order or their formulas would show as a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

__all__ = ["recount"]


def recount(rows: Sequence[dict[str, str]], classes: Sequence[str]) -> dict[str, Any]:
    """Return counts, accuracy, macro metrics, the metrics of each class and the confusion matrix.

    The keys are those of ``metrics.json``; what it has besides is not counted here.

    Args:
        rows: of ``predictions.csv``: ``label``, ``predicted``, ``leaked``, ``error``.
        classes: names, in the order of the matrix.

    Raises:
        ValueError: if a row names another class, or no row is left to count.

    Example:
        >>> row = {"label": "ant", "predicted": "ant", "leaked": "0", "error": ""}
        >>> recount([row, {**row, "predicted": "bee"}], ["ant", "bee"])["accuracy"]
        {'value': 0.5, 'n': 2}
    """
    used = [row for row in rows if not row["error"] and row["leaked"] != "1"]
    if not used:
        raise ValueError("no row is left to count")
    strange = sorted({row[column] for row in used for column in ("label", "predicted")} - set(classes))
    if strange:
        raise ValueError(f"a row names {strange[0]!r}, which is not one of the classes")
    pairs = Counter((row["label"], row["predicted"]) for row in used)
    support = Counter(row["label"] for row in used)
    said = Counter(row["predicted"] for row in used)
    hits = {name: pairs[name, name] for name in classes}
    number = {name: place for place, name in enumerate(classes)}
    present = [name for name in classes if support[name]]

    def macro(numerator: dict[str, int], denominator: dict[str, int]) -> dict[str, float]:
        shares = [numerator[name] / denominator[name] if denominator[name] else 0.0 for name in present]
        return {"value": sum(shares) / len(present)}

    twice = {name: 2 * hits[name] for name in classes}
    both = {name: support[name] + said[name] for name in classes}
    return {
        "count": len(rows),
        "count_bad": sum(bool(row["error"]) for row in rows),
        "count_leaked": sum(row["leaked"] == "1" and not row["error"] for row in rows),
        "accuracy": {"value": sum(hits.values()) / len(used), "n": len(used)},
        "macro_precision": macro(hits, said),
        "balanced_accuracy": macro(hits, support),
        "macro_f1": macro(twice, both),
        "classes": [
            {
                "class": name,
                "support": support[name],
                "predicted": said[name],
                "precision": hits[name] / said[name] if said[name] else None,
                "recall": hits[name] / support[name] if support[name] else None,
                "f1": twice[name] / both[name] if both[name] else None,
            }
            for name in classes
        ],
        "confusion": {
            "classes": len(classes),
            "cells": sorted([number[true], number[answer], count] for (true, answer), count in pairs.items()),
        },
    }
