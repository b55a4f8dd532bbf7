"""The images of a folder that was named on the command line; links that are not followed are told at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["images_of"]


def images_of(folder: str, skip: Sequence[str], follow_links: bool) -> list[str]:
    """Return the image files below a folder, sorted.

    Raises:
        DataError: if there is none, but links that lead out of the folder.
    """
    from sightline.data.choices import FindingChoices
    from sightline.data.links import FOLLOW, describe_links
    from sightline.data.sources import find_images
    from sightline.text import printable

    found, skipped = find_images(Path(folder), FindingChoices(skip=tuple(skip), follow_links=follow_links))
    said = describe_links(Path(), folder, skipped)
    if said:
        print(f"{printable(said)}; they are not followed; {FOLLOW}", file=sys.stderr)
    return list(map(str, found))
