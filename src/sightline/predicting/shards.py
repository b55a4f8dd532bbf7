"""One part of a prediction that several machines share: which images are its own, and what its file is called."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import InputError

__all__ = ["WHOLE", "Shard"]

_CURE = "number them from 0: --shard 0/{count} to --shard {last}/{count}"


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, numbered from 0.

    An image belongs to the part that the hash of its name gives, with the name as it was given: so every machine that
    is given the same names divides them in the same way, in whatever order it finds them.
    """

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``3/64``.

        Raises:
            InputError: if it is not of that form.

        Example:
            >>> Shard.parse("3/64")
            Shard(number=3, count=64)
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
        if match is None:
            raise InputError("predict.shard", f"{text!r} is not a valid shard", _CURE.format(count=64, last=63))
        number, count = int(match[1]), int(match[2])
        if number >= count:
            cure = _CURE.format(count=count or 64, last=(count or 64) - 1)
            raise InputError("predict.shard", f"there is no shard {number} of {count}", cure)
        return cls(number, count)

    def holds(self, name: str) -> bool:
        """Tell whether an image is one of this part.

        Example:
            >>> sum(Shard(number, 8).holds("photos/1.jpg") for number in range(8))
            1
        """
        if self.count == 1:
            return True
        plain = name.replace("\\", "/").encode("utf-8", "surrogateescape")
        return int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "big") % self.count == self.number

    def file_of(self, out: Path) -> Path:
        """Return the file of this part.

        Example:
            >>> Shard(3, 64).file_of(Path("said.csv")).name
            'said-00003-of-00064.csv'
        """
        if self.count == 1 and self.number == 0:
            return out
        return out.with_name(f"{out.stem}-{self.number:05d}-of-{self.count:05d}{out.suffix}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard()
