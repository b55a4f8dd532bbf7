"""The section of the report on what moved the score of a few measured images."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.reporting.explained import CAVEAT, MAP_NAMES, overlay
from sightline.reporting.thumbnails import image_uri
from sightline.runs.recorded import Recorded

__all__ = ["explanations"]


def explanations(run: Recorded) -> dict[str, Any] | None:
    """Images with the places that moved the score, of mistakes and of right ones; None where the run kept none."""
    kept = run.explanations
    if kept is None:
        return None
    names, maps = run.facts["classes"], {"gradcam": kept.gradcam, "occlusion": kept.occlusion}
    cards = []
    for number, image in enumerate(kept.images):
        label, predicted = int(kept.labels[number]), int(kept.predicted[number])
        agreement = float(kept.agreement[number])
        cards.append(
            {
                "path": str(kept.paths[number]),
                "label": names[label],
                "predicted": names[predicted],
                "is_right": label == predicted,
                "confidence": float(kept.confidence[number]),
                "agreement": None if np.isnan(agreement) else f"{agreement:.2f}",
                "uri": image_uri(image),
                "maps": [
                    {"name": words, "uri": image_uri(overlay(image, drawn[number].astype(np.float32) / 255))}
                    for name, words in MAP_NAMES.items()
                    if (drawn := maps[name]) is not None and number < len(drawn)
                ],
            }
        )
    known = kept.agreement[~np.isnan(kept.agreement)]
    return {
        "caveat": CAVEAT,
        "groups": [
            ("Worst mistakes", [card for card in cards if not card["is_right"]]),
            ("Correct, with typical confidence", [card for card in cards if card["is_right"]]),
        ],
        "has_gradcam": kept.gradcam is not None,
        "has_occlusion": kept.occlusion is not None,
        "without_occlusion": len(kept.images) - (0 if kept.occlusion is None else len(kept.occlusion)),
        "count": len(kept.images),
        "agreement": f"{known.mean():.2f}" if len(known) else None,
        "layer": kept.layer,
        "is_small": kept.images.shape[1] < 96,
    }
