"""Bytes to RGB ``uint8``: the one door.

Training, evaluation, the export's proof and prediction all decode here, so an image can't mean one thing in
one of them and another elsewhere. A file that fails raises :class:`UnreadableImage`; it is never replaced.
"""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.files import read_bytes

__all__ = [
    "BACKGROUND",
    "FORMATS",
    "MAX_PIXELS",
    "REMARKS",
    "Header",
    "decode_image",
    "read_header",
    "to_rgb_array",
]

# Formats by content, never by extension. Pillow knows forty more; each is attack surface and none is a photo.
# HEIC is read too, by a library of its own, where that is installed.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# Pillow's own warning limit: above it, 164 kB of PNG can ask for gigabytes. SIGHTLINE_MAX_PIXELS overrules it.
MAX_PIXELS = 89_478_485
# Legal progressive JPEGs can burn a minute of CPU in 165 kB; libjpeg's authors ask applications to count scans.
MAX_JPEG_SCANS = 64
BACKGROUND = (255, 255, 255)
# What is odd about a file that decodes all the same; at most 16 ASCII letters each, see ``Header.remark``.
REMARKS = {
    "checksum": "a PNG with a wrong checksum: its pixels may be damaged",
    "cmyk-no-adobe": "a CMYK JPEG without Adobe's marker: its colours may be meant the other way round",
    "sixteen-bit": "16 bits a channel, of which the high 8 are used",
}

# We refuse such images ourselves, by MAX_PIXELS; and Pillow's remarks on broken metadata are not ours to show.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

RGB = npt.NDArray[np.uint8]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself.

    Attributes:
        width: in pixels, as shown, upright.
        height: in pixels, as shown, upright.
        format: by content: one of ``FORMATS``, or ``HEIC``.
        mode: Pillow's name of how pixels are stored: ``L``, ``RGB``, ``RGBA``, ``I;16``, ``CMYK`` ...
        orientation: EXIF's, 1 to 8; 1 where there is none or it is out of range.
        frames: pictures in the file; the first one is used.
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
    source: str | Place | bytes, *, name: str | None = None, value_range: Range | None = None, least_side: int = 0
) -> RGB:
    """Return the pixels of an image, upright, as RGB ``uint8`` of shape ``[H, W, 3]``.

    EXIF orientation is applied. Transparency is laid on white. 16-bit grey keeps its high byte. Of an
    animation or a multi-page file the first picture is taken. 32-bit and float images are refused without
    ``value_range``: what their numbers mean can't be known.

    Args:
        source: a path, an image in a container, or the bytes of an image file.
        name: how to call ``source`` in an error; the path by default.
        value_range: (low, high): the numbers of 16-bit grey, 32-bit and float pictures that are black and white;
            what lies beyond is clipped.
        least_side: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as its short side keeps this
            many pixels; 0 is its full size.

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
    try:
        with _open_checked(data, label) as image:
            if least_side and image.format in ("JPEG", "MPO"):
                image.draft(None, (least_side, least_side))
            return _upright_rgb(image, label, value_range)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error ...
        raise UnreadableImage(label, _reason(error, data)) from error


def read_header(data: bytes, *, name: str = "<bytes>") -> Header:
    """Return what an image file says about itself, without decoding its pixels.

    Raises:
        UnreadableImage: if the bytes are no image of an accepted format, or a limit is passed.
    """
    try:
        with _open_checked(data, name) as image:
            width, height = image.size
            orientation = _orientation(image)
            # Pillow turns a TIFF by itself, and says its size as turned.
            if image.format != "TIFF" and orientation in (5, 6, 7, 8):
                width, height = height, width
            form = {"MPO": "JPEG"}.get(str(image.format), str(image.format))
            # A phone's JPEG carries its depth map as a second picture; that makes it no film.
            frames = 1 if form == "JPEG" else _count_frames(image)
            profile = bool(image.info.get("icc_profile"))
            return Header(width, height, form, image.mode, orientation, frames, profile, _remark(image, data))
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(name, _reason(error, data)) from error


def _open_checked(data: bytes, label: str) -> Image.Image:
    """Open by content and apply the limits that must hold before a pixel is decoded."""
    if not data:
        raise UnreadableImage(label, "the file is empty")
    image = _open_heic(data, label) if _is_heic(data) else Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    limit = int(os.environ.get("SIGHTLINE_MAX_PIXELS", MAX_PIXELS))
    if width * height > limit:
        reason = f"{width}x{height} is more than {limit:,} pixels (SIGHTLINE_MAX_PIXELS sets the limit)"
        raise UnreadableImage(label, reason)
    if image.format in ("JPEG", "MPO") and _count_scans(data) > MAX_JPEG_SCANS:
        raise UnreadableImage(label, f"a progressive JPEG with more than {MAX_JPEG_SCANS} scans")
    return image


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def _open_heic(data: bytes, label: str) -> Image.Image:
    """Open an iPhone's photo; the library turns it upright by itself."""
    try:
        from pi_heif import HeifImageFile
    except ImportError:
        reason = "a HEIC photo, as iPhones take them; to read it: pip install 'sightline[heic]', or export it as JPEG"
        raise UnreadableImage(label, reason) from None
    image: Image.Image = HeifImageFile(io.BytesIO(data))
    image.format = "HEIC"
    return image


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation; damaged metadata has none, and its picture is shown as it lies."""
    try:
        number = image.getexif().get(0x0112, 1)
    except Exception:  # as many errors as there are ways to break a TIFF directory
        return 1
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def _count_frames(image: Image.Image) -> int:
    try:
        return max(1, min(int(getattr(image, "n_frames", 1)), 2**31 - 1))
    except Exception:  # a later picture is damaged; the first may be whole
        return 2


def _remark(image: Image.Image, data: bytes) -> str:
    """Return the key of ``REMARKS`` that holds for a file."""
    if image.format == "PNG":
        if not _has_good_checksums(data):
            return "checksum"
        return "sixteen-bit" if data[24] == 16 else ""
    if image.format in ("JPEG", "MPO"):
        return "cmyk-no-adobe" if image.mode == "CMYK" and "adobe" not in image.info else ""
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, 8)  # type: ignore[attr-defined]
        return "sixteen-bit" if 16 in (bits if isinstance(bits, tuple) else (bits,)) else ""
    return "sixteen-bit" if image.mode.startswith("I;16") else ""


def _has_good_checksums(data: bytes) -> bool:
    """Tell whether every chunk of a PNG carries its right CRC; what lies behind the end is not looked at."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(data):
            return True  # cut off, which decoding finds where it matters
        if zlib.crc32(memoryview(data)[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return True


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _count_scans(data: bytes) -> int:
    """Return the scans of a JPEG by walking its markers to its end; what lies behind it (a film) is not looked at."""
    scans, position = 0, 2
    while scans <= MAX_JPEG_SCANS and (found := _MARKER.search(data, position)):
        marker, position = data[found.start() + 1], found.end()
        if marker == 0xD9:
            break
        scans += marker == 0xDA
        position += int.from_bytes(data[position : position + 2], "big")  # over the segment: it may hold a thumbnail
    return scans


_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright_rgb(image: Image.Image, label: str, value_range: Range | None = None) -> RGB:
    """Return the pixels of an opened image, turned as its EXIF orientation says."""
    image.load()
    is_pgm = image.format == "PPM"  # the only format whose 32-bit mode has a known range: it is 16 bits
    method = _TRANSPOSE.get(_orientation(image))
    info = image.info
    upright = image if method is None else image.transpose(method)
    if upright.mode.startswith("I;16") or (upright.mode == "I" and is_pgm) or (value_range and upright.mode in "IF"):
        return _from_numbers(np.asarray(upright), value_range, info.get("transparency"))
    upright.info = info
    return np.asarray(_to_rgb(upright, label))


def _from_numbers(values: npt.NDArray[Any], value_range: Range | None, transparent: object) -> RGB:
    """Return grey of more than 8 bits: scaled by the range, or the high byte of 16 bits.

    A level that the file calls transparent shows the background.
    """
    if value_range:
        low, high = value_range
        levels = (np.nan_to_num(values.astype(np.float64), nan=low) - low) * (255 / (high - low))
        grey = levels.clip(0, 255).round().astype(np.uint8)
    else:
        grey = (values.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    if isinstance(transparent, int):
        rgb[values == transparent] = BACKGROUND
    return rgb


def _to_rgb(image: Image.Image, label: str) -> Image.Image:
    """Turn each 8-bit Pillow mode into RGB by a rule; a mode without a rule is refused."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        # An ICC profile or a colour key makes no difference here: what is transparent shows the background.
        layered = image.convert("RGBA")
        flat = Image.new("RGBA", layered.size, (*BACKGROUND, 255))
        return Image.alpha_composite(flat, layered).convert("RGB")
    if mode in ("1", "L", "P", "RGBX", "CMYK", "YCbCr"):
        return image.convert("RGB")
    reason = f"pixels of mode {mode} have no agreed brightness range"
    cure = "say which numbers are black and white: --range LOW,HIGH" if mode in ("I", "F") else "convert it to 8 bits"
    raise UnreadableImage(label, f"{reason}; {cure}")


_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page, not an image"),
    (b"<html", "a web page, not an image"),
    (b"<svg", "an SVG drawing, not a picture made of pixels"),
    (b"<?xml", "an XML file, not an image"),
    (b"%pdf", "a PDF, not an image"),
    (b"pk\x03\x04", "a zip archive, not an image"),
)


def _reason(error: Exception, data: bytes) -> str:
    """Say in a few words why a file did not decode."""
    start = data[:64].lstrip().lower()
    for signature, reason in _SIGNATURES:
        if start.startswith(signature):
            return reason
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image of a known format (" + ", ".join(FORMATS) + ")"
    text = str(error).strip().splitlines()
    return f"damaged: {text[0]}" if text else f"damaged ({type(error).__name__})"


def to_rgb_array(image: Any, *, value_range: Range | None = None) -> RGB:
    """Return pixels that are in memory already (numpy array or Pillow image) as ``[H, W, 3] uint8``.

    Arrays are ``uint8`` of shape ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]`` (RGB order).

    Raises:
        UnreadableImage: for any other dtype, shape or mode.
    """
    if isinstance(image, Image.Image):
        try:
            return _upright_rgb(image, "<image>", value_range)
        except UnreadableImage:
            raise
        except Exception as error:  # its file is read only now, and can be damaged in as many ways
            raise UnreadableImage("<image>", _reason(error, b"")) from error
    array = np.asarray(image)
    good_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not good_shape or array.size == 0:
        raise UnreadableImage(
            "<array>",
            f"{array.dtype} of shape {list(array.shape)}; wanted uint8 [H, W], [H, W, 3] or [H, W, 4]",
        )
    return np.asarray(_to_rgb(Image.fromarray(array), "<array>"))
