"""Faults of data, one at a time: what Sightline says, beside what two readers of class folders do. Prints a table.

    python benchmarks/faults.py [--only WORDS]

A clean set of three classes is made, and for each fault a copy that has this fault alone. ``sightline check``,
torchvision's ``ImageFolder`` and timm's ``create_dataset`` read the same copy, each in a process of its own that may
take ten seconds. What they return is compared with what was written: which images, under which class, which pixels.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import multiprocessing
import os
import re
import resource
import shutil
import struct
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

CLASSES = ("apple", "banana", "cherry")
PARTS = {"train": 12, "val": 6, "test": 6}
SECONDS = 10
SIZE = (160, 120)
FAULTY = "train/apple/a07.jpg"
HIDDEN = (255, 0, 255)  # the colour below what is transparent
UNREADABLE = None


# The clean set.


def draw_image(number: int, label: int) -> Image.Image:
    """Return an image unlike any other: a soft background, some shapes (a kind for each class), and grain."""
    random = np.random.default_rng([number, label])
    soft = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    image = soft.resize(SIZE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(2, 12)):
        left, top, side = random.integers(0, 120), random.integers(0, 90), random.integers(15, 50)
        colour = tuple(random.integers(0, 256, 3).tolist())
        box = (left, top, left + side, top + side)
        if label == 2:
            draw.polygon([(left, top), (left + side, top), (left, top + side)], colour)
        else:
            (draw.ellipse, draw.rectangle)[label](box, colour)
    grain = random.normal(0, random.uniform(3, 15), (SIZE[1], SIZE[0], 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def pixels_of(image: Image.Image) -> np.ndarray:
    """Return RGB; of a huge image some of it."""
    step = max(1, max(image.size) // 1000)
    return np.asarray(image.convert("RGB"))[::step, ::step]


@dataclass
class Folder:
    """A set on the disk.

    Attributes:
        root: where it lies.
        truth: path -> (class, pixels): what a reader should find; no pixels for a file that is no readable image.
        source: what is given to Sightline.
    """

    root: Path
    truth: dict[str, tuple[str, np.ndarray | None]] = field(default_factory=dict)
    source: Path | None = None

    def write(self, path: str, data: bytes, pixels: np.ndarray | None, label: str = "") -> None:
        """Write a file, and note what is to be read from it."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)
        self.truth[path] = label or Path(path).parent.name, pixels

    def move(self, path: str, to: str, label: str = "") -> None:
        """Rename a file; it stays what it is."""
        (self.root / to).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).rename(self.root / to)
        name, pixels = self.truth.pop(path)
        self.truth[to] = label or name, pixels

    def remove(self, path: str) -> None:
        """Remove a file."""
        (self.root / path).unlink()
        del self.truth[path]

    def replace(self, ending: str, data: bytes, pixels: np.ndarray | None) -> None:
        """Put another file in the place of the one that each fault takes."""
        self.remove(FAULTY)
        self.write(str(Path(FAULTY).with_suffix(ending)), data, pixels)

    def image(self) -> Image.Image:
        """Return the image that each fault takes."""
        return Image.open(self.root / FAULTY).convert("RGB")

    def below(self, folder: str) -> list[str]:
        """Return the paths below a folder."""
        return sorted(path for path in self.truth if path.startswith(f"{folder}/"))


def save(image: Image.Image, form: str, **options) -> bytes:
    """Return the bytes of an image file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def make_base(root: Path) -> Folder:
    """Write the clean set."""
    folder = Folder(root)
    for label, name in enumerate(CLASSES):
        number = 0
        for part, count in PARTS.items():
            for _ in range(count):
                data = save(draw_image(number, label), "JPEG", quality=92)
                folder.write(f"{part}/{name}/{name[0]}{number:02d}.jpg", data, pixels_of(Image.open(io.BytesIO(data))))
                number += 1
    return folder


# The faults: each changes a copy of the clean set.


def write_html(folder: Folder) -> None:
    folder.replace(".jpg", b"<!DOCTYPE html>\n<html><body>403 Forbidden</body></html>\n", UNREADABLE)


def write_empty(folder: Folder) -> None:
    folder.replace(".jpg", b"", UNREADABLE)


def truncate(folder: Folder) -> None:
    data = (folder.root / FAULTY).read_bytes()
    folder.replace(".jpg", data[: len(data) // 2], UNREADABLE)


def damage(folder: Folder) -> None:
    data, pixels = bytearray((folder.root / FAULTY).read_bytes()), folder.truth[FAULTY][1]
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(range(20, 40))
    folder.replace(".jpg", bytes(data), pixels)


def damage_png(folder: Folder) -> None:
    data, pixels = bytearray(save(folder.image(), "PNG", compress_level=0)), folder.truth[FAULTY][1]
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    folder.replace(".png", bytes(data), pixels)


def write_apple_double(folder: Folder) -> None:
    path = folder.root / "train/apple/._a07.jpg"
    path.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000))


def turn(folder: Folder) -> None:
    image = folder.image()
    stored = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = save(stored, "JPEG", quality=92, exif=exif)
    folder.replace(".jpg", data, pixels_of(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))


def grey_of(folder: Folder) -> np.ndarray:
    return np.asarray(folder.image().convert("L"))


def write_sixteen_bits(folder: Folder) -> None:
    grey = grey_of(folder)
    data = save(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    folder.replace(".png", data, np.repeat(grey[..., None], 3, 2))


def write_twelve_bits(folder: Folder) -> None:
    grey = grey_of(folder)
    data = save(Image.fromarray(grey.astype(np.uint16) * 16), "PNG")
    folder.replace(".png", data, np.repeat(grey[..., None], 3, 2))


def write_float(folder: Folder) -> None:
    grey = grey_of(folder)
    data = save(Image.fromarray(grey.astype(np.float32) / 255), "TIFF")
    folder.replace(".tif", data, np.repeat(grey[..., None], 3, 2))


def write_transparent(folder: Folder) -> None:
    seen = np.asarray(folder.image()).copy()
    stored = np.concatenate([seen, np.full((*seen.shape[:2], 1), 255, np.uint8)], 2)
    stored[:, :80] = (*HIDDEN, 0)
    seen[:, :80] = 255
    folder.replace(".png", save(Image.fromarray(stored), "PNG"), seen)


def write_palette(folder: Folder) -> None:
    coded = folder.image().quantize(255)
    seen, codes = np.asarray(coded.convert("RGB")).copy(), np.asarray(coded).copy()
    codes[:, :80], seen[:, :80] = 255, 255
    stored = Image.fromarray(codes)
    stored.putpalette([*coded.getpalette()[: 255 * 3], *([0] * (255 * 3 - len(coded.getpalette()))), *HIDDEN])
    folder.replace(".png", save(stored, "PNG", transparency=255), seen)


def write_one_bit(folder: Folder) -> None:
    image = folder.image().convert("1")
    folder.replace(".png", save(image, "PNG"), pixels_of(image))


def write_cmyk(folder: Folder) -> None:
    """Ink as the numbers say, 0 none: Adobe's programs store it the other way round, and say so in a marker."""
    values = np.asarray(folder.image()) / 255
    black = 1 - values.max(2, keepdims=True)
    colours = (1 - values - black) / np.maximum(1 - black, 1e-6)
    inks = Image.fromarray((np.concatenate([colours, black], 2) * 255).round().astype(np.uint8), "CMYK")
    stored = Image.merge("CMYK", [ImageOps.invert(ink) for ink in inks.split()])
    data = save(stored, "JPEG", quality=92)
    marker = data.index(b"\xff\xee\x00\x0eAdobe")
    folder.replace(".jpg", data[:marker] + data[marker + 16 :], pixels_of(inks))


def write_png(folder: Folder, side: int) -> None:
    """A PNG of one colour, row by row: some kilobytes, whatever its size."""
    packer = zlib.compressobj(9)
    row = b"\0" + bytes([0xFF]) * (side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)),
        (b"IDAT", pixels),
        (b"IEND", b""),
    ):
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    step = max(1, side // 1000)
    folder.replace(".png", data, np.full((-(-side // step), -(-side // step), 3), 255, np.uint8))


def write_scans(folder: Folder) -> None:
    """A progressive JPEG whose last scan is there a thousand times."""
    image = Image.new("L", (5000, 5000), 128)
    data = save(image, "JPEG", progressive=True)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    folder.replace(".jpg", data[:end] + data[last:end] * 1000 + data[end:], pixels_of(image))


def write_animation(folder: Folder) -> None:
    frames = [draw_image(900 + number, 0) for number in range(3)]
    data = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    folder.replace(".gif", data, pixels_of(Image.open(io.BytesIO(data))))


def misname(folder: Folder) -> None:
    image = folder.image()
    folder.replace(".jpg", save(image, "PNG"), pixels_of(image))


def write_other_formats(folder: Folder) -> None:
    for path, form in zip(folder.below("train/apple"), ("WEBP", "GIF", "TIFF", "AVIF"), strict=False):
        data = save(Image.open(folder.root / path), form)
        folder.remove(path)
        ending = {"TIFF": ".tif"}.get(form, f".{form.lower()}")
        folder.write(str(Path(path).with_suffix(ending)), data, pixels_of(Image.open(io.BytesIO(data))))


def write_unknown_ending(folder: Folder) -> None:
    folder.move(FAULTY, "train/apple/a07.jfif")
    folder.move("train/apple/a08.jpg", "train/apple/a08")


def add_checkpoints(folder: Folder) -> None:
    (folder.root / "train/.ipynb_checkpoints").mkdir()
    shutil.copy(folder.root / FAULTY, folder.root / "train/.ipynb_checkpoints/a07-checkpoint.jpg")


def add_empty_class(folder: Folder) -> None:
    (folder.root / "train/date").mkdir()


def remove_class(folder: Folder) -> None:
    for path in folder.below("val/apple"):
        folder.remove(path)
    (folder.root / "val/apple").rmdir()


def add_class(folder: Folder) -> None:
    for number in range(6):
        image = draw_image(800 + number, 0)
        folder.write(f"val/date/d{number}.png", save(image, "PNG"), pixels_of(image))


def rename_class(folder: Folder) -> None:
    for path in folder.below("val/apple"):
        folder.move(path, path.replace("apple", "date"), "apple")
    (folder.root / "val/apple").rmdir()


def split_case(folder: Folder) -> None:
    for path in folder.below("train/apple")[:6]:
        folder.move(path, path.replace("apple", "Apple"), "apple")


def nest(folder: Folder) -> None:
    for name in CLASSES:
        for path in folder.below(f"train/{name}")[:4]:
            folder.move(path, path.replace(f"/{name}/", f"/{name}/more/"))


def copy_across(folder: Folder) -> None:
    data, pixels = (folder.root / FAULTY).read_bytes(), folder.truth[FAULTY][1]
    folder.write("val/apple/x.jpg", data, pixels)


def copy_nearly(folder: Folder) -> None:
    data = save(folder.image().resize((120, 90), Image.Resampling.LANCZOS), "JPEG", quality=50)
    folder.write("val/apple/x.jpg", data, pixels_of(Image.open(io.BytesIO(data))))


def label_twice(folder: Folder) -> None:
    data, pixels = (folder.root / FAULTY).read_bytes(), folder.truth[FAULTY][1]
    folder.write("train/banana/x.jpg", data, pixels)


def add_pipe(folder: Folder) -> None:
    os.mkfifo(folder.root / "train/apple/pipe.jpg")
    folder.truth["train/apple/pipe.jpg"] = "apple", UNREADABLE


def add_loop(folder: Folder) -> None:
    (folder.root / "train/apple/loop").symlink_to("..", target_is_directory=True)


def add_dead_link(folder: Folder) -> None:
    (folder.root / "train/apple/gone.jpg").symlink_to("/nowhere/gone.jpg")
    folder.truth["train/apple/gone.jpg"] = "apple", UNREADABLE


def forbid(folder: Folder) -> None:
    (folder.root / FAULTY).chmod(0)
    folder.truth[FAULTY] = "apple", UNREADABLE


def save_class_as_png(folder: Folder) -> None:
    for part in PARTS:
        for path in folder.below(f"{part}/cherry"):
            data = save(Image.open(folder.root / path), "PNG")
            pixels = folder.truth[path][1]
            folder.remove(path)
            folder.write(str(Path(path).with_suffix(".png")), data, pixels)


def tear_groups(folder: Folder) -> None:
    for label, name in enumerate(CLASSES):
        paths = [path for part in PARTS for path in folder.below(f"{part}/{name}")]
        for number, path in enumerate(paths):
            folder.move(path, f"{path.rpartition('/')[0]}/patient{label * 8 + number % 8}_{number // 8}.jpg")


def blacken(folder: Folder) -> None:
    image = Image.new("RGB", SIZE)
    folder.replace(".jpg", save(image, "JPEG"), pixels_of(image))


def write_table(folder: Folder) -> None:
    lines = [
        f"{path},{label},{path.split('/')[0]}" for path, (label, _) in folder.truth.items() if not path.startswith(".")
    ]
    folder.source = folder.root / "list.csv"
    folder.source.write_text("\n".join(["path,label,split", *lines]) + "\n", encoding="utf-8-sig")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: in words.
        make: writes it.
        codes: findings or errors of Sightline that name it.
        in_reading: True where a reader that returns the right images, classes and pixels has done all; False where
            something should be said all the same.
    """

    name: str
    make: Callable[[Folder], None]
    codes: tuple[str, ...]
    in_reading: bool = True


FAULTS = (
    Fault("a web page saved as `.jpg`", write_html, ("unreadable",)),
    Fault("an empty file", write_empty, ("unreadable",)),
    Fault("half a JPEG", truncate, ("unreadable",)),
    Fault("20 bytes overwritten in the middle of a JPEG", damage, ("unreadable", "checksum")),
    Fault("2,000 bytes overwritten in the middle of a PNG", damage_png, ("unreadable", "checksum")),
    Fault("`._a07.jpg`, as macOS leaves them", write_apple_double, ("skipped",)),
    Fault("a photo stored turned (EXIF orientation 6)", turn, ("sideways",)),
    Fault("16-bit grey PNG", write_sixteen_bits, ("sixteen-bit",)),
    Fault("12-bit numbers in a 16-bit PNG", write_twelve_bits, ("sixteen-bit",)),
    Fault("float TIFF, 0 to 1", write_float, ("unreadable",)),
    Fault("RGBA: half of it transparent", write_transparent, ()),
    Fault("palette PNG: half of it transparent", write_palette, ()),
    Fault("1-bit PNG", write_one_bit, ()),
    Fault("CMYK JPEG without Adobe's marker, ink not inverted", write_cmyk, ("cmyk-no-adobe",)),
    Fault("PNG of 20,000 x 20,000 pixels", lambda folder: write_png(folder, 20_000), ("unreadable",)),
    Fault("PNG of 12,000 x 12,000 pixels", lambda folder: write_png(folder, 12_000), ("unreadable",), False),
    Fault("JPEG of a thousand scans", write_scans, ("unreadable",), False),
    Fault("animated GIF", write_animation, ("animation",)),
    Fault("a PNG named `.jpg`", misname, ("wrong-extension",)),
    Fault("`.webp`, `.gif`, `.tif` and `.avif` among JPEGs", write_other_formats, ()),
    Fault("a JPEG named `.jfif`, another without ending", write_unknown_ending, ()),
    Fault("`.ipynb_checkpoints` with an image", add_checkpoints, ("skipped",)),
    Fault("an empty class folder", add_empty_class, ("skipped",), False),
    Fault("a class that val lacks", remove_class, ("missing-class",), False),
    Fault("a class that only val has", add_class, ("extra-class",), False),
    Fault("a class with another name in val", rename_class, ("extra-class",)),
    Fault("a class in two folders: `Apple`, `apple`", split_case, ("class-name-clash",)),
    Fault("images one folder deeper: `apple/more/`", nest, ()),
    Fault("an image of train in val too", copy_across, ("leak",), False),
    Fault("the same, made smaller and saved again", copy_nearly, ("near-leak",), False),
    Fault("one image under two labels", label_twice, ("label-conflict",), False),
    Fault("a named pipe called `.jpg`", add_pipe, ("unreadable",)),
    Fault("a link that leads back to `train`", add_loop, ("skipped",)),
    Fault("a link to a file that is gone", add_dead_link, ("unreadable",)),
    Fault("a file that may not be read", forbid, ("unreadable",)),
    Fault("one class all PNG, the others JPEG", save_class_as_png, ("shortcut",), False),
    Fault("three images of each patient, torn by the given split", tear_groups, ("group-pattern",), False),
    Fault("an image that is all black", blacken, ("flat", "dark"), False),
    Fault("a table (CSV) that starts with a byte order mark", write_table, ()),
)


# The readers: each fills a Result.


@dataclass
class Result:
    """What a reader made of a folder.

    Attributes:
        images: (part, path, class by the reader's own list, number of the class, digest of the pixels).
        classes: part -> the reader's list of classes.
        pixels: path -> pixels, of the images that the fault is about.
        words: what was said: warnings, log lines, an error.
        error: what stopped it.
        findings: (severity, code, message), of Sightline.
        refused: the error with which a training would stop, of Sightline.
        seconds: of the slowest image.
        megabytes: by which the process grew.
    """

    images: list[tuple[str, str, str, int, str]] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    error: str = ""
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    refused: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    def add(self, part: str, path: str, name: str, label: int, pixels: np.ndarray, watched: set[str]) -> None:
        """Note one image."""
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        self.images.append((part, path, name, label, digest))
        if path in watched:
            self.pixels[path] = pixels


def open_with_torchvision(root: Path, part: str):
    from torchvision.datasets import ImageFolder

    reader = ImageFolder(root / part)
    return reader, [path for path, _ in reader.samples], reader.classes


def open_with_timm(root: Path, part: str):
    from timm.data import create_dataset

    reader = create_dataset("", root=str(root), split={"val": "validation"}.get(part, part))
    numbers = reader.reader.class_to_idx
    return reader, [path for path, _ in reader.reader.samples], sorted(numbers, key=numbers.__getitem__)


def read_with(opened: Callable, folder: Folder, watched: set[str], result: Result) -> None:
    """Go through train and val, image by image."""
    lines = logging.Handler(logging.WARNING)
    lines.emit = lambda record: result.words.append(record.getMessage())
    logging.getLogger().addHandler(lines)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for part in ("train", "val"):
            place = f"when {part} is opened"
            try:
                reader, paths, classes = opened(folder.root, part)
                result.classes[part] = list(classes)
                for number, path in enumerate(paths):
                    place = f"at image {number + 1} of {len(paths)}"
                    start = time.perf_counter()
                    image, label = reader[number]
                    result.seconds = max(result.seconds, time.perf_counter() - start)
                    relative = Path(path).relative_to(folder.root).as_posix()
                    result.add(part, relative, classes[label], label, pixels_of(image), watched)
            except Exception as error:
                result.error = f"{type(error).__name__} {place}: {error}"
                break
    hidden = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning)  # which Python does not show
    result.words += [str(one.message) for one in caught if not issubclass(one.category, hidden)]


def read_with_torchvision(folder: Folder, watched: set[str], result: Result) -> None:
    read_with(open_with_torchvision, folder, watched, result)


def read_with_timm(folder: Folder, watched: set[str], result: Result) -> None:
    read_with(open_with_timm, folder, watched, result)


def in_words(finding) -> str:
    """Return a finding's message, with its first case where the message does not hold it."""
    paths = finding.cases[0].paths[:2] if finding.cases else ()
    return finding.message if not paths or paths[0] in finding.message else f"{finding.message} ({' = '.join(paths)})"


def read_with_sightline(folder: Folder, watched: set[str], result: Result) -> None:
    """Check the folder, then go as far as a training goes before it plans."""
    from sightline.data.inspect import refuse_bad
    from sightline.data.split import make_split
    from sightline.errors import SightlineError
    from sightline.pixels.decode import decode_image
    from sightline.reading.check import check_source
    from sightline.reading.source import DataChoices, inspect_source
    from sightline.steps import result_of

    source = str(folder.source or folder.root)
    try:
        up = result_of(check_source(source, DataChoices()))
    except SightlineError as error:
        result.error = f"{error.code}: {error.message}"
        return
    result.findings = [(finding.severity, finding.code, in_words(finding)) for finding in up.findings]
    samples = up.samples
    result.classes = {part: list(samples.classes) for part in PARTS}
    for row in np.flatnonzero(samples.is_ok & (samples.given != "test")):
        label, path = int(samples.labels[row]), str(samples.paths[row])
        pixels = decode_image(samples.file(int(row)))
        result.add(str(samples.given[row]), path, samples.classes[label], label, pixels, watched)
    try:
        strict = result_of(inspect_source(source, strict=True))
        refuse_bad(strict, "skip")
        make_split(strict)
    except SightlineError as error:
        result.refused = error.code


def work(reader: Callable, folder: Folder, watched: set[str], cache: Path, pipe) -> None:
    """Run one reader, in a process of its own."""
    os.environ["SIGHTLINE_CACHE"] = str(cache)
    os.environ["SIGHTLINE_STATE"] = str(cache / "state")  # looks at made-up images are not counted
    result = Result()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        reader(folder, watched, result)
    except Exception as error:
        traceback.print_exc()
        result.error = f"{type(error).__name__}: {error}"
    result.megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    pipe.send(result)
    pipe.close()


def run(context, reader: Callable, folder: Folder, watched: set[str], cache: Path) -> Result | None:
    """Return what a reader does within the time, or None."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(reader, folder, watched, cache, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else None
    except EOFError:
        return Result(error="the process died")
    finally:
        process.kill()
        process.join()


# The verdicts.


def compare(pixels: np.ndarray, truth: np.ndarray) -> str:
    """Say how pixels differ from what was written; nothing where they don't."""
    if pixels.shape != truth.shape:
        is_turned = pixels.shape[:2] == truth.shape[1::-1]
        return "pixels sideways" if is_turned else f"{pixels.shape[1]}x{pixels.shape[0]} pixels, another image"
    off = np.abs(pixels.astype(float) - truth)
    if off.mean() < 3:
        return ""
    hidden = (np.abs(pixels.astype(int) - HIDDEN).max(2) < 30) & (off.max(2) > 30)
    if hidden.mean() > 0.05:
        return f"the hidden colour shows in {hidden.mean():.0%} of the pixels"
    for name, level in (("white", 255), ("black", 0)):
        share = (np.abs(pixels.astype(int) - level).max(2) < 2).mean()
        if share > 0.9:
            return f"{share:.1%} of the pixels {name}"
    if np.abs(pixels.astype(float) - (255.0 - truth)).mean() < off.mean() / 2:
        return "pixels a negative"
    return f"pixels off by {off.mean():.0f} levels of 256 on average"


def faults_of(result: Result, folder: Folder, watched: set[str]) -> list[str]:
    """Say in which ways images, classes and pixels are not what was written."""
    wrong = []
    expected = {path: row for path, row in folder.truth.items() if not path.startswith("test/")}
    classes = sorted({label for path, (label, _) in expected.items() if path.startswith("train/")})
    own = result.classes.get("train", [])
    for name in own:
        if name not in classes:
            wrong.append(f"`{name}` becomes class {own.index(name)}")
    seen = Counter(path for _, path, *_ in result.images)
    digests = {path: digest for _, path, _, _, digest in result.images}
    for part in ("train", "val"):
        of_part = {path: row for path, row in expected.items() if path.startswith(f"{part}/")}
        missing = [path for path, (_, pixels) in of_part.items() if path not in seen and pixels is not UNREADABLE]
        if missing:
            wrong.append(f"{len(missing)} of {len(of_part)} {part} images not read")
        surplus = [row for row in result.images if row[0] == part and row[1] not in of_part]
        if len(surplus) == 1:
            wrong.append(f"`{Path(surplus[0][1]).name}` counts as an image")
        elif surplus:
            wrong.append(f"{len(surplus) + len(of_part)} {part} images, of {len(of_part)} files")
        mislabelled = []
        for _, path, _, label, _ in [row for row in result.images if row[0] == part]:
            real = path if path in of_part else os.path.relpath((folder.root / path).resolve(), folder.root.resolve())
            if real in of_part and of_part[real][1] is not UNREADABLE:
                meant = own[label] if label < len(own) else "none"
                mislabelled += [meant] * (meant != of_part[real][0])
        if mislabelled:
            count = sum(row[0] == part for row in result.images)
            how = "labels mean another class of train" if part == "val" else "images under another class"
            if set(mislabelled) == {"none"}:
                how = "labels mean no class of train"
            wrong.append(f"{len(mislabelled)} of {count} {part} {how}")
    for path in sorted(watched & set(result.pixels)):
        truth = expected[path][1]
        twins = [other for other, digest in digests.items() if digest == digests[path] and other != path]
        off = "pixels that no file holds" if truth is UNREADABLE else compare(result.pixels[path], truth)
        if off and twins:
            off = f"in place of `{Path(path).name}` its neighbour `{Path(twins[0]).name}` is used once more"
        wrong.append(off)
    return [one for one in dict.fromkeys(wrong) if one]


def plain(text: str, folder: Folder) -> str:
    """Return a message without the scratch folder's name, fit for a table's cell."""
    text = " ".join(text.replace(f"{folder.root}/", "").replace(str(folder.root), "the folder").split())
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return (text if len(text) <= 230 else text[:227] + "...").replace("|", "\\|").replace("<", "&lt;")


def cost(result: Result) -> str:
    """Say what one image took, where that is much."""
    parts = [f"{result.megabytes / 1024:.1f} GB of memory"] if result.megabytes > 300 else []
    parts += [f"{result.seconds:.0f} s for one image"] if result.seconds > 2 else []
    return f" ({', '.join(parts)})" if parts else ""


def judge_reader(fault: Fault, folder: Folder, result: Result | None, watched: set[str]) -> tuple[str, str]:
    """Return (kind of outcome, the table's cell)."""
    if result is None:
        return "hangs", f"**not done after {SECONDS} s, no word**"
    if result.error:
        return "stops", f"stops: {plain(result.error, folder)}{cost(result)}"
    wrong = "; ".join(faults_of(result, folder, watched))
    if result.words:
        first = f"log: {plain(result.words[0], folder)}"
        kind = "wrong, a line in the log" if wrong else "right, a line in the log"
        return kind, f"{wrong or 'images, classes and pixels right'}{cost(result)}; {first}"
    if wrong:
        return "wrong, no word", f"**no word: {wrong}**{cost(result)}"
    if fault.in_reading:
        return "right, no word", f"right, no word{cost(result)}"
    return "used as it is, no word", f"no word: used as it is{cost(result)}"


def judge_sightline(
    fault: Fault, folder: Folder, result: Result | None, clean: Result, watched: set[str]
) -> tuple[str, str]:
    """Return (kind of outcome, the table's cell)."""
    if result is None:
        return "hangs", f"**not done after {SECONDS} s, no word**"
    if result.error:
        named = result.error.split(":")[0] in fault.codes
        return ("named" if named else "stops"), f"stops: {plain(result.error, folder)}"
    new = [finding for finding in result.findings if finding not in clean.findings]
    said = "; ".join(f"{severity} `{code}`: {plain(message, folder)}" for severity, code, message in new)
    wrong = faults_of(result, folder, watched)
    misused = "; ".join(one for one in wrong if not one.endswith("not read"))
    wrong = "; ".join(wrong)
    stop = f". Training stops: `{result.refused}`" if result.refused else ""
    if any(code in fault.codes for _, code, _ in new):
        return "named", said + (f". Used all the same: {misused}" if misused and not result.refused else "") + stop
    if said:
        return (
            "wrong, no word" if wrong else "right, not named"
        ), f"{said}{f'. **Not named: {wrong}**' if wrong else ''}{stop}"
    if wrong:
        return "wrong, no word", f"**no word: {wrong}**{stop}"
    if fault.in_reading:
        return "right, no word", f"right, no word{stop}"
    return "used as it is, no word", f"no word: used as it is{stop}"


def versions() -> str:
    """Return the versions of what is compared."""
    from importlib.metadata import version

    names = {"Sightline": "sightline", "torchvision": "torchvision", "timm": "timm", "Pillow": "pillow"}
    return ", ".join(f"{name} {version(package).split('+')[0]}" for name, package in names.items())


def count(kinds: Counter, order: tuple[str, ...]) -> str:
    """Return outcomes and how often, in words."""
    return "; ".join(f"{kind}: {kinds[kind]}" for kind in order if kinds[kind])


READERS = (read_with_sightline, read_with_torchvision, read_with_timm)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="faults with these words in their name")
    options = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    libraries = ["numpy", "PIL.Image", "torchvision.datasets", "timm.data", "sklearn.tree", "sklearn.model_selection"]
    context.set_forkserver_preload(libraries)
    kinds = [Counter() for _ in READERS]
    with tempfile.TemporaryDirectory() as scratch:
        base = make_base(Path(scratch) / "clean")
        process = context.Process(target=print)  # the libraries are loaded once, before the clock runs
        process.start()
        process.join()
        clean = [run(context, reader, base, set(), Path(scratch) / "cache-clean") for reader in READERS]
        for result in clean:
            is_clean = result and not (
                result.error or result.words or result.findings or faults_of(result, base, set())
            )
            assert is_clean, result
        print(f"{versions()}\n\n| fault | Sightline | torchvision `ImageFolder` | timm |\n| --- | --- | --- | --- |")
        for number, fault in enumerate(FAULTS):
            if options.only not in fault.name:
                continue
            folder = Folder(Path(scratch) / f"{number:02d}", dict(base.truth))
            shutil.copytree(base.root, folder.root)
            fault.make(folder)
            if fault.make is forbid and os.geteuid() == 0:
                print(f"| {fault.name} | not run: root may read every file | | |")
                continue
            watched = {path for path, row in folder.truth.items() if row is not base.truth.get(path)}
            cells = []
            for place, reader in enumerate(READERS):
                if folder.source and reader is not read_with_sightline:
                    cells.append("reads no tables")
                    continue
                result = run(context, reader, folder, watched, Path(scratch) / f"cache-{number}")
                if reader is read_with_sightline:
                    kind, cell = judge_sightline(fault, folder, result, clean[place], watched)
                else:
                    kind, cell = judge_reader(fault, folder, result, watched)
                kinds[place][kind] += 1
                cells.append(cell)
            print(f"| {fault.name} | {' | '.join(cells)} |", flush=True)
            shutil.rmtree(folder.root)
    order = ("named", "right, no word", "right, not named", "right, a line in the log", "stops", "hangs")
    order += ("used as it is, no word", "wrong, a line in the log", "wrong, no word")
    print(f"| **in all: {sum(kinds[0].values())}** | {' | '.join(count(kind, order) for kind in kinds)} |")


if __name__ == "__main__":
    main()
