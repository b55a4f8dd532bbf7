"""The page of ``sightline compare``: which run is better, and the images that one corrects or gets newly wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.evaluation.compare import ChangedImage, Comparison
from sightline.evaluation.metrics import METRICS
from sightline.reporting.page import render_page
from sightline.reporting.thumbnails import thumbnail
from sightline.runs.folder import Run
from sightline.runs.recorded import Recorded

__all__ = ["render_comparison"]

_IMAGES = 240  # on the page: 3 MB hold that many
_OF_A_KIND = 36


def render_comparison(
    runs: Sequence[Run],
    names: Sequence[str],
    about: Sequence[str],
    pairs: Sequence[Comparison],
    images: Sequence[Mapping[str, Sequence[ChangedImage]]],
) -> str:
    """Return the page as HTML text.

    Args:
        runs: the first is what the others are compared with; its images are shown, read from where they lie.
        names: of the runs.
        about: what should be known of the images, a sentence each.
        pairs: one comparison a further run.
        images: of each pair, ``corrected`` and ``newly_wrong`` -> what both predicted.
    """
    recorded = [Recorded(run) for run in runs]
    first = recorded[0]
    most = max(4, min(_OF_A_KIND, _IMAGES // (2 * len(pairs))))
    shown = [
        {
            "name": name,
            "pair": pair,
            "verdict": pair.verdict(names[0], name),
            "metrics": [_metric_row(name, pair) for name in pair.metrics],
            "classes": sorted(pair.classes, key=lambda row: (row.p_adjusted, row.p)),
            "changed": any(row.is_significant for row in pair.classes),
            "galleries": [
                {
                    "title": title,
                    "kind": kind,
                    "total": len(found[kind]),
                    "cards": [(row, thumbnail(first.place(row.path), first.value_range)) for row in found[kind][:most]],
                }
                for kind, title in (
                    ("corrected", f"Corrected by {name}"),
                    ("newly_wrong", f"Newly wrong with {name}"),
                )
            ],
        }
        for name, pair, found in zip(names[1:], pairs, images, strict=True)
    ]
    facts = [run.facts for run in recorded]
    return render_page("compare.html.jinja", names=names, facts=facts, about=about, pairs=shown)


def _metric_row(name: str, pair: Comparison) -> dict[str, Any]:
    change, metric = pair.metrics[name], METRICS[name]
    first, second, difference = change.cells(name)
    is_better = (change.difference > 0) == metric.is_higher_better
    is_sure = pair.is_significant if name == "accuracy" else change.is_clear  # as the verdict above the table says
    verdict = ("better" if is_better else "worse") if is_sure else "can be chance"
    return {
        "name": metric.words,
        "first": first,
        "second": second,
        "difference": difference,
        "verdict": verdict,
        "method": change.method,
    }
