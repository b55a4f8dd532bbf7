"""Images of four shapes, and among them one file for each known fault of an image file.

Generated for ``sightline selftest`` and for tests. Each fault has a file of its own, so that none hides another;
faults of a data set as a whole are in ``defect_sets``.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sightline.data.defect_sets import READ, Defect, write_sets
from sightline.data.drawn_shapes import SHAPES, SIDE, Pixels, Random, draw_shape, encode

__all__ = ["DEFECTS", "READ", "Defect", "write_defects"]

# At least a hundred good images for each unreadable one: more than 1 % of unreadable ones stop a training.
_COUNTS = {"train": 60, "val": 70, "test": 140}


def write_defects(folder: Path) -> tuple[Defect, ...]:
    """Write the set into a new folder and return its defects: ``folder/photos`` with split folders, and small sets.

    Example:
        ``[defect.code for defect in write_defects(Path("torture"))]``
    """
    photos = folder / "photos"
    random = np.random.default_rng(0)
    for part, count in _COUNTS.items():
        for shape in SHAPES:
            (photos / part / shape).mkdir(parents=True)
            for number in range(count):
                (photos / part / shape / f"{number:03d}.png").write_bytes(encode(draw_shape(random, shape)))
    defects = []
    for number, (name, path, make, code, words) in enumerate(DEFECTS):
        if make(photos / path, np.random.default_rng([1, number])):
            defects.append(Defect(name, photos, code, path, words))
    return (*defects, *write_sets(folder / "sets"))


# -- how each is made: takes a path and random numbers; returns False where the system can't have such a file ------

Maker = Callable[[Path, Random], bool]


def _holds(content: Callable[[Pixels], bytes]) -> Maker:
    """Return a maker of a file with an image of the shape that its folder is named after."""

    def make(path: Path, random: Random) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = next(name for name in (*reversed(path.parts), SHAPES[0]) if name in SHAPES)
        path.write_bytes(content(draw_shape(random, shape)))
        return True

    return make


def _with(content: bytes) -> Maker:
    return _holds(lambda pixels: content)


def _copy_of(source: str, change: Callable[[bytes], bytes] = lambda data: data) -> Maker:
    """Return a maker of a changed copy of another file; ``source`` is relative to the folder of the splits."""

    def make(path: Path, random: Random) -> bool:
        path.write_bytes(change((path.parents[2] / source).read_bytes()))
        return True

    return make


def _saved_again(data: bytes) -> bytes:
    return encode(np.asarray(Image.open(io.BytesIO(data))), "JPEG", quality=85)


def _resized(data: bytes) -> bytes:
    return encode(np.asarray(Image.open(io.BytesIO(data)).resize((48, 48), Image.Resampling.BICUBIC)))


def _mirrored(data: bytes) -> bytes:
    return encode(np.asarray(Image.open(io.BytesIO(data)))[:, ::-1])


def _notebook(path: Path, random: Random) -> bool:
    return _holds(encode)(path / "000-checkpoint.png", random)


def _pipe(path: Path, random: Random) -> bool:
    if os.name != "posix":
        return False
    os.mkfifo(path)
    return True


def _link(target: str) -> Maker:
    def make(path: Path, random: Random) -> bool:
        try:
            path.symlink_to(target)
        except OSError:  # on Windows, links need a privilege
            return False
        return True

    return make


def _odd_name(path: Path, random: Random) -> bool:
    return os.name == "posix" and _holds(encode)(path, random)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pixel_bomb(pixels: Pixels) -> bytes:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(999))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _scan_bomb(pixels: Pixels) -> bytes:
    data = encode(pixels, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 100 + data[-2:]


def _flipped(pixels: Pixels) -> bytes:
    data = bytearray(encode(pixels))
    data[len(data) // 2] ^= 16
    return bytes(data)


def _wrong_checksum(pixels: Pixels) -> bytes:
    data = bytearray(encode(pixels))
    at = data.rindex(b"IEND") - 8  # the last bytes of the pixels' chunk
    data[at] ^= 255
    return bytes(data)


def _sideways(pixels: Pixels) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(np.rot90(pixels), "JPEG", exif=exif)


def _cmyk_without_marker(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(file, "JPEG")
    data = file.getvalue()
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def _film(pixels: Pixels) -> bytes:
    frames = [Image.fromarray(pixels[:, ::step]).resize((SIDE, SIDE)) for step in (1, -1)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _levels(factor: float, more: float) -> Callable[[Pixels], bytes]:
    return lambda pixels: encode((pixels * factor + more).clip(0, 255).astype(np.uint8))


def _blurred(pixels: Pixels) -> bytes:
    tiny = Image.fromarray(pixels).resize((4, 4), Image.Resampling.BOX)
    return encode(np.asarray(tiny.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))


def _scaled_to(width: int, height: int) -> Callable[[Pixels], bytes]:
    return lambda pixels: encode(np.asarray(Image.fromarray(pixels).resize((width, height))))


_PAGE = b"<!DOCTYPE html><html><title>404 Not Found</title></html>"
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

# A new defect is one function and one row: the fault, path, how it is made, expected code, words of the reason.
DEFECTS: tuple[tuple[str, str, Maker, str, str], ...] = (
    ("an empty file", "train/disc/empty.jpg", _with(b""), "unreadable", "empty"),
    ("a web page named .jpg", "train/disc/page.jpg", _with(_PAGE), "unreadable", "web page"),
    ("a pointer of Git LFS", "train/ring/pointer.png", _with(_POINTER), "unreadable", "git lfs"),
    (
        "half a JPEG",
        "train/ring/half.jpg",
        _holds(lambda p: encode(p, "JPEG", quality=95)[:-500]),
        "unreadable",
        "truncated",
    ),
    ("a PNG with a flipped bit", "train/cross/flipped.png", _holds(_flipped), "unreadable", "damaged"),
    ("900 million pixels in a kilobyte", "train/cross/bomb.png", _holds(_pixel_bomb), "unreadable", "pixels"),
    ("a JPEG of a hundred scans", "train/square/scans.jpg", _holds(_scan_bomb), "unreadable", "scans"),
    (
        "an image of floats",
        "train/square/floats.tif",
        _holds(lambda p: encode(_grey(p).astype(np.float32) / 255, "TIFF")),
        "unreadable",
        "--range",
    ),
    ("a pipe named .jpg", "train/disc/pipe.jpg", _pipe, "unreadable", "not a regular file"),
    ("a broken link", "train/disc/broken-link.jpg", _link("nowhere.jpg"), "unreadable", "missing file"),
    ("a link to its own folder", "train/ring/loop", _link("."), "skipped", "link"),
    ("a notebook's hidden copies", "train/.ipynb_checkpoints", _notebook, "skipped", "hidden"),
    ("a hidden file of macOS", "train/disc/._000.jpg", _with(b"\0\x05\x16\x07"), "skipped", "hidden"),
    ("a text file among the images", "train/disc/notes.txt", _with(b"the good ones"), "skipped", "not an image"),
    ("an image outside the class folders", "train/lost.png", _holds(encode), "skipped", "outside the class folders"),
    ("an image without an extension", "train/disc/no-ending", _holds(encode), READ, ""),
    ("an extension in capitals", "train/disc/CAMERA.JPG", _holds(lambda p: encode(p, "JPEG", quality=95)), READ, ""),
    ("an image one folder deeper", "train/disc/more/deep.png", _holds(encode), READ, ""),
    ("a name that moves the cursor", "train/disc/\x1b[2J\n.png", _odd_name, READ, ""),
    ("a JPEG without its end marker", "train/disc/no-end.jpg", _holds(lambda p: _whole_jpeg(p)), READ, ""),
    ("a PNG named .jpg", "train/ring/really-png.jpg", _holds(encode), "wrong-extension", "PNG"),
    ("a photo stored sideways", "train/ring/sideways.jpg", _holds(_sideways), "sideways", ""),
    (
        "16 bits per channel",
        "train/ring/deep.png",
        _holds(lambda p: encode(_grey(p).astype(np.uint16) * 257)),
        "sixteen-bit",
        "",
    ),
    ("a wrong checksum", "train/ring/checksum.png", _holds(_wrong_checksum), "checksum", ""),
    ("a CMYK JPEG without Adobe's marker", "train/ring/ink.jpg", _holds(_cmyk_without_marker), "cmyk-no-adobe", ""),
    ("an animated GIF", "train/ring/film.gif", _holds(_film), "animation", ""),
    ("a test image that is also in train", "test/disc/leak.png", _copy_of("train/disc/000.png"), "leak", ""),
    (
        "a test image that is in train, saved again",
        "test/disc/near-leak.jpg",
        _copy_of("train/disc/001.png", _saved_again),
        "near-leak",
        "",
    ),
    ("one file with two labels", "train/ring/conflict.png", _copy_of("train/disc/002.png"), "label-conflict", ""),
    (
        "one image with two labels, resized",
        "train/ring/near-conflict.png",
        _copy_of("train/disc/003.png", _resized),
        "near-conflict",
        "",
    ),
    ("a copy", "train/disc/copy.png", _copy_of("train/disc/004.png"), "copies", ""),
    ("a mirrored copy", "train/disc/mirrored.png", _copy_of("train/disc/005.png", _mirrored), "near-copies", ""),
    ("a thumbnail", "train/square/thumbnail.png", _holds(_scaled_to(3, 3)), "odd-size", "3x3"),
    ("a banner", "train/square/banner.png", _holds(_scaled_to(200, 32)), "odd-aspect", "200x32"),
    ("a very dark image", "train/square/dark.png", _holds(_levels(0.14, 0)), "dark", ""),
    ("a very bright image", "train/square/bright.png", _holds(_levels(0.15, 225)), "bright", ""),
    ("an image of one colour", "train/square/flat.png", _holds(lambda p: encode(p * 0 + np.uint8(120))), "flat", ""),
    ("a blurred image", "train/square/blurred.png", _holds(_blurred), "blurred", ""),
    ("a grey image among coloured ones", "train/square/grey.png", _holds(lambda p: encode(_grey(p))), "grey", ""),
)


def _whole_jpeg(pixels: Pixels) -> bytes:
    """Return a JPEG without its last two bytes that still decodes; most do not, as decoders read ahead."""
    for quality in range(95, 60, -1):
        data = encode(pixels, "JPEG", quality=quality)[:-2]
        try:
            Image.open(io.BytesIO(data)).load()
        except OSError:
            continue
        return data
    return encode(pixels, "JPEG")
