"""Opens an image file, checks its limits before a pixel is decoded, and explains why a file can't be opened.

Formats are recognised by content, never by extension. ``decode`` decodes the opened image.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct

from PIL import Image, ImageFile

from sightline.errors import InputError, UnreadableImage
from sightline.pixels.jpeg import jpeg_parts
from sightline.pixels.parts import MAX_SIDE, Parts
from sightline.pixels.png import png_parts, read_chunks

__all__ = ["FORMATS", "MAX_JPEG_SCANS", "MAX_PIXELS", "jpeg_name", "open_image", "parts_of", "reason_of"]

# Pillow has forty more, which are not used for photos and add attack surface. HEIC needs a library of its own.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# Pillow's own warning limit: above it, 164 kB of PNG can ask for gigabytes. SIGHTLINE_MAX_PIXELS overrules it.
MAX_PIXELS = 89_478_485
# A valid progressive JPEG of 165 kB can take a minute to decode; libjpeg's authors ask applications to limit scans.
MAX_JPEG_SCANS = 64
# Each scan covers all pixels, so an image of the maximum size may have only this many. Encoders write 10 to 12.
_SCANS_AT_MAX_PIXELS = 16


def parts_of(data: bytes, label: str) -> Parts:
    """Return what of a file the decoder is given, found by its signature before a decoder sees it.

    Raises:
        UnreadableImage: if the bytes are empty, or have more parts than their format needs.
    """
    if not data:
        raise UnreadableImage(label, "the file is empty")
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_parts(data, label)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return png_parts(data, label)
    # Most runs of a command see none of these, and it starts sooner without them.
    if data.startswith((b"GIF87a", b"GIF89a")):
        from sightline.pixels.gif import gif_parts

        return gif_parts(data, label)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        from sightline.pixels.tiff import tiff_parts

        return tiff_parts(data, label)
    if data[:1] == b"P" and data[1:2].isdigit():
        from sightline.pixels.ppm import ppm_parts

        return ppm_parts(data, _max_pixels())
    if data.startswith(b"BM"):
        return Parts(_bounded_bmp(data))
    return Parts(data, frames=0)


def _bounded_bmp(data: bytes) -> bytes:
    """Return a BMP; a run-length coded one without what is more than its pixels can need."""
    if len(data) < 34 or int.from_bytes(data[14:18], "little") < 40 or data[30] not in (1, 2):
        return data
    width, height = struct.unpack_from("<ii", data, 18)
    return data[: int.from_bytes(data[10:14], "little") + 4 * abs(height) * (abs(width) + 1) + 4]


def open_image(parts: Parts, label: str) -> Image.Image:
    """Return the opened image, not decoded yet, of an accepted format and within the limits.

    Raises:
        UnreadableImage: if a limit is exceeded. ``reason_of`` explains Pillow's own errors.
        InputError: if SIGHTLINE_MAX_PIXELS is not a number.
    """
    data = parts.needed
    # Another library in this process may have set it, which would fill truncated images with grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    limit = _max_pixels()
    if Image.MAX_IMAGE_PIXELS is not None and limit > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit  # Pillow itself refuses images above twice its own limit
    try:
        image = _open_heic(data, label) if _is_heic(data) else Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UnreadableImage(label, f"more than {limit:,} pixels (SIGHTLINE_MAX_PIXELS sets the limit)") from error
    width, height = max(image.size, _largest_declared(data) if image.format == "HEIC" else (0, 0), key=math.prod)
    if width * height > limit:
        reason = f"{width}x{height} is more than {limit:,} pixels (SIGHTLINE_MAX_PIXELS sets the limit)"
        raise UnreadableImage(label, reason)
    if parts.maximum:
        image.info["maximum"] = parts.maximum  # its numbers were stretched
    if max(width, height) > MAX_SIDE:
        raise UnreadableImage(label, f"{width}x{height}: a side of more than {MAX_SIDE:,} pixels")
    most = max(1, min(MAX_JPEG_SCANS, _SCANS_AT_MAX_PIXELS * limit // max(1, width * height)))
    if parts.scans > most:
        raise UnreadableImage(label, f"a progressive JPEG of {width}x{height} pixels with more than {most} scans")
    return image


def jpeg_name(image: Image.Image) -> str:
    """Return the format's name; a phone's JPEG with a second image behind the first (MPO) is a JPEG."""
    return {"MPO": "JPEG"}.get(str(image.format), str(image.format))


def _max_pixels() -> int:
    text = os.environ.get("SIGHTLINE_MAX_PIXELS", "")
    try:
        limit = int(text.replace("_", "")) if text.strip() else MAX_PIXELS
        if limit < 1:
            raise ValueError
    except ValueError:
        raise InputError(
            "image.max-pixels",
            f"SIGHTLINE_MAX_PIXELS: {text!r} is not a valid number of pixels",
            f"set it to a whole number above 0, or unset it for {MAX_PIXELS:,}",
        ) from None
    return limit


_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def _is_heic(data: bytes) -> bool:
    """Tell by the brands: ``mif1`` alone is not enough, since AVIF files have it as well."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] in _HEIC_BRANDS or brands[0] in _AVIF_BRANDS:
        return brands[0] in _HEIC_BRANDS
    return brands[0] in (b"mif1", b"msf1") and not _AVIF_BRANDS & set(brands)


def _open_heic(data: bytes, label: str) -> Image.Image:
    """Open a HEIC file; the library rotates it upright by itself, and reports the rotated size."""
    try:
        from pi_heif import HeifImageFile
    except ImportError:
        from sightline.installation import install_command

        how = f"to read it: {install_command('heic')}; or export it as JPEG"
        raise UnreadableImage(label, f"a HEIC photo, as iPhones take them; {how}") from None
    _refuse_odd_items(data, label)
    image: Image.Image = HeifImageFile(io.BytesIO(data))
    image.format = "HEIC"
    return image


# An entry in a HEIC file's list of items: its size, version, flags, number (of two or four bytes), protection.
_ITEM = re.compile(rb"(.{4})infe(?:\x02.{7}|\x03.{9})", re.DOTALL)


def _refuse_odd_items(data: bytes, label: str) -> None:
    """Refuse a HEIC file with an item whose type is not text: it crashes pi-heif 1.4.

    Raises:
        UnreadableImage: if there is one.
    """
    for found in _ITEM.finditer(data[: 2**20]):
        texts = data[found.end() : found.start() + int.from_bytes(found[1], "big")]
        try:
            is_text = texts[:4].decode("ascii").isprintable() and bool(texts[4:].decode("utf-8") or True)
        except UnicodeDecodeError:
            is_text = False
        if not is_text:
            raise UnreadableImage(label, "damaged: a HEIC file with an item of unknown type")


def _largest_declared(data: bytes) -> tuple[int, int]:
    """Return the size of the largest image in a HEIC file: a cropped one is decoded as a whole first."""
    sizes = [struct.unpack(">II", found[1]) for found in re.finditer(rb"ispe\0{4}(.{8})", data[: 2**20], re.DOTALL)]
    return max(sizes, key=math.prod, default=(0, 0))


# (offset, bytes in lower case, description) of files that are not images, or of unsupported formats.
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"<!doctype html", "a web page, not an image"),
    (0, b"<html", "a web page, not an image"),
    (0, b"<head", "a web page, not an image"),
    (0, b"<svg", "an SVG drawing, not an image made of pixels"),
    (0, b"<?xml", "an XML file, not an image"),
    (0, b'{"', "a JSON text, not an image"),
    (0, b"%pdf", "a PDF, not an image"),
    (0, b"%!ps", "a PostScript file, not an image"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the image itself; type git lfs pull"),
    (0, b"pk\x03\x04", "a zip archive, not an image"),
    (0, b"rar!", "a RAR archive, not an image"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive, not an image"),
    (0, b"\x1f\x8b", "a gzip archive, not an image"),
    (0, b"\x93numpy", "a NumPy array, not an image"),
    (0, b"\x89hdf", "an HDF5 file, not an image"),
    (0, b"8bps", "a Photoshop file, which is not supported; save it as PNG or JPEG"),
    (0, b"\0\0\1\0", "an icon, which is not supported; save it as PNG"),
    (0, b"\xff\x0a", "a JPEG XL image, which is not supported; save it as PNG or JPEG"),
    (4, b"jxl ", "a JPEG XL image, which is not supported; save it as PNG or JPEG"),
    (4, b"jp  ", "a JPEG 2000 image, which is not supported; save it as PNG or JPEG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image, which is not supported; save it as PNG or JPEG"),
    (4, b"ftyp", "a video, or an image format that is not supported"),
    (128, b"dicm", "a DICOM file, which is not supported; save it as 16-bit PNG or TIFF"),
)
# Signatures of accepted formats: a file with one of them that can't be opened is damaged, or an unusual variant.
_KNOWN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (8, b"WEBP", "WebP"),
    (8, b"avi", "AVIF"),
)


def reason_of(error: Exception, data: bytes) -> str:
    """Return in a few words why a file can't be opened or decoded."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if type(error).__name__ == "UnidentifiedImageError":
        return _what_it_is(data)
    text = str(error).strip().splitlines()
    if text and text[0].startswith("decoder error"):
        return "damaged: its pixels can't be decoded"
    return f"damaged: {text[0]}" if text else f"damaged ({type(error).__name__})"


def _what_it_is(data: bytes) -> str:
    """Describe a file of no accepted format, by its first bytes."""
    for where, signature, name in _KNOWN:
        if data[where : where + 4].startswith(signature):
            if name == "PNG" and (wrong := [chunk.kind for chunk in read_chunks(data) if not chunk.is_good]):
                return f"damaged: a PNG with a wrong checksum in its chunk {wrong[0].decode('ascii', 'replace')}"
            return f"damaged, or an unsupported variant of {name}"
    head = data[:256].lower()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for where, signature, what in _FOREIGN:
        if (head[where:] if where else start).startswith(signature):
            return what
    return "not an image of a known format (" + ", ".join(FORMATS) + ")"
