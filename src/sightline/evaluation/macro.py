"""Which classes the macro metrics are means over, and what scikit-learn's default, which counts others too, gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.text import count_of

__all__ = ["describe_macro", "macro_words"]

_SHOWN = 5  # names of classes


def describe_macro(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return over which classes macro metrics are means, and scikit-learn's values, as in ``metrics.json``.

    Ours are means over the classes that have images: what a class without images is recognised like can't be measured.
    scikit-learn's ``precision_score``, ``recall_score`` and ``f1_score`` with ``average="macro"`` also count classes
    that were predicted and have no images, with 0 each; its ``balanced_accuracy_score`` does not.

    Args:
        rows: one a class, of :func:`~sightline.evaluation.metrics.class_table`.

    Example:
        >>> row = {"class": "ant", "support": 2, "predicted": 1, "precision": 1.0, "recall": 0.5, "f1": 2 / 3}
        >>> strange = {"class": "bee", "support": 0, "predicted": 1, "precision": 0.0, "recall": None, "f1": 0.0}
        >>> round(describe_macro([row, strange])["sklearn_default"]["f1"], 3)
        0.333
    """
    counted = [row for row in rows if row["support"] or row["predicted"]]
    return {
        "classes": sum(bool(row["support"]) for row in rows),
        "without_images": [row["class"] for row in rows if not row["support"]],
        "sklearn_default": {
            "classes": len(counted),
            **{name: sum(row[name] or 0.0 for row in counted) / len(counted) for name in ("precision", "recall", "f1")},
        },
    }


def macro_words(metrics: Mapping[str, Any]) -> str:
    """Return in a sentence which classes the macro metrics leave out; empty where every class has images.

    Args:
        metrics: of a ``metrics.json`` of any version; those without a table of classes say nothing.
    """
    rows = metrics.get("classes")
    if not rows:
        return ""
    found = describe_macro(rows)
    absent, default = found["without_images"], found["sklearn_default"]
    if not absent:
        return ""
    names = ", ".join(absent[:_SHOWN]) + (f" and {len(absent) - _SHOWN:,} more" if len(absent) > _SHOWN else "")
    words = f"Balanced accuracy, macro precision and macro F1 are means over the {count_of(found['classes'], 'class')} "
    words += f"with images, of {len(rows):,}; without: {names}."
    strange = default["classes"] - found["classes"]
    if not strange:
        return words
    return (
        f"{words} scikit-learn's default (average='macro') counts {strange:,} of these too, since predicted, as 0: "
        f"precision {default['precision']:.4f}, recall {default['recall']:.4f}, F1 {default['f1']:.4f}."
    )
