"""Images behind the numbers: those of each cell of the confusion matrix, and a map by their features."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.reporting.thumbnails import thumbnail
from sightline.runs.recorded import Recorded

__all__ = ["COLOURS", "behind_cells", "embedding_map", "place_points"]

_WRONG, _RIGHT = 160, 40  # images of mistakes and of right answers that a page holds
_SIDE, _MAP_SIDE = 96, 48  # px
_POINTS, _POINT_IMAGES = 500, 240
_SPREAD_FROM = 100  # points; fewer lie in their two strongest directions, which takes no time
_MOST_COLOURS = 20  # classes; of more the map tells right from wrong alone
# Told apart by people who see colours less well: the first eight are Okabe and Ito's, the others Tol's.
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800", "#7f7f7f", "#332288", "#88ccee",
    "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#661100", "#6699cc", "#888888",
)  # fmt: skip


def behind_cells(run: Recorded) -> dict[str, Any]:
    """Return ``images`` and, by ``"TRUE-PREDICTED"`` positions of classes, how many images a cell has and some of them.

    Cells share the page's room evenly: mistakes before correct predictions, the most confident first.
    """
    measured = run.measured
    used = np.flatnonzero(measured.used)
    used = used[np.argsort(-measured.confidence[used], kind="stable")]
    cells: dict[str, list[int]] = {}
    for row in used.tolist():
        cells.setdefault(f"{measured.labels[row]}-{measured.predicted[row]}", []).append(row)
    wrong = {key: rows for key, rows in cells.items() if not measured.correct[rows[0]]}
    right = {key: rows for key, rows in cells.items() if key not in wrong}
    shown: dict[str, list[list[Any]]] = {}
    images: list[str] = []
    for key, row in [*_evenly(wrong, _WRONG), *_evenly(right, _RIGHT)]:
        path = measured.paths[row]
        uri = thumbnail(run.place(path), run.value_range, _SIDE).uri
        if uri:
            shown.setdefault(key, []).append([len(images), path, round(float(measured.confidence[row]), 4)])
            images.append(uri)
    found = {key: {"n": len(rows), "shown": shown.get(key, [])} for key, rows in cells.items()}
    return {"images": images, "cells": found, "names": list(measured.classes)}


def _evenly(cells: dict[str, list[int]], most: int) -> list[tuple[str, int]]:
    """Return one image of each cell, then a second of each, and so on, ``most`` in all; full cells first."""
    order = sorted(cells, key=lambda key: -len(cells[key]))
    rounds = itertools.zip_longest(*(cells[key] for key in order))
    turns = ((key, row) for rows in rounds for key, row in zip(order, rows, strict=True) if row is not None)
    return list(itertools.islice(turns, most))


def embedding_map(run: Recorded) -> dict[str, Any] | None:
    """The measured images, laid out so that those that the network finds alike are near; sampled when they are many."""
    measured = run.measured
    features, names = measured.features, measured.classes
    if features is None:
        return None
    ok = np.flatnonzero(np.isfinite(features).all(1)) if features.shape[1] else np.empty(0, int)
    if len(ok) < 10:
        return None
    chosen = ok[np.linspace(0, len(ok) - 1, min(len(ok), _POINTS)).astype(int)]
    places = place_points(features[chosen])
    is_wrong = ~measured.correct[chosen] & measured.is_ok[chosen]
    order = np.argsort(~is_wrong, kind="stable")[:_POINT_IMAGES]  # mistakes have images before others
    uris = {int(k): thumbnail(run.place(measured.paths[chosen[k]]), run.value_range, _MAP_SIDE).uri for k in order}
    is_coloured = len(names) <= _MOST_COLOURS
    points = [
        {
            "x": round(float(x), 1),
            "y": round(float(y), 1),
            "colour": COLOURS[measured.labels[row]] if is_coloured else COLOURS[0],
            "wrong": bool(is_wrong[k]),
            "path": measured.paths[row],
            "label": names[measured.labels[row]],
            "said": names[measured.predicted[row]],
            "uri": uris.get(k),
        }
        for k, (row, (x, y)) in enumerate(zip(chosen, places, strict=True))
    ]
    legend = list(zip(names, COLOURS, strict=False)) if is_coloured else []
    return {"points": points, "total": len(ok), "legend": legend, "images": len(uris)}


def place_points(features: npt.NDArray[np.float32], side: float = 600.0) -> npt.NDArray[np.float64]:
    """Return ``[N, 2]`` places within a square, near each other where the features' directions are.

    References:
        L. van der Maaten and G. Hinton, Visualizing data using t-SNE, Journal of Machine Learning Research 9 (2008).
    """
    from threadpoolctl import threadpool_limits

    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    with threadpool_limits(1):  # two threads wait for each other longer than they work
        left, sizes, _ = np.linalg.svd((unit - unit.mean(0)).astype(np.float64), full_matrices=False)
        few = left[:, :30] * sizes[:30] / max(float(sizes[0]), 1e-9)  # the strongest directions
        laid = few[:, :2]
        if len(few) >= _SPREAD_FROM:
            from sklearn.manifold import TSNE

            laid = TSNE(init=laid * 1e-2, random_state=0, max_iter=400).fit_transform(few)
    low, high = laid.min(0), laid.max(0)
    places: npt.NDArray[np.float64] = 20 + (laid - low) / np.maximum(high - low, 1e-9) * (side - 40)
    return places
