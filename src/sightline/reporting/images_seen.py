"""Sections on the data, and on what the network sees of the images."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.errors import UnreadableImage
from sightline.reporting.preview import describe_mix
from sightline.reporting.thumbnails import image_uri
from sightline.runs.recorded import Recorded

__all__ = ["LEFT_OUT", "NOT_READ", "data", "seen", "where_images_went"]

NOT_READ, LEFT_OUT = "can't be read", "left out by train_share"

_SEEN = 6
_PARTS = ("train", "val", "test")
_SMALL = 128  # px: fewer are shown as the squares that they are


def data(run: Recorded) -> dict[str, Any]:
    """Images per class and where each went, sizes, and what was found wrong."""
    samples, split = run.samples, run.split
    counts = {
        place: np.bincount(samples.labels[rows], minlength=len(samples.classes))
        for place, rows in where_images_went(samples, split).items()
    }
    columns = [place for place in counts if place in _PARTS or counts[place].any()]
    sides = np.minimum(samples.widths, samples.heights)[samples.widths > 0]
    return {
        "total": len(samples),
        "classes": [
            {"class": name, "cells": [int(counts[column][place]) for column in columns], "all": total}
            for place, (name, total) in enumerate(samples.counts().items())
        ],
        "columns": columns,
        "went": [(int(counts[place].sum()), place) for place in columns if counts[place].any()],
        "leaked": int((split.leaked & samples.is_ok).sum()),
        "headline": split.headline,
        "short_side": np.quantile(sides, (0, 0.5, 1)).astype(int).tolist() if len(sides) else None,
        "rule": run.facts["split_rule"],
        "notes": run.facts["split_notes"],
        "findings": run.findings,
        "fingerprint": run.facts["data_fingerprint"],
    }


def where_images_went(samples: Samples, split: Split) -> dict[str, npt.NDArray[np.intp]]:
    """Return the rows of each part and of what is in none, by cause; each image is in exactly one of them."""
    rows = np.arange(len(samples))
    ok, parts = samples.is_ok, split.parts
    return {
        **{part: rows[ok & (parts == part)] for part in _PARTS},
        NOT_READ: rows[~ok],
        LEFT_OUT: rows[ok & ~np.isin(parts, _PARTS)],
    }


_HOW = {
    "crop": "its centre is cut out",
    "pad": "all of it, with a background beside it",
    "squash": "all of it, with its sides stretched to one length",
}


def seen(run: Recorded) -> dict[str, Any]:
    """What the network sees of some images, and what a crop leaves out."""
    plan, samples, split = run.plan, run.samples, run.split
    preprocess = plan.preprocess
    known = np.flatnonzero(samples.widths > 0)
    sizes, place = np.unique(np.stack([samples.widths, samples.heights], 1)[known], axis=0, return_inverse=True)
    kept = np.array([preprocess.kept_area(int(width), int(height)) for width, height in sizes])[place.ravel()]
    rows = split.rows(split.headline)
    rows = rows[samples.is_ok[rows]]
    cards = []
    for row in rows[:: max(1, len(rows) // _SEEN)][:_SEEN]:
        with contextlib.suppress(UnreadableImage):
            pixels = preprocess.decode(samples.file(row))
            square = preprocess.apply(pixels)
            cards.append(
                {
                    "path": str(samples.paths[row]),
                    "whole": image_uri(pixels),
                    "square": image_uri(square),
                    "is_small": max(pixels.shape) < _SMALL,
                }
            )
    reason = next(decision.reason for decision in plan.decisions if decision.name == "fit")
    return {
        "size": preprocess.size,
        "how": _HOW[preprocess.fit],
        "reason": reason[:1].upper() + reason[1:],
        "kept": float(kept.mean()) if len(kept) else 1.0,
        "worst": float(kept.min()) if len(kept) else 1.0,
        "cards": cards,
        "learning": _learning(run),
    }


def _learning(run: Recorded) -> list[dict[str, Any]]:
    """Return a row for each training image whose random changes the run kept."""
    views = run.views
    if views is None:
        return []
    names = run.facts["classes"]
    return [
        {
            "label": names[label],
            "plain": image_uri(views.plain[number]),
            "changed": [
                {"uri": image_uri(image), "words": describe_mix(names, shares, int(label))}
                for image, shares in zip(views.changed[number], views.shares[number], strict=True)
            ],
        }
        for number, label in enumerate(views.labels)
    ]
