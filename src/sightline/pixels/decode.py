"""Bytes to RGB ``uint8``: the only decoder.

Training, evaluation, the export's check and prediction all decode here, so that an image has the same pixels in all
of them. A file that can't be decoded raises :class:`UnreadableImage`; it is never replaced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sightline.errors import SightlineError, UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.deadline import time_limit
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.modes import BACKGROUND, RGB, Range, Rules, to_rgb
from sightline.pixels.opening import FORMATS, MAX_PIXELS, jpeg_name, open_image, parts_of, reason_of
from sightline.pixels.parts import Parts

__all__ = [
    "BACKGROUND",
    "FORMATS",
    "MAX_PIXELS",
    "REMARKS",
    "RGB",
    "Header",
    "decode_image",
    "read_both",
    "read_header",
    "to_rgb_array",
]

# Unusual properties of a file that decodes; names of at most 16 ASCII letters, see ``Header.remark``.
REMARKS = {
    "checksum": "a PNG with a wrong checksum: its pixels may be damaged",
    "cut-short": "a progressive JPEG without its last scans",
    "cmyk-no-adobe": "a CMYK JPEG without Adobe's marker: its colours may be inverted",
    "sixteen-bit": "more than 8 bits per channel, of which the high 8 are used",
}

# We refuse such images ourselves, by MAX_PIXELS; and Pillow's warnings about broken metadata do not help a user.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Header:
    """The facts in a file's header.

    Attributes:
        width: in pixels, as shown, upright.
        height: in pixels, as shown, upright.
        format: by content: one of ``FORMATS``, or ``HEIC``.
        mode: Pillow's name for how pixels are stored: ``L``, ``RGB``, ``RGBA``, ``I;16``, ``CMYK`` ...
        orientation: EXIF's, 1 to 8; 1 where there is none or it is out of range, and for HEIC.
        frames: images in the file; the first one is used.
        has_profile: whether there is an ICC colour profile (it is not applied).
        remark: a key of ``REMARKS``, or an empty string.
    """

    width: int
    height: int
    format: str
    mode: str
    orientation: int = 1
    frames: int = 1
    has_profile: bool = False
    remark: str = ""


def decode_image(
    source: str | Place | bytes,
    *,
    name: str | None = None,
    value_range: Range | None = None,
    least_side: int = 0,
    background: tuple[int, int, int] = BACKGROUND,
) -> RGB:
    """Return the pixels of an image, upright, as RGB ``uint8`` of shape ``[H, W, 3]``.

    EXIF orientation is applied. Transparency is composited on the background. 16-bit grey keeps its high byte. The
    first image of an animation or a multi-page file is used. 32-bit and float images are refused without
    ``value_range``, since the meaning of their values is unknown.

    Args:
        source: a path, an image in a container, or the bytes of an image file.
        name: the name of ``source`` in errors; the path by default.
        value_range: (low, high): the values of black and white in 16-bit grey, 32-bit and float images; values
            beyond them are clipped.
        least_side: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as its short side keeps this
            many pixels; 0 means full size.
        background: the colour behind transparent pixels.

    Raises:
        UnreadableImage: whatever is wrong with the file, with its name and the reason.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("L", (4, 2), 7).save(file, "PNG")
        >>> decode_image(file.getvalue()).shape
        (2, 4, 3)
    """
    label = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    data = source if isinstance(source, bytes) else read_bytes(source)
    with _door(data, label), open_image(parts_of(data, label), label) as image:
        return np.asarray(_upright_rgb(image, label, Rules(value_range, background), _reduce(image, least_side)))


@contextmanager
def _door(data: bytes, label: str) -> Iterator[None]:
    """Let nothing but Sightline's own errors out, and end what takes too long."""
    try:
        with time_limit(label):
            yield
    except SightlineError:
        raise
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error ...
        raise UnreadableImage(label, reason_of(error, data)) from error


def _reduce(image: Image.Image, least_side: int) -> Box | None:
    """Ask libjpeg for a smaller image; returns the box of it that the image covers, where sides don't divide evenly.

    Half of 1601 pixels are 801, and the last one is half empty: without the box, all others would be shifted.
    """
    if not least_side or jpeg_name(image) != "JPEG":
        return None
    found = image.draft(None, (least_side, least_side))
    box: Box | None = found[1] if found else None
    return box if box and box[2:] != image.size else None


def read_header(data: bytes, *, name: str = "<bytes>") -> Header:
    """Return the header of an image file, without decoding its pixels.

    Raises:
        UnreadableImage: if the bytes are not an image of an accepted format, or a limit is exceeded.
    """
    with _door(data, name):
        parts = parts_of(data, name)
        with open_image(parts, name) as image:
            return _header_of(image, parts)


def read_both(
    data: bytes, *, name: str = "<bytes>", value_range: Range | None = None, least_side: int = 0
) -> tuple[Header, Image.Image]:
    """Return what ``read_header`` and ``decode_image`` return, the pixels as an RGB image.

    Args:
        data, name, value_range, least_side: as for :func:`decode_image`.

    Raises:
        UnreadableImage: as for both.
    """
    with _door(data, name):
        parts = parts_of(data, name)
        with open_image(parts, name) as image:
            header = _header_of(image, parts)
            if header.format != "TIFF":  # reading its metadata moves through the file
                box = _reduce(image, least_side)
                return header, _upright_rgb(image, name, Rules(value_range, BACKGROUND), box)
        with open_image(parts, name) as image:
            return header, _upright_rgb(image, name, Rules(value_range, BACKGROUND))


def _header_of(image: Image.Image, parts: Parts) -> Header:
    form, mode = jpeg_name(image), image.mode
    width, height = image.size
    orientation = _orientation(image)
    # Pillow rotates a TIFF by itself, and reports the rotated size.
    if form != "TIFF" and orientation in (5, 6, 7, 8):
        width, height = height, width
    profile = parts.has_profile or bool(image.info.get("icc_profile"))
    frames = parts.frames or _count_frames(image)
    return Header(width, height, form, mode, orientation, frames, profile, _remark(image, parts))


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation; 1, for unrotated, where the metadata are damaged."""
    try:
        # The parent class reads the same EXIF and XMP data; that of PNG would decode, to look for later ones.
        number = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:  # a damaged TIFF directory can raise many types
        return 1
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def _count_frames(image: Image.Image) -> int:
    try:
        return max(1, min(int(getattr(image, "n_frames", 1)), 2**31 - 1))
    except Exception:  # a later image is damaged; the first may be intact
        return 2


def _remark(image: Image.Image, parts: Parts) -> str:
    """Return the key of ``REMARKS`` that applies to a file."""
    form, depth = jpeg_name(image), 8
    if parts.remark:
        return parts.remark
    if form == "JPEG":
        return "cmyk-no-adobe" if image.mode == "CMYK" and "adobe" not in image.info else ""
    if form == "PNG":
        depth = parts.needed[24]
    elif form == "TIFF":
        bits = image.tag_v2.get(258, 8)  # type: ignore[attr-defined]
        depth = max(bits) if isinstance(bits, tuple) else bits
    elif form == "PPM":
        depth = 16 if parts.maximum > 255 else 8
    return "sixteen-bit" if 8 < depth <= 16 else ""


_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright_rgb(image: Image.Image, label: str, rules: Rules, box: Box | None = None) -> Image.Image:
    """Return an opened image, or a part of it, in RGB and rotated by its EXIF orientation."""
    rgb = to_rgb(image, label, rules)
    if box:
        rgb = rgb.resize(rgb.size, Image.Resampling.BICUBIC, box=box)
    method = _TRANSPOSE.get(_orientation(image))
    return rgb if method is None else rgb.transpose(method)


def to_rgb_array(image: Any, *, value_range: Range | None = None, background: tuple[int, int, int] = BACKGROUND) -> RGB:
    """Return an image in memory (numpy array or Pillow image) as ``[H, W, 3] uint8``.

    Arrays are ``uint8`` of shape ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]`` (RGB order).

    Raises:
        UnreadableImage: for any other dtype, shape or mode.
    """
    rules = Rules(value_range, background)
    if isinstance(image, Image.Image):
        try:
            return np.asarray(_upright_rgb(image, "<image>", rules))
        except UnreadableImage:
            raise
        except Exception as error:  # its file is read only now, and a damaged one can raise many types
            raise UnreadableImage("<image>", reason_of(error, b"")) from error
    try:
        array = np.asarray(image)
    except ValueError as error:  # lists of unequal length
        raise UnreadableImage("<array>", f"not an array: {error}") from error
    good_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not good_shape or array.size == 0:
        raise UnreadableImage(
            "<array>",
            f"{array.dtype} of shape {list(array.shape)}; it must be uint8 [H, W], [H, W, 3] or [H, W, 4]",
        )
    return np.asarray(to_rgb(Image.fromarray(array), "<array>", rules))
