"""Small data sets, each with one fault of the set as a whole: a missing class, contradicting labels ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from sightline.data.drawn_shapes import SHAPES, Random, draw_shape, encode

__all__ = ["READ", "SETS", "Defect", "write_sets"]

READ = "read"  # the code of an unusual file that is not a fault: nothing is reported, and its image is used


@dataclass(frozen=True, slots=True)
class Defect:
    """One fault, and what must be reported about it.

    Attributes:
        name: in words.
        source: the folder or table to check.
        code: of the finding or the error that must name it; ``READ`` where its image must be used.
        path: of its file, as the samples of ``source`` name it; empty where it is not about one file.
        words: what the reason must contain.
    """

    name: str
    source: Path
    code: str
    path: str = ""
    words: str = ""


def write_sets(folder: Path) -> tuple[Defect, ...]:
    """Write each set into a folder of its own and return its faults."""
    defects = []
    for number, (name, make, code, words) in enumerate(SETS):
        root = folder / make.__name__.strip("_").replace("_", "-")
        source = make(root, np.random.default_rng([2, number]))
        defects.append(Defect(name, source, code, words=words))
    return tuple(defects)


def _fill(root: Path, random: Random, counts: dict[str, int]) -> Path:
    """Write images into folders; which shape they show depends on the folder's position, not on its name."""
    for (where, count), shape in zip(counts.items(), cycle(SHAPES), strict=False):
        (root / where).mkdir(parents=True)
        for number in range(count):
            (root / where / f"{chr(97 + number % 26)}{number:03d}.png").write_bytes(encode(draw_shape(random, shape)))
    return root


def _missing_class(root: Path, random: Random) -> Path:
    return _fill(root, random, {"train/disc": 8, "train/ring": 8, "val/disc": 4, "test/disc": 4, "test/ring": 4})


def _extra_class(root: Path, random: Random) -> Path:
    return _fill(root, random, {"train/disc": 8, "train/ring": 8, "test/disc": 4, "test/ring": 4, "test/rings": 4})


def _tiny_class(root: Path, random: Random) -> Path:
    return _fill(root, random, {"disc": 20, "ring": 20, "comet": 3})


def _alike_names(root: Path, random: Random) -> Path:
    return _fill(root, random, {"red disc": 12, "Reddisc": 12, "ring": 12})


def _uneven(root: Path, random: Random) -> Path:
    return _fill(root, random, {"disc": 72, "ring": 6})


def _empty_folder(root: Path, random: Random) -> Path:
    return _fill(root, random, {"disc": 12, "ring": 12, "comet": 0})


def _one_class(root: Path, random: Random) -> Path:
    return _fill(root, random, {"disc": 8})


def _no_images(root: Path, random: Random) -> Path:
    (root / "disc").mkdir(parents=True)
    (root / "disc" / "notes.txt").write_text("to be photographed")
    return root


def _boxes(root: Path, random: Random) -> Path:
    _fill(root, random, {"images/train": 4})
    (root / "labels" / "train").mkdir(parents=True)
    (root / "labels" / "train" / "a000.txt").write_text("0 0.5 0.5 0.2 0.2")
    return root


def _camera(root: Path, random: Random) -> Path:
    """Each class comes from a camera of its own: the files alone distinguish the classes."""
    for name, kind in {"disc": "JPEG", "ring": "PNG"}.items():
        (root / name).mkdir(parents=True)
        for number in range(40):
            data = encode(draw_shape(random, name), kind)
            (root / name / f"{chr(97 + number % 26)}{number:03d}.{kind.lower()}").write_bytes(data)
    return root


def _patients(root: Path, random: Random) -> Path:
    for patient in range(16):
        shape = SHAPES[patient % 2]
        (root / shape).mkdir(parents=True, exist_ok=True)
        for number in range(4):
            file = root / shape / f"patient{patient:02d}_{number}.png"
            file.write_bytes(encode(draw_shape(random, shape)))
    return root


def _table(root: Path, random: Random, lines: list[str]) -> Path:
    _fill(root, random, {"images": 8})
    table = root / "labels.csv"
    table.write_text("\n".join(["path,label,split", *lines]) + "\n")
    return table


def _contradiction(root: Path, random: Random) -> Path:
    return _table(root, random, ["images/a000.png,disc,", "images/b001.png,ring,", "images/a000.png,ring,"])


def _unknown_split(root: Path, random: Random) -> Path:
    return _table(root, random, ["images/a000.png,disc,train", "images/b001.png,ring,practice"])


def _lost_file(root: Path, random: Random) -> Path:
    rows = [f"images/{chr(97 + k)}{k:03d}.png,{('disc', 'ring')[k % 2]}," for k in range(8)]
    return _table(root, random, [*rows, "images/lost.png,disc,"])


# A new set is one function and one row: the fault, how it is made, the expected code, and words of the reason.
SETS: tuple[tuple[str, Callable[[Path, Random], Path], str, str], ...] = (
    ("a class that val lacks", _missing_class, "missing-class", "'ring'"),
    ("a class that only test has", _extra_class, "extra-class", "'rings'"),
    ("a class of three images", _tiny_class, "tiny-class", "'comet'"),
    ("one class under two names", _alike_names, "class-name-clash", "'red disc'"),
    ("one class twelve times as large as another", _uneven, "uneven-classes", "'ring'"),
    ("a class folder without images", _empty_folder, "skipped", "without images"),
    ("a single class", _one_class, "data.one-class", "'disc'"),
    ("no images at all", _no_images, "data.no-images", "not an image"),
    ("boxes instead of classes", _boxes, "data.detection-layout", "images/"),
    ("a camera for each class", _camera, "shortcut", "'disc'"),
    ("several images of each patient", _patients, "group-pattern", "patient"),
    ("a table that contradicts itself", _contradiction, "data.contradiction", "a000.png"),
    ("a table with a split of its own", _unknown_split, "data.table-rows", "'practice'"),
    ("a table with a missing file", _lost_file, "unreadable", "no such file"),
)
