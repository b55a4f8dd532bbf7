"""The blocks of a GIF file: those of its first image, and how many images there are."""

from __future__ import annotations

from sightline.errors import UnreadableImage
from sightline.pixels.parts import Parts

__all__ = ["gif_parts"]

_MAX_BLOCKS = 1_000_000  # of metadata before the first image: 255 MB where each is full
_MAX_COUNTED = 300_000  # blocks that are looked at to count images; an animation is one with two of them
_MAX_CONTROLS = 100
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9


def gif_parts(data: bytes, label: str) -> Parts:
    """Return a GIF from its first image on, without the comments before it; later images are counted.

    Raises:
        UnreadableImage: if there is too much before the first image.
    """
    head = position = 13 + (3 << (data[10] & 7) + 1 if len(data) > 12 and data[10] & 0x80 else 0)
    blocks, controls = 0, []
    while position < len(data) and data[position] == _EXTENSION:
        end, count = _behind_blocks(data, position + 2, _MAX_BLOCKS - blocks)
        blocks += count + 1
        if data[position + 1 : position + 2] == bytes([_CONTROL]):
            controls.append(data[position:end])
        if blocks >= _MAX_BLOCKS or len(controls) > _MAX_CONTROLS:
            raise UnreadableImage(label, f"a GIF with more than {blocks - 1:,} blocks before its first image")
        position = end
    needed = data if position == head + sum(map(len, controls)) else data[:head] + b"".join(controls) + data[position:]
    return Parts(needed, frames=max(1, _count_images(data, position)))


def _count_images(data: bytes, position: int) -> int:
    """Count the images from a position on, as far as ``_MAX_COUNTED`` blocks reach."""
    images, blocks = 0, 0
    while position < len(data) and blocks < _MAX_COUNTED and data[position] in (_EXTENSION, _IMAGE):
        start = position + 2
        if data[position] == _IMAGE:
            if position + 10 >= len(data):
                break
            images += 1
            flags = data[position + 9]
            start = position + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        position, count = _behind_blocks(data, start, _MAX_COUNTED - blocks)
        blocks += count + 1
    return images


def _behind_blocks(data: bytes, position: int, most: int) -> tuple[int, int]:
    """Return (position behind a sequence of blocks, how many there were), looking at so many at most."""
    count = 0
    while position < len(data) and data[position] and count < most:
        position += data[position] + 1
        count += 1
    return position + 1, count
