"""Units: images that are one witness together, as they are of one group, or copies, or versions of one original."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import find_units

__all__ = ["number_units", "with_units"]


def with_units(samples: Samples) -> Samples:
    """Return the samples with the name of each image's unit: the first path in it, or empty where an image is alone.

    Near-duplicates are found once; a run records the units, so that whoever reads it needs no images for that.

    Example:
        >>> from pathlib import Path
        >>> table = np.array(["a1", "a2", "b"], object), np.zeros(3, np.int64)
        >>> pets = Samples(Path("pets"), "pets", ("cat",), *table, groups=np.array(["a", "a", ""], object))
        >>> with_units(pets).units.tolist()
        ['a1', 'a1', '']
    """
    names = np.full(len(samples), "", object)
    for unit in find_units(samples, np.arange(len(samples))):
        if len(unit) > 1:
            names[unit] = str(samples.paths[unit.min()])
    return replace(samples, units=names)


def number_units(samples: Samples, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64] | None:
    """Return ``[N]``: a number for each image's unit, equal for images of one; None where no two of them are in one.

    Images that are linked through an image outside of ``rows``, such as two versions of one training image, are
    in one unit too.

    Args:
        samples: all that are known, in groups and compared as far as they are.
        rows: ``[N]`` positions of images.
    """
    names = with_units(samples).units[rows]
    named = [str(name) or f"\0{row}" for name, row in zip(names, rows.tolist(), strict=True)]
    found, numbers = np.unique(np.array(named, str), return_inverse=True)
    return None if len(found) == len(rows) else numbers.astype(np.int64)
