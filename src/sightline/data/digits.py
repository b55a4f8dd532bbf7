"""1,797 real handwritten digits as PNG class folders: a data set that needs no download.

Source: the test set of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI Machine
Learning Repository, CC BY 4.0), as it ships with scikit-learn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sightline.installation import require_extra

__all__ = ["write_digits"]


def write_digits(folder: Path) -> int:
    """Write the digits as ``folder/0/0000.png`` ... (8 x 8 grey pixels); returns how many.

    Existing files are kept, so a second call is fast and changes nothing.

    Raises:
        MissingExtra: without scikit-learn.
    """
    require_extra("light", "the digits (they ship with scikit-learn)")
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).round().astype(np.uint8)
    for number, (image, label) in enumerate(zip(grey, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".tmp")  # a killed call leaves no half image under its final name
            Image.fromarray(image).save(scratch, "PNG")
            scratch.replace(path)
    return len(grey)
