"""What of an image file the decoder is given: the parts that its pixels need."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_SIDE", "Parts"]

# Of any side, in pixels. Memory is needed for each row, whatever its length.
MAX_SIDE = 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    """A file without what its pixels don't need, and facts that the rest would have shown.

    Attributes:
        needed: the bytes for the decoder: a file of the same format with the same pixels and the same orientation.
        frames: images in the file, the first one included; 0: the decoder must count them.
        has_profile: whether there is an ICC colour profile.
        remark: a key of ``decode.REMARKS``, or an empty string.
        scans: of a JPEG; 0 for others.
        maximum: of a PPM, the value of white as stored; 0 for others.
    """

    needed: bytes
    frames: int = 1
    has_profile: bool = False
    remark: str = ""
    scans: int = 0
    maximum: int = 0
