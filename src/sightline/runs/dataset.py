"""What a run was trained and measured on, read back as arrays: its samples and its split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.pixels.image_facts import FACTS
from sightline.runs.damage import named_damage
from sightline.runs.folder import Run

__all__ = ["read_dataset"]


def _facts_of(rows: list[dict[str, str]]) -> npt.NDArray[np.void]:
    """Return what a run keeps of each image's size, brightness and sharpness."""
    facts = np.zeros(len(rows), FACTS)
    for name in ("width", "height", "brightness", "sharpness"):
        facts[name] = [float(row.get(name) or 0) for row in rows]
    return facts


def read_dataset(run: Run, facts: dict[str, Any] | None = None) -> tuple[Samples, Split]:
    """Return the samples and the split as a run wrote them.

    Args:
        run: whose data they are.
        facts: its ``run.json``, where that was read already.

    Raises:
        RunError: if a file is damaged.
    """
    facts, rows = run.facts if facts is None else facts, run.samples
    with named_damage(run.samples_file, run.folder):
        return _assemble(facts, rows)


def _assemble(facts: dict[str, Any], rows: list[dict[str, str]]) -> tuple[Samples, Split]:
    classes = tuple(facts["classes"])
    number = {name: place for place, name in enumerate(classes)}
    strange = sorted({row["label"] for row in rows} - set(classes))
    if not rows or strange:
        raise ValueError(f"it has the label {strange[0]!r}, which is not a class" if strange else "it has no rows")
    samples = Samples(
        root=Path(facts["data_root"]),
        source=facts["data"],
        classes=classes,
        paths=np.array([row["path"] for row in rows], object),
        labels=np.array([number[row["label"]] for row in rows], np.int64),
        given=np.array([row["given_split"] for row in rows], object),
        groups=np.array([row["group"] for row in rows], object),
        units=np.array([row.get("unit", "") for row in rows], object),
        facts=_facts_of(rows),
        extra={
            name.removeprefix("extra:"): np.array([row[name] for row in rows], object)
            for name in rows[0]
            if name.startswith("extra:")
        },
        digests=np.array([row["sha256"] for row in rows], object),
        errors={position: row["error"] for position, row in enumerate(rows) if row["error"]},
    )
    parts = np.array([row["split"] for row in rows], object)
    part = facts["headline_part"]
    leaked = np.array([row["leaked"] == "1" for row in rows], bool)
    return samples, Split(parts, 0, facts["split_rule"], tuple(facts["split_notes"]), part, leaked)
