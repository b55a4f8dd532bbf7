"""Bytes to RGB ``uint8``: the one door.

Training, evaluation, the export's proof and prediction all decode here, so an image can't mean one thing in
one of them and another elsewhere. A file that fails raises :class:`UnreadableImage`; it is never replaced.
"""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sightline.errors import UnreadableImage

__all__ = [
    "BACKGROUND",
    "FORMATS",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "decode_image",
    "read_bytes",
    "read_header",
]

# Formats by content, never by extension. Pillow knows forty more; each is attack surface and none is a photo.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# Pillow's own warning limit: above it, 164 kB of PNG can ask for gigabytes.
MAX_PIXELS = 89_478_485
MAX_FILE_BYTES = 256 * 2**20
# Legal progressive JPEGs can burn a minute of CPU in 165 kB; libjpeg's authors ask applications to count scans.
MAX_JPEG_SCANS = 64
BACKGROUND = (255, 255, 255)

# We refuse such images ourselves, by MAX_PIXELS; and Pillow's remarks on broken metadata are not ours to show.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

RGB = npt.NDArray[np.uint8]


def decode_image(source: str | Path | bytes, *, name: str | None = None) -> RGB:
    """Return the pixels of an image, upright, as RGB ``uint8`` of shape ``[H, W, 3]``.

    EXIF orientation is applied. Transparency is laid on white. 16-bit grey keeps its high byte. Of an
    animation or a multi-page file the first picture is taken. 32-bit and float images are refused: what their
    numbers mean can't be known.

    Args:
        source: a path, or the bytes of an image file.
        name: how to call ``source`` in an error; the path by default.

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
            return _upright_rgb(image, label)
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error ...
        raise UnreadableImage(label, _reason(error, data)) from error


def read_header(data: bytes, *, name: str = "<bytes>") -> tuple[int, int, str]:
    """Return (width, height, format) of an image as it is shown, upright, without decoding its pixels.

    Raises:
        UnreadableImage: if the bytes are no image of an accepted format, or a limit is passed.
    """
    try:
        with _open_checked(data, name) as image:
            width, height = image.size
            # Pillow turns a TIFF by itself, and says its size as turned.
            sideways = image.format != "TIFF" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return (height, width, str(image.format)) if sideways else (width, height, str(image.format))
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(name, _reason(error, data)) from error


def read_bytes(path: str | Path) -> bytes:
    """Return the bytes of a regular file; never blocks on a pipe or a device.

    Raises:
        UnreadableImage: if there is no such regular file, it can't be read, is empty or is too large.
    """
    label = str(path)
    try:
        # O_NONBLOCK: opening a named pipe would wait for a writer for ever. Windows has neither.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImage(label, "not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise UnreadableImage(label, f"{status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise UnreadableImage(label, "no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadableImage(label, getattr(error, "strerror", None) or str(error)) from error
    if not data:
        raise UnreadableImage(label, "the file is empty")
    return data


def _open_checked(data: bytes, label: str) -> Image.Image:
    """Open by content and apply the limits that must hold before a pixel is decoded."""
    if not data:
        raise UnreadableImage(label, "the file is empty")
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(label, f"{width}x{height} is more than {MAX_PIXELS:,} pixels")
    if image.format in ("JPEG", "MPO") and _count_scans(data) > MAX_JPEG_SCANS:
        raise UnreadableImage(label, f"a progressive JPEG with more than {MAX_JPEG_SCANS} scans")
    return image


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


def _upright_rgb(image: Image.Image, label: str) -> RGB:
    """Return the pixels of an opened image, turned as its EXIF orientation says."""
    image.load()
    is_pgm = image.format == "PPM"  # the only format whose 32-bit mode has a known range: it is 16 bits
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or (upright.mode == "I" and is_pgm):
        return _from_16_bits(upright)
    return np.asarray(_to_rgb(upright, label))


def _from_16_bits(image: Image.Image) -> RGB:
    """Return the high byte of 16-bit grey; a level that the file calls transparent shows the background."""
    values = np.asarray(image).astype(np.int64)
    rgb = np.repeat((values >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    transparent = image.info.get("transparency")
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
    raise UnreadableImage(label, f"pixels of mode {mode} have no agreed brightness range; convert it to 8 bits")


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
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"hevc", b"msf1"):
        return "a HEIC photo, which is not read yet; export it as JPEG"
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image of a known format (" + ", ".join(FORMATS) + ")"
    text = str(error).strip().splitlines()
    return f"damaged: {text[0]}" if text else f"damaged ({type(error).__name__})"


def to_rgb_array(image: Any) -> RGB:
    """Return pixels that are in memory already (numpy array or Pillow image) as ``[H, W, 3] uint8``.

    Arrays are ``uint8`` of shape ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]`` (RGB order).

    Raises:
        UnreadableImage: for any other dtype, shape or mode.
    """
    if isinstance(image, Image.Image):
        try:
            return _upright_rgb(image, "<image>")
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
