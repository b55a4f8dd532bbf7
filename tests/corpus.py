"""Bad and odd image files, made on the spot, each with the verdict that it must get.

Files are written by the few lines of encoders below where the form matters, by Pillow where only the content does;
what they show is computed with numpy, never read back.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from heic import FOUR_COLOURS, heic

__all__ = ["UPRIGHT", "Case", "cases", "cmyk_jpeg", "encode", "jpeg", "oriented", "png", "tiff"]

Pixels = np.ndarray

# What each EXIF orientation asks for, in numpy.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}

Y, X = np.mgrid[0:32, 0:48]
SMOOTH = np.stack([X * 5, Y * 7, 255 - X * 2 - Y * 3], -1).astype(np.uint8)  # no symmetry, and kind to JPEG
NOISE = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
GREY = NOISE[..., 0]
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
CLOSE = {"JPEG": 6, "AVIF": 12}  # levels that a lossy format may be off at its best quality


@dataclass(frozen=True)
class Case:
    """One file and its verdict.

    Attributes:
        name: of the file, with its ending.
        data: its content.
        shown: the pixels that it must decode to; None where it must be refused.
        atol: levels that pixels may be off.
        reason: a part of the reason of a refusal.
        remark: what the header must remark.
        frames: images that the header must count.
        make: makes the file where it is none of ``data``; returns what to clean up with.
        value_range: given to the decoder.
    """

    name: str
    data: bytes = b""
    shown: Pixels | None = None
    atol: int = 0
    reason: str = ""
    remark: str = ""
    frames: int = 1
    make: Callable[[Path], object] | None = None
    value_range: tuple[float, float] | None = None

    def write(self, folder: Path) -> Path:
        """Write the file into a folder and return its path."""
        path = folder / self.name
        if self.make:
            self.make(path)
        else:
            path.write_bytes(self.data)
        return path


def cases() -> list[Case]:
    """Return all of them; names are unique."""
    return [case for family in FAMILIES for case in family()]


# -- encoders ---------------------------------------------------------------------------------------------------


def encode(image: Image.Image | Pixels, kind: str = "PNG", **options: object) -> bytes:
    """Return a file that Pillow writes."""
    out = io.BytesIO()
    if kind == "JPEG":
        options = {"quality": 98, "subsampling": 0, **options}
    if kind in ("WEBP", "AVIF"):
        options = {"lossless": True, "exact": True} | options if kind == "WEBP" else {"quality": 98} | options
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def oriented(number: int) -> Image.Exif:
    """Return EXIF with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def chunk(kind: bytes, body: bytes, *, good: bool = True) -> bytes:
    """Return one chunk of a PNG, with its right checksum or a wrong one."""
    checksum = zlib.crc32(kind + body) ^ (not good)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(
    rows: list[bytes], width: int, bits: int, colour: int, *before: tuple[bytes, bytes], behind: bytes = b""
) -> bytes:
    """Return a PNG of rows as they are stored; ``before`` and ``behind`` the image data stand further chunks."""
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)),
            *(chunk(kind, content) for kind, content in before),
            chunk(b"IDAT", body),
            behind,
            chunk(b"IEND", b""),
        ]
    )


def tiff(data: bytes, tags: dict[int, object], *, order: str = "<") -> bytes:
    """Return a TIFF of one strip of stored bytes."""
    fields = {259: 1, 273: 8, 278: tags[257], 279: len(data), **tags}
    directory, extra = b"", b""
    where = 8 + len(data) + len(data) % 2
    beyond = where + 2 + 12 * len(fields) + 4
    for tag, value in sorted(fields.items()):
        values = value if isinstance(value, tuple) else (value,)
        wide = tag in (273, 279)
        body = struct.pack(f"{order}{len(values)}{'I' if wide else 'H'}", *values)
        if len(body) > 4:
            body, extra = struct.pack(f"{order}I", beyond + len(extra)), extra + body
        directory += struct.pack(f"{order}HHI", tag, 4 if wide else 3, len(values)) + body.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", where)
    count = struct.pack(f"{order}H", len(fields))
    return head + data.ljust(where - 8, b"\0") + count + directory + bytes(4) + extra


def grey_tiff(values: Pixels, bits: object, *, order: str = "<", photometric: int = 1, sample: int = 1) -> bytes:
    """Return a TIFF of one channel; numbers of 12 bits are packed."""
    if bits == 12:
        pairs = values.astype(np.uint32).reshape(-1, 2)
        packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1)
        data = packed.astype(np.uint8).tobytes()
    else:
        data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits, 262: photometric, 277: 1, 339: sample}
    return tiff(data, tags, order=order)


def jpeg(pixels: Pixels = SMOOTH, **options: object) -> bytes:
    """Return a JPEG of high quality."""
    return encode(pixels, "JPEG", **options)


def cmyk_jpeg(ink: Pixels, *, adobe: bool = True) -> bytes:
    """Return a CMYK JPEG; without Adobe's marker on demand."""
    data = jpeg(Image.fromarray(ink, "CMYK"))
    at = data.index(b"\xff\xee")
    return data if adobe else data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def grey3(grey: Pixels) -> Pixels:
    """Return grey as RGB."""
    return np.repeat(grey.astype(np.uint8)[..., None], 3, -1)


def on_white(rgba: Pixels) -> Pixels:
    """Lay colours with alpha on white."""
    alpha = rgba[..., 3:] / 255
    return (rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)


def packed(index: Pixels, bits: int) -> list[bytes]:
    """Return rows of small numbers, several a byte."""
    each = 8 // bits
    spread = index.reshape(len(index), -1, each).astype(np.uint8) << np.arange(8 - bits, -1, -bits).astype(np.uint8)
    return [row.tobytes() for row in spread.sum(-1).astype(np.uint8)]


def rows_of(pixels: Pixels) -> list[bytes]:
    """Return the rows of an array as a PNG stores them."""
    wide = pixels.astype(">u2") if pixels.dtype == np.uint16 else pixels
    return [row.tobytes() for row in wide]


# -- families ---------------------------------------------------------------------------------------------------

DAMAGED = "damaged|not an image"


def truncated() -> Iterator[Case]:
    """Files of each format that end too early."""
    for kind in KINDS:
        data = encode(NOISE, kind)
        for percent in (2, 20, 50, 80, 95):
            cut = data[: max(4, len(data) * percent // 100)]
            yield Case(f"cut-{kind}-{percent}.{kind.lower()}", cut, reason=DAMAGED)
    yield Case("cut-heic.heic", heic()[:600], reason=DAMAGED)
    # Its library ends the process over this one, unless it is looked at first.
    yield Case("odd-item.heic", heic().replace(b"Exif\0", b"Ex\xfff\0", 1), reason="an item of unknown type")
    # Without its end marker a JPEG may be whole or not; the decoder reads ahead, and is content with few of them.
    yield Case("without-eoi.jpg", jpeg()[:-2], reason="truncated")
    yield Case("without-eoi-and-whole.jpg", jpeg(quality=92)[:-2], SMOOTH, 8)
    yield Case("without-iend.png", encode(NOISE)[:-12], NOISE)
    for kind in KINDS:
        yield Case(f"more-behind.{kind.lower()}", encode(SMOOTH, kind) + b"\0" * 999, shown(kind), CLOSE.get(kind, 0))


def shown(kind: str) -> Pixels:
    """Return what ``SMOOTH`` becomes in a format: a GIF has 256 colours."""
    return SMOOTH if kind != "GIF" else np.asarray(Image.fromarray(SMOOTH).convert("P", palette=1).convert("RGB"))


def orientations() -> Iterator[Case]:
    """Each way to hold a camera, in each format that can say so."""
    for number, turn in UPRIGHT.items():
        for kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
            data = encode(SMOOTH, kind, exif=oriented(number))
            yield Case(f"turned-{number}.{kind.lower()}", data, turn(SMOOTH), CLOSE.get(kind, 0))
        yield Case(f"turned-{number}.heic", heic(number), turn(FOUR_COLOURS), 3)
        exif = chunk(b"eXIf", oriented(number).tobytes().removeprefix(b"Exif\0\0"))
        late = png(rows_of(NOISE), 48, 8, 2, behind=exif)
        yield Case(f"turned-behind-{number}.png", late, turn(NOISE))
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    yield Case("turned-by-xmp.png", png(rows_of(NOISE), 48, 8, 2, (b"iTXt", xmp)), UPRIGHT[6](NOISE))
    yield Case("turned-by-late-xmp.png", png(rows_of(NOISE), 48, 8, 2, behind=chunk(b"iTXt", xmp)), UPRIGHT[6](NOISE))
    grey16 = np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 40
    turned = encode(Image.fromarray(grey16), exif=oriented(8))
    yield Case("turned-16-bit.png", turned, np.rot90(grey3(grey16 >> 8)), remark="sixteen-bit")


def metadata() -> Iterator[Case]:
    """EXIF and profiles that are damaged or odd: the image counts."""
    for number in (0, 9, 99, 65535):
        yield Case(f"orientation-{number}.jpg", jpeg(exif=oriented(number)), SMOOTH, 6)
    broken = {
        "empty": b"Exif\0\0",
        "noise": b"Exif\0\0" + bytes(range(200)),
        "far": b"Exif\0\0II*\0\xff\xff\xff\xff",
        "short": b"Exif\0\0II*\0\x08\0\0\0\x09\0",
        "loop": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\x006\0\0\0\0\0\0\0",
    }
    for name, exif in broken.items():
        yield Case(f"exif-{name}.jpg", jpeg(exif=exif), SMOOTH, 6)
        yield Case(f"exif-{name}.png", encode(NOISE, exif=exif), NOISE)
        yield Case(f"exif-{name}.webp", encode(NOISE, "WEBP", exif=exif), NOISE)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, icc in {"lab": profile, "noise": b"no profile" * 20}.items():
        yield Case(f"icc-{name}.jpg", jpeg(icc_profile=icc), SMOOTH, 6)
        yield Case(f"icc-{name}.png", encode(NOISE, icc_profile=icc), NOISE)
    yield Case("comment.jpg", jpeg(comment=b"\xff\xda" * 500), SMOOTH, 6)


def png_modes() -> Iterator[Case]:
    """Every way in which a PNG stores a pixel."""
    palette = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    for bits in (1, 2, 4, 8):
        top = 2**bits - 1
        index = GREY >> (8 - bits)
        rows = packed(index, bits)
        stretched = grey3(index * (255 // top))
        yield Case(f"grey-{bits}.png", png(rows, 48, bits, 0), stretched)
        colours = palette[: top + 1]
        yield Case(f"palette-{bits}.png", png(rows, 48, bits, 3, (b"PLTE", colours.tobytes())), colours[index])
        for key in sorted({0, top // 2, top}):
            wanted = np.where(index[..., None] == key, 255, stretched).astype(np.uint8)
            yield Case(f"grey-{bits}-key-{key}.png", png(rows, 48, bits, 0, (b"tRNS", struct.pack(">H", key))), wanted)
        alpha = np.linspace(0, 255, top + 1).astype(np.uint8)
        laid = on_white(np.dstack([colours[index], alpha[index]]))
        both = ((b"PLTE", colours.tobytes()), (b"tRNS", alpha.tobytes()))
        yield Case(f"palette-{bits}-alpha.png", png(rows, 48, bits, 3, *both), laid, 1)
    wide = np.random.default_rng(2).integers(0, 65536, (32, 48, 4)).astype(np.uint16)
    for name, colour, channels in (("grey", 0, 1), ("rgb", 2, 3), ("grey-alpha", 4, 2), ("rgba", 6, 4)):
        for bits in (8, 16):
            stored = wide[..., :channels] if bits == 16 else (wide[..., :channels] >> 8).astype(np.uint8)
            high = (wide[..., :channels] >> 8).astype(np.uint8)
            base = high if channels >= 3 else high[..., :1].repeat(3, -1)
            wanted = on_white(np.dstack([base[..., :3], high[..., -1]])) if channels in (2, 4) else base
            remark = "sixteen-bit" if bits == 16 else ""
            yield Case(f"stored-{name}-{bits}.png", png(rows_of(stored), 48, bits, colour), wanted, 1, remark=remark)
    key = b"tRNS", wide[3, 4, :3].astype(">u2").tobytes()
    wanted = (wide[..., :3] >> 8).astype(np.uint8)
    wanted[3, 4] = 255
    yield Case("rgb-16-key.png", png(rows_of(wide[..., :3]), 48, 16, 2, key), wanted, remark="sixteen-bit")
    wanted = grey3(wide[..., 0] >> 8)
    wanted[5, 6] = 255
    key = b"tRNS", wide[5, 6, :1].astype(">u2").tobytes()
    yield Case("grey-16-key.png", png(rows_of(wide[..., 0]), 48, 16, 0, key), wanted, remark="sixteen-bit")
    ranged = ((wide[..., 0].clip(1000, 5000) - 1000.0) * (255 / 4000)).round()
    stored = png(rows_of(wide[..., 0]), 48, 16, 0)
    yield Case("grey-16-range.png", stored, grey3(ranged), remark="sixteen-bit", value_range=(1000, 5000))


def tiff_modes() -> Iterator[Case]:
    """Numbers of more than 8 bits in a TIFF, and what has no agreed range."""
    ramp = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48) * 42
    bits12, high = ramp >> 4, ramp >> 8
    for order, name in (("<", "ii"), (">", "mm")):
        yield Case(f"grey-16-{name}.tif", grey_tiff(ramp, 16, order=order), grey3(high), remark="sixteen-bit")
    yield Case("grey-12.tif", grey_tiff(bits12, 12), grey3(high), remark="sixteen-bit")
    white_first = grey_tiff(ramp, 16, photometric=0)
    yield Case("grey-16-white-is-0.tif", white_first, grey3(255 - high), remark="sixteen-bit")
    yield Case("grey-8-white-is-0.tif", grey_tiff(GREY, 8, photometric=0), grey3(255 - GREY))
    kinds = {"int32": (32, 2), "uint32": (32, 1), "float32": (32, 3), "int16": (16, 2)}
    for name, (bits, sample) in kinds.items():
        data = grey_tiff((ramp // 2).astype(name), bits, sample=sample)
        yield Case(f"{name}.tif", data, reason="--range LOW,HIGH")
        grey = ((ramp // 2).clip(500, 20_000) - 500.0) * (255 / 19_500)
        remark = "sixteen-bit" if bits == 16 else ""
        yield Case(f"{name}-range.tif", data, grey3(grey.round()), value_range=(500, 20_000), remark=remark)
    odd = np.array([[np.nan, np.inf, -np.inf, 0.5, 1e38, -1e38]], np.float32)
    wanted = grey3(np.array([[0, 255, 0, 128, 255, 0]]))
    yield Case("not-finite.tif", grey_tiff(odd, 32, sample=3), wanted, value_range=(0, 1))
    tags = {256: 48, 257: 32, 258: (16, 16, 16), 262: 2, 277: 3}
    wide = NOISE.astype("<u2") * 257
    yield Case("rgb-16.tif", tiff(wide.tobytes(), tags), NOISE, remark="sixteen-bit")
    yield Case("rgb-float.tif", tiff(bytes(32 * 48 * 12), {**tags, 258: (32, 32, 32), 339: (3, 3, 3)}), reason=DAMAGED)
    ink = np.dstack([NOISE, GREY])
    light = ((255 - ink[..., :3].astype(float)) * (255 - ink[..., 3:]) / 255).round().astype(np.uint8)
    yield Case("cmyk.tif", tiff(ink.tobytes(), {**tags, 258: (8,) * 4, 262: 5, 277: 4}), light, 1)
    rgba = np.dstack([NOISE, NOISE[::-1, :, 1]])
    yield Case("rgba.tif", tiff(rgba.tobytes(), {**tags, 258: (8,) * 4, 277: 4, 338: 2}), on_white(rgba), 1)
    yield Case("lab.tif", encode(Image.new("LAB", (8, 8)), "TIFF"), reason="mode LAB")
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"):
        yield Case(f"{compression}.tif", encode(NOISE, "TIFF", compression=compression), NOISE)
    for name, ending in (("bilevel", "group4"), ("bilevel-raw", None)):
        bits = Image.fromarray(GREY > 127)
        yield Case(f"{name}.tif", encode(bits, "TIFF", compression=ending), grey3((GREY > 127) * 255))


def other_modes() -> Iterator[Case]:
    """The other formats."""
    for kind in ("BMP", "PPM", "WEBP"):
        yield Case(f"rgb.{kind.lower()}", encode(NOISE, kind), NOISE)
    yield Case("grey.bmp", encode(GREY, "BMP"), grey3(GREY))
    yield Case("bits.bmp", encode(Image.fromarray(GREY > 99), "BMP"), grey3((GREY > 99) * 255))
    rgba = np.dstack([NOISE, NOISE[::-1, :, 1]])
    yield Case("rgba.webp", encode(rgba, "WEBP"), on_white(rgba), 1)
    text = "P2 2 1 9 0 9 ", "P1 2 1 1 0 ", "P3 1 1 255 1 2 3 "
    for letters, wanted in zip(text, ([[0, 255]], [[0, 255]], [[[1, 2, 3]]]), strict=True):
        levels = np.array(wanted, np.uint8)
        yield Case(f"text-{letters[1]}.pnm", letters.encode(), levels if levels.ndim == 3 else grey3(levels))
    ramp = np.arange(0, 4096, 16, dtype=np.uint16)[None]
    deep = b"P5 256 1 4095\n" + ramp.astype(">u2").tobytes()
    yield Case("12-bit.pgm", deep, grey3(ramp / 4095 * 65535 // 256), 1, remark="sixteen-bit")
    ranged = grey3((ramp.clip(0, 2000) * (255 / 2000)).round())
    yield Case("12-bit-range.pgm", deep, ranged, 1, remark="sixteen-bit", value_range=(0, 2000))
    wide = b"P6 48 32 65535\n" + (NOISE.astype(">u2") * 257).tobytes()
    yield Case("rgb-16.ppm", wide, NOISE, 1, remark="sixteen-bit")
    yield Case("grey.jpg", jpeg(np.ascontiguousarray(SMOOTH[..., 0])), grey3(SMOOTH[..., 0]), 3)
    ways = {"progressive": {"progressive": True}, "rgb": {"keep_rgb": True}, "420": {"subsampling": 2}}
    for name, options in ways.items():
        yield Case(f"{name}.jpg", jpeg(**options), SMOOTH, 6 if name != "420" else 24)
    ink = np.dstack([SMOOTH, SMOOTH[..., 0] // 4])
    light = ((255 - ink[..., :3].astype(float)) * (255 - ink[..., 3:]) / 255).round().astype(np.uint8)
    yield Case("cmyk.jpg", cmyk_jpeg(ink), light, 6)
    yield Case("cmyk-no-adobe.jpg", cmyk_jpeg(ink, adobe=False), light, 6, remark="cmyk-no-adobe")
    for kind in KINDS:
        one = np.full((1, 1, 3), (200, 100, 50), np.uint8)
        yield Case(f"one-pixel.{kind.lower()}", encode(one, kind), one, {"JPEG": 3, "AVIF": 6}.get(kind, 0))
    for name, shape in {"wide": (1, 5000, 3), "high": (5000, 1, 3)}.items():
        long = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
        yield Case(f"{name}.png", encode(long), long)


def several() -> Iterator[Case]:
    """Files with more than one image: the first is shown, and they are counted."""
    first, others = Image.fromarray(SMOOTH), [Image.fromarray(255 - SMOOTH), Image.fromarray(NOISE)]
    more = {"save_all": True, "append_images": others}
    for kind in ("WEBP", "PNG", "TIFF", "AVIF"):
        yield Case(f"several.{kind.lower()}", encode(first, kind, **more), SMOOTH, CLOSE.get(kind, 0), frames=3)
    grey = [Image.fromarray(part) for part in (GREY, 255 - GREY, GREY[::-1])]
    film = encode(grey[0], "GIF", save_all=True, append_images=grey[1:])
    yield Case("several.gif", film, grey3(GREY), frames=3)
    yield Case("several-cut.gif", film[:-900], grey3(GREY), frames=3)
    yield Case("phone.jpg", encode(first, "MPO", quality=98, **more), SMOOTH, 24)


def wrong_names() -> Iterator[Case]:
    """Content that its ending does not tell."""
    for kind, ending in {
        "PNG": "jpg",
        "JPEG": "png",
        "GIF": "jpeg",
        "WEBP": "jpg",
        "BMP": "png",
        "TIFF": "gif",
    }.items():
        name = f"really-{kind.lower()}.{ending}"
        yield Case(name, encode(SMOOTH, kind), shown(kind), CLOSE.get(kind, 0))
    yield Case("no-ending", encode(NOISE), NOISE)
    for name in ("a b%20c.png", "quote'\".png", "new\nline.png", "tab\t.png", "-rf.png", "e\u0301.png", "\u00e9.png"):
        yield Case(name, encode(NOISE), NOISE)
    yield Case("\x1b[31mred.png", encode(NOISE), NOISE)
    yield Case("x" * 251 + ".png", encode(NOISE), NOISE)
    yield Case(os.fsdecode(b"no-utf8-\xff.png"), encode(NOISE), NOISE)


def no_images() -> Iterator[Case]:
    """What people keep among their photos."""
    contents = {
        "page": (b"<!DOCTYPE html><title>404</title>", "a web page"),
        "page-bom": (b"\xef\xbb\xbf\n<html>", "a web page"),
        "drawing": (b"<svg xmlns='x'/>", "an SVG drawing"),
        "xml": (b"<?xml version='1.0'?><svg/>", "an XML file"),
        "json": (b'{"error": "rate limit"}', "a JSON text"),
        "pdf": (b"%PDF-1.7\n", "a PDF"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript file"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        "zip": (b"PK\x03\x04rest", "a zip archive"),
        "gzip": (b"\x1f\x8b\x08\0rest", "a gzip archive"),
        "rar": (b"Rar!\x1a\x07", "a RAR archive"),
        "numpy": (b"\x93NUMPY\x01\0", "a NumPy array"),
        "photoshop": (b"8BPS\0\x01", "a Photoshop file"),
        "icon": (encode(SMOOTH, "ICO"), "an icon"),
        "jpeg-2000": (encode(SMOOTH, "JPEG2000"), "a JPEG 2000 image"),
        "jpeg-xl": (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
        "film": (b"\0\0\0\x18ftypisom\0\0\0\0isom", "a video"),
        "dicom": (bytes(128) + b"DICM", "a DICOM file"),
        "targa": (encode(SMOOTH, "TGA"), "not an image"),
        "words": (b"just some words", "not an image"),
        "zeros": (bytes(1000), "not an image"),
        "noise": (np.random.default_rng(9).bytes(1000), "not an image"),
        "nothing": (b"", "the file is empty"),
        "one-byte": (b"\xff", "not an image"),
    }
    for name, (data, reason) in contents.items():
        yield Case(f"{name}.jpg", data, reason=reason)


def bombs() -> Iterator[Case]:
    """Small files that ask for much."""
    for side in (10_000, 40_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
        yield Case(f"bomb-{side}.png", b"\x89PNG\r\n\x1a\n" + body, reason="more than 89,478,485 pixels")
    data = bytearray(encode(SMOOTH, "BMP"))
    struct.pack_into("<ii", data, 18, 60_000, 60_000)
    yield Case("bomb.bmp", bytes(data), reason="pixels")
    data = bytearray(encode(SMOOTH, "GIF"))
    struct.pack_into("<HH", data, 6, 65_535, 65_535)
    yield Case("bomb.gif", bytes(data), reason="pixels")
    data = bytearray(jpeg())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 65_500, 65_500)
    yield Case("bomb.jpg", bytes(data), reason="pixels")
    yield Case("bomb.ppm", b"P6 30000 30000 255\n" + bytes(999), reason="pixels")
    tags = {256: 60_000, 257: 60_000, 258: 8, 262: 1, 277: 1}
    yield Case("bomb.tif", tiff(bytes(99), tags), reason="pixels")
    data = bytearray(heic())
    struct.pack_into(">II", data, data.index(b"ispe") + 8, 20_000, 20_000)
    yield Case("bomb.heic", bytes(data), reason="pixels")
    data = bytearray(encode(SMOOTH, "AVIF"))
    struct.pack_into(">II", data, data.index(b"ispe") + 8, 20_000, 20_000)
    yield Case("bomb.avif", bytes(data), reason="pixels|damaged")
    film = bytearray(encode(SMOOTH, "WEBP", save_all=True, append_images=[Image.fromarray(NOISE)]))
    film[24:30] = (16_382).to_bytes(3, "little") * 2
    yield Case("bomb.webp", bytes(film), reason="pixels|damaged")
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    scan, end = data[last:-2], data[-2:]
    yield Case("scans.jpg", data[:last] + scan * 100 + end, reason="scans")
    hidden = b"".join(scan + b"\xff\x01\xff\xff" for _ in range(100))  # a marker without a length, to jump over
    yield Case("hidden-scans.jpg", data[:last] + hidden + end, reason="scans|damaged")


def damaged() -> Iterator[Case]:
    """Bits that fell over, with and without a checksum that was made to fit."""
    whole = encode(NOISE, compress_level=0)
    idat = whole.index(b"IDAT")
    flipped = bytearray(whole)
    flipped[idat + 500] ^= 4
    yield Case("flipped.png", bytes(flipped), reason=DAMAGED)
    length = int.from_bytes(flipped[idat - 4 : idat], "big")
    struct.pack_into(">I", flipped, idat + 4 + length, zlib.crc32(flipped[idat : idat + 4 + length]))
    yield Case("flipped-repaired.png", bytes(flipped), reason=DAMAGED)
    for kind, at in {"IDAT": idat + 4 + length, "IEND": len(whole) - 4}.items():
        wrong = bytearray(whole)
        wrong[at] ^= 255
        yield Case(f"checksum-{kind}.png", bytes(wrong), NOISE, remark="checksum")
    wrong = bytearray(whole)
    wrong[29] ^= 255
    yield Case("checksum-IHDR.png", bytes(wrong), reason="wrong checksum in its chunk IHDR")
    text = chunk(b"tEXt", b"Title\0sky", good=False)
    yield Case("checksum-tEXt.png", whole[:33] + text + whole[33:], NOISE, remark="checksum")
    header = bytearray(whole)
    header[25] = 7
    struct.pack_into(">I", header, 29, zlib.crc32(header[12:29]))
    yield Case("no-such-colour-type.png", bytes(header), reason=DAMAGED)
    yield Case("no-image-data.png", whole[:33] + chunk(b"IEND", b""), reason=DAMAGED)
    data = jpeg()
    yield Case("no-tables.jpg", data[:20] + data[data.index(b"\xff\xda") :], reason=DAMAGED)
    twelve = bytearray(data)
    twelve[data.index(b"\xff\xc0") + 4] = 12
    yield Case("12-bit.jpg", bytes(twelve), reason="unsupported variant of JPEG")
    for name, at in {"width": 7, "height": 5}.items():
        none = bytearray(data)
        struct.pack_into(">H", none, data.index(b"\xff\xc0") + at, 0)
        yield Case(f"no-{name}.jpg", bytes(none), reason=DAMAGED)


def files() -> Iterator[Case]:
    """What has the name of an image and is no regular file."""
    yield Case("folder.jpg", reason="not a regular file", make=Path.mkdir)
    yield Case("missing.jpg", reason="no such file", make=lambda path: None)
    if os.name == "posix":
        yield Case("pipe.jpg", reason="not a regular file", make=os.mkfifo)
        yield Case("broken-link.jpg", reason="missing file", make=lambda path: path.symlink_to("nowhere.jpg"))
        yield Case("own-link.jpg", reason="levels of symbolic links", make=lambda path: path.symlink_to(path))
        yield Case("device.jpg", reason="not a regular file", make=lambda path: path.symlink_to("/dev/zero"))
        yield Case("null.jpg", reason="not a regular file", make=lambda path: path.symlink_to("/dev/null"))
        yield Case("socket.jpg", reason="not a regular file", make=_bind)
        yield Case("large.jpg", reason="more than 268,435,456", make=_make_large)
        yield Case("link.jpg", shown=NOISE, make=_link)
        if os.geteuid():  # root may read everything
            yield Case("locked.jpg", reason="Permission denied", make=lambda path: path.touch(0))


def _bind(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's whole path has 108 letters at most
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def _make_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**28 + 1)  # a hole: no disk is used


def _link(path: Path) -> None:
    target = path.with_name("target.data")
    target.write_bytes(encode(NOISE))
    path.symlink_to(target)


# A new family is one function and one row.
FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    truncated,
    orientations,
    metadata,
    png_modes,
    tiff_modes,
    other_modes,
    several,
    wrong_names,
    no_images,
    bombs,
    damaged,
    files,
)
