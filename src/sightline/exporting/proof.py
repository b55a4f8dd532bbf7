"""What a comparison of an exported file with its network found, as it is printed and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["DoorProof", "ParityProof", "Unproved"]


class Unproved(Exception):  # noqa: N818
    """A file can't be run on this machine, so that nothing is known of what it answers; says why."""


@dataclass(frozen=True, slots=True)
class DoorProof:
    """What the comparison of two ways from file bytes to a decision found.

    Attributes:
        images: files that were compared.
        made: of these, files made in code: turned, transparent, 16 bits, CMYK, odd sizes.
        equal: decided equally by both.
        ties: decided differently, and the one door's two best classes are nearer than ``TIE``.
        max_difference: largest difference between two probabilities.
        mean_difference: mean over images of the largest difference between two probabilities.
        widest: of the files that are decided differently though all pixels are decoded in both, the largest lead of the
            network's best class; else 0.
        name: of the file that has it.
        reduced: files of which the one door decodes fewer pixels: large JPEGs.
    """

    images: int
    made: int
    equal: int
    ties: int
    max_difference: float
    mean_difference: float
    widest: float = 0.0
    name: str = ""
    reduced: int = 0

    def words(self) -> str:
        """Return what was found, as it is printed."""
        made = f" ({self.made} of them made: turned, 16 bits, CMYK, odd sizes)" if self.made else ""
        ties = f", {self.ties} ties" if self.ties else ""
        reduced = f", {self.reduced} of which predict decodes at a reduced size" if self.reduced else ""
        return (
            f"from file bytes the same decision as sightline predict on {self.equal} of {self.images} images"
            f"{made}{ties}{reduced}; probabilities differ by at most {self.max_difference:.2g}, "
            f"by {self.mean_difference:.1g} on average"
        )


@dataclass(frozen=True, slots=True)
class ParityProof:
    """What the comparison found.

    Attributes:
        images: how many different images were compared.
        batch_sizes: sizes of batches; the largest saw all of them, the others the first few.
        max_difference: largest difference between two probabilities.
        ties: images whose two best classes are nearer than ``TIE`` and were decided differently.
        exporter: of the ways to write the format, the one that made the file; empty where that is not known.
        door: of a format that takes images of any size, how its way from file bytes compares.
        unproved: why nothing was compared, where this machine can't run the file; ``images`` is 0 then.
    """

    images: int
    batch_sizes: tuple[int, ...]
    max_difference: float
    ties: int
    exporter: str = ""
    door: DoorProof | None = None
    unproved: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values; ``door`` and ``unproved`` only where there is one."""
        return {name: value for name, value in asdict(self).items() if name not in ("door", "unproved") or value}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ParityProof:
        """Return the proof of which ``fields`` holds what ``to_dict`` returned, and maybe more."""
        known = {name: value for name, value in fields.items() if name in cls.__slots__}
        door = DoorProof(**known["door"]) if known.get("door") else None
        return cls(**{**known, "batch_sizes": tuple(known["batch_sizes"]), "door": door})

    def words(self) -> str:
        """Return what was found, as it is printed."""
        if self.unproved:
            return f"NOT PROVED: {self.unproved}"
        if self.door:
            return self.door.words()
        close = f"probabilities within {self.max_difference:.1g}"
        return f"same decisions as the network on {self.images} images, {close}"
