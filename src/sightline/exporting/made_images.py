"""Image files of the kinds on which programs differ, made in code: turned, transparent, 16 bits, CMYK, odd sizes."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["make_images"]

_SIDES = (97, 71)  # odd, so that halves are not whole
_GRAIN = 9  # a photo's content is smooth: so many random values a side, enlarged


def make_images(size: int) -> Mapping[str, bytes]:
    """Return name -> content of image files; the same ones each time.

    Args:
        size: of the network's square, in px: one image is a little larger, one many times, one a little smaller.

    Example:
        >>> sorted(make_images(32))[:3]
        ['alpha.png', 'bitmap.png', 'cmyk.jpg']
    """
    random = np.random.default_rng(25)

    def field(width: int, height: int, channels: int) -> npt.NDArray[np.uint8]:
        coarse = random.integers(0, 256, (_GRAIN, _GRAIN, channels), dtype=np.uint8)
        planes = [
            np.asarray(Image.fromarray(coarse[..., k]).resize((width, height), Image.Resampling.BICUBIC))
            for k in range(channels)
        ]
        return np.stack(planes, 2)

    def photo(width: int, height: int) -> Image.Image:
        return Image.fromarray(field(width, height, 3))

    files: dict[str, bytes] = {}

    def keep(name: str, image: Image.Image, **how: object) -> None:
        written = io.BytesIO()
        image.save(written, "JPEG" if name.endswith(".jpg") else "PNG", **how)
        files[name] = written.getvalue()

    for orientation in (3, 6, 8):
        turned = Image.Exif()
        turned[0x0112] = orientation
        keep(f"exif-{orientation}.jpg", photo(*_SIDES), exif=turned.tobytes(), quality=92)
    keep("alpha.png", Image.fromarray(field(*_SIDES, 4), "RGBA"))
    keep("grey.png", Image.fromarray(field(*_SIDES, 1)[..., 0]))
    keep("grey-16.png", Image.fromarray(field(*_SIDES, 1)[..., 0].astype(np.uint16) * 257))
    keep("palette.png", photo(*_SIDES).quantize(31))
    keep("bitmap.png", photo(*_SIDES).convert("1"))
    keep("cmyk.jpg", photo(*_SIDES).convert("CMYK"), quality=92)
    keep("wide.png", photo(7 * 41, 41))
    keep("tall.png", photo(33, 5 * 33))
    keep("tiny.png", photo(3, 2))
    keep("near.png", photo(size + 1, size + 1))
    keep("below.png", photo(max(1, size - 1), max(1, size // 2)))
    keep("large.jpg", photo(4 * size + 3, 5 * size + 1), quality=92)
    return files
