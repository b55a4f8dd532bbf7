"""Image formats that are not read, recognised by content: their files are told from notes and other things."""

from __future__ import annotations

__all__ = ["START", "foreign_format"]

START = 132  # bytes of a file that tell its format

# (offset, bytes, name).
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"DDS ", "DDS"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"#?RGBE", "Radiance HDR"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"qoif", "QOI"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
    (0, b"\x01\xda\0\1", "SGI"),
    (0, b"\x01\xda\1\1", "SGI"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\x0a\x05\x01", "PCX"),
    (0, b"PF\n", "PFM"),
    (0, b"Pf\n", "PFM"),
    (0, b"FUJIFILMCCD-RAW", "camera raw"),
    (4, b"ftypcrx", "camera raw"),
    (0, b"<svg", "SVG"),
    (128, b"DICM", "DICOM"),
)
# Files of cameras that begin as a TIFF, whose first image is a small preview.
_RAWS = (".cr2", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq")
_TIFFS = (b"II*\0", b"MM\0*", b"IIRO", b"IIU\0")
_TARGAS = (".tga", ".vda", ".icb", ".vst")


def foreign_format(start: bytes, ending: str) -> str:
    """Return the name of an image format that is not read; empty for anything else.

    Args:
        start: the first bytes of a file, ``START`` of them or all.
        ending: of its name, in lower case with the point.

    Example:
        >>> foreign_format(b"8BPS" + bytes(20), ".psd"), foreign_format(b"notes", ".txt")
        ('Photoshop', '')
    """
    for at, signature, name in _SIGNATURES:
        if start[at:].startswith(signature):
            return name
    if ending in _RAWS and start.startswith(_TIFFS):
        return "camera raw"
    return "TGA" if ending in _TARGAS and _is_targa(start) else ""


def _is_targa(start: bytes) -> bool:
    """Tell by the header's numbers: TGA has no signature at its start."""
    if len(start) < 18 or start[1] > 1 or start[2] not in (1, 2, 3, 9, 10, 11):
        return False
    return any(start[12:14]) and any(start[14:16]) and start[16] in (8, 15, 16, 24, 32)
