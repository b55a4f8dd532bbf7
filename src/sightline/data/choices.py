"""What a person may choose about finding the images of a source: how its folders are read, and what is left out."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from sightline.errors import InputError
from sightline.pixels.containers import MARK
from sightline.text import did_you_mean

__all__ = ["LAYOUTS", "FindingChoices"]

# What ``--layout`` takes, and what each says of the folders of a source.
LAYOUTS = {
    "classes": "each folder is a class, whatever its name and the folders in it",
    "splits": "the folders train, val and test hold class folders",
    "inner-splits": "each folder is a class and holds folders train, val and test",
    "tables": "classes are in the tables that lie beside the images",
}


@dataclass(frozen=True, slots=True)
class FindingChoices:
    """What a person may choose about finding images; the settings of the same names say more.

    Attributes:
        layout: one of :data:`LAYOUTS`; empty: by the names of folders, and an error where two ways are possible.
        skip: patterns of files and folders that are left out, such as ``raw`` or ``*/old/*.png``.
        resplit: whether a split that comes with the images is put aside, so that one is drawn.
        follow_links: whether links that lead out of a folder are followed.

    Raises:
        InputError: for a layout that is not known, or an empty pattern.
    """

    layout: str = ""
    skip: tuple[str, ...] = ()
    resplit: bool = False
    follow_links: bool = False

    def __post_init__(self) -> None:
        if self.layout and self.layout not in LAYOUTS:
            cure = did_you_mean(self.layout, LAYOUTS, f"give {', '.join(LAYOUTS)}")
            raise InputError("data.layout-name", f"{self.layout!r} is not a layout", cure)
        if not all(pattern.strip("/") for pattern in self.skip):
            cure = "give the name of a file or folder, or a pattern such as '*_mask.png'"
            raise InputError("data.skip", "an empty pattern would leave out everything or nothing", cure)

    def pattern_of(self, path: str) -> str:
        """Return the first pattern that leaves out a file or folder, or an empty string.

        Args:
            path: relative to the source, with forward slashes.

        Example:
            >>> FindingChoices(skip=("raw", "cat/*.gif")).pattern_of("dog/raw")
            'raw'
        """
        path = path.rpartition(MARK)[2]  # in an archive
        name = path.rpartition("/")[2]
        for pattern in self.skip:
            plain = pattern.replace("\\", "/").strip("/")
            if fnmatch.fnmatchcase(path if "/" in plain else name, plain):
                return pattern
        return ""

    def pattern_above(self, path: str) -> str:
        """Return the first pattern that leaves out a file or a folder above it, or an empty string."""
        if not self.skip:
            return ""
        parts = path.split("/")
        above: Iterable[str] = ("/".join(parts[: count + 1]) for count in range(len(parts)))
        return next(filter(None, map(self.pattern_of, above)), "")
