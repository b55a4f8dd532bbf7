"""The bytes of inspected images, as long as they are those that were inspected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.errors import UnreadableImage
from sightline.pixels.file_bytes import read_bytes

__all__ = ["contents_of"]


def contents_of(samples: Samples, rows: npt.NDArray[np.intp]) -> Iterator[bytes | UnreadableImage]:
    """Yield the bytes of each file, or why they can't be used."""
    for row in rows:
        file = samples.file(int(row))
        try:
            data = read_bytes(file)
        except UnreadableImage as error:
            yield error
            continue
        is_same = hashlib.sha256(data).hexdigest() == samples.digests[row]
        yield data if is_same else UnreadableImage(str(file), "the file changed while it was used")
