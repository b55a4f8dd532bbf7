"""A place on the disk to :class:`Samples`: class folders, split folders, CSV.

Labels are names everywhere; a class has the same number in every split, whatever each split's folder holds.
Hidden files and folders are never data. What is found and is no sample is listed with its reason.
"""

from __future__ import annotations

import contextlib
import csv
import io
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sightline.data.samples import Samples
from sightline.errors import DataError, InputError

__all__ = ["IMAGE_SUFFIXES", "SOURCES", "SPLIT_NAMES", "Source", "describe_source", "find_images", "read_samples"]

Source = str | Path

# Folder and column names of splits, in lower case.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "seg_train": "train",  # as the Intel scenes are published
    "seg_test": "test",
}
IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".avif",
        ".heic",
        ".heif",
    ]
)
# Signatures of image files, for those with an unknown ending.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\x00", b"MM\x00*")
_HIDDEN_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})
_HOW = "give a folder with one folder of images per class, or a CSV with the columns path and label"

Row = tuple[str, str, str, str]  # path, class name, given split, group


def describe_source(source: Source) -> str:
    """Return what to call a source in messages."""
    return str(source)


def read_samples(source: Source) -> Samples:
    """Find the images and labels of a source; no image is opened yet.

    Args:
        source: a folder of class folders, a folder of split folders (``train``, ``val``, ``test``), or a CSV
            file with the columns ``path,label[,split,group]``.

    Raises:
        InputError: if the path is missing or is of no known kind.
        DataError: if there are no images, fewer than two classes, or labels that can't be matched.

    Example:
        ``read_samples("photos/").counts()``
    """
    path = Path(source)
    with contextlib.suppress(RuntimeError):  # the home of nobody: the path is missing, as it stands
        path = path.expanduser()
    if not path.exists():
        raise InputError("data.missing", f"there is no file or folder {str(path)!r}", f"check the path; {_HOW}")
    for matches, read in SOURCES:
        if matches(path):
            return read(path)
    raise InputError("data.not-a-source", f"{str(path)!r} is a single file and no CSV", _HOW)


def find_images(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the image files below a folder, sorted, and (path, reason) of every other thing there."""
    skipped: list[tuple[str, str]] = []
    found = sorted(_walk(folder, skipped, {_identity(folder)}))
    return found, skipped


def _walk(folder: Path, skipped: list[tuple[str, str]], visited: set[object]) -> Iterator[Path]:
    """Yield image files; follow a link to a folder once, whatever its name, and none that leads back."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        skipped.append((str(folder), f"can't be read: {error.strerror}"))
        return
    for name in names:
        path = folder / name
        if is_hidden(name):
            skipped.append((str(path), "hidden"))
        elif path.is_dir():
            if _identity(path) in visited:
                skipped.append((str(path), "a link to a folder that is read elsewhere"))
                continue
            visited.add(_identity(path))
            yield from _walk(path, skipped, visited)
        elif path.suffix.lower() in IMAGE_SUFFIXES or _looks_like_image(path):
            yield path
        else:
            skipped.append((str(path), f"not an image ({path.suffix.lower() or 'no ending'})"))


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is the system's or a tool's, and never data."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


def _identity(folder: Path) -> object:
    """Return what two names of one folder have in common."""
    try:
        status = folder.stat()
    except OSError:
        return folder
    return (status.st_dev, status.st_ino) if status.st_ino else folder.resolve()


def _looks_like_image(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    except OSError:  # a folder that can't be read is listed as skipped when its turn comes
        return []


def _class_name(text: str) -> str:
    """One spelling a name: macOS stores accents decomposed, Linux composed, and both look the same."""
    return unicodedata.normalize("NFC", text).strip()


def _read_folder(root: Path) -> Samples:
    _refuse_detection_layout(root)
    splits = {path: SPLIT_NAMES[path.name.lower()] for path in _subfolders(root) if path.name.lower() in SPLIT_NAMES}
    # A class may be called "train" as well; as a split folder it holds folders.
    if not any(part == "train" and _subfolders(path) for path, part in splits.items()):
        rows, skipped = _read_class_folders(root, "", {_identity(root)})
        return _to_samples(root, str(root), rows, skipped)
    rows, skipped = [], []
    visited = {_identity(root), *map(_identity, splits)}
    only = len(set(splits.values())) == 1  # a lone "train" folder is no split
    for path, part in splits.items():
        part_rows, part_skipped = _read_class_folders(path, "" if only else part, visited)
        rows += part_rows
        skipped += part_skipped
    for path in sorted(root.iterdir()):
        if path not in splits:
            skipped.append((str(path), "hidden" if is_hidden(path.name) else "beside the split folders"))
    return _to_samples(root, str(root), rows, skipped)


def _read_class_folders(folder: Path, part: str, visited: set[object]) -> tuple[list[Row], list[tuple[str, str]]]:
    rows: list[Row] = []
    skipped: list[tuple[str, str]] = []
    visited |= {_identity(class_folder) for class_folder in _subfolders(folder)}
    for class_folder in _subfolders(folder):
        images = sorted(_walk(class_folder, skipped, visited))
        rows += [(str(path), _class_name(class_folder.name), part, "") for path in images]
        if not images:
            skipped.append((str(class_folder), "a folder without images"))
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or is_hidden(path.name):
            skipped.append((str(path), "hidden" if is_hidden(path.name) else "outside of any class folder"))
    return rows, skipped


def _refuse_detection_layout(root: Path) -> None:
    names = {path.name.lower() for path in _subfolders(root)}
    inner = {path.name.lower() for folder in _subfolders(root) for path in _subfolders(folder)}
    if {"images", "labels"} <= names or {"images", "labels"} <= inner or {"images", "annotations"} <= names:
        raise DataError(
            "data.detection-layout",
            f"{str(root)!r} looks like an object detection set (images/ beside labels/): boxes, not classes",
            "Sightline sorts whole images into classes; cut the objects out into one folder per class, "
            "or write a CSV with the columns path and label",
        )


def _read_csv(path: Path) -> Samples:
    rows: list[Row] = []
    problems: list[str] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("data.csv-encoding", f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    except OSError as error:
        raise InputError("data.missing", f"{path} can't be read: {error.strerror}", "check the path") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="...")
    columns = [(name or "").strip().lower() for name in table.fieldnames or []]
    table.fieldnames = columns
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        raise DataError(
            "data.csv-columns",
            f"{path} has no column {' and no column '.join(missing)}; its first line holds {columns or 'nothing'}",
            "name the columns path,label (and split, group if you have them) in the first line",
        )
    for number, record in _records(table, path):
        row = {name: (record.get(name) or "").strip() for name in ("path", "label", "split", "group")}
        part = SPLIT_NAMES.get(row["split"].lower(), None if row["split"] else "")
        if not row["path"] or not row["label"] or "..." in record:
            problems.append(f"line {number}: {'too many cells' if '...' in record else 'path or label is empty'}")
        elif "://" in row["path"]:
            problems.append(f"line {number}: {row['path']!r} is an address, not a file")
        elif part is None:
            problems.append(f"line {number}: unknown split {row['split']!r}")
        else:
            rows.append((_csv_path(path.parent, row["path"]), _class_name(row["label"]), part, row["group"]))
    if problems:
        shown = "; ".join(problems[:3]) + (f" ... ({len(problems)} in all)" if len(problems) > 3 else "")
        raise DataError(
            "data.csv-rows", f"{path}: {shown}", "correct or remove these lines; splits are train, val, test"
        )
    return _to_samples(path.parent, str(path), rows, [])


def _records(table: csv.DictReader[str], path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, record) of a table; a fault of its form is an error of the data."""
    try:
        for record in table:
            yield table.line_num, record
    except csv.Error as error:
        raise DataError(
            "data.csv-rows", f"{path}: line {table.line_num}: {error}", "look for a quote that is never closed"
        ) from error


def _csv_path(folder: Path, text: str) -> str:
    path = folder / text
    return str(folder / text.replace("\\", "/")) if "\\" in text and not path.exists() else str(path)


def _to_samples(root: Path, source: str, rows: list[Row], skipped: list[tuple[str, str]]) -> Samples:
    """Check what holds for every source, and number the classes by name."""
    rows = _without_repeats(rows)
    if not rows:
        seen = ", ".join(f"{count} {reason}" for reason, count in _tally(skipped).items()) or "nothing at all"
        raise DataError("data.no-images", f"no images found in {source!r}; found: {seen}", _HOW)
    trained = {name for _, name, part, _ in rows if part in ("", "train")}
    extra = sorted({name for _, name, part, _ in rows} - trained)
    if extra:
        parts = sorted({part for _, name, part, _ in rows if name in extra})
        raise DataError(
            "data.unknown-class",
            f"class {', '.join(map(repr, extra[:5]))} is in {' and '.join(parts)}, but train has no image of it; "
            f"train has {', '.join(map(repr, sorted(trained)[:8]))}",
            "add images of it to train, remove it, or give the class folders the same names in every split",
        )
    classes = tuple(sorted(trained))
    odd = [name for name in classes if any(unicodedata.category(letter) == "Cc" for letter in name)]
    if odd:
        raise DataError(
            "data.class-name",
            f"class {odd[0]!r} has a control character in its name; a list of classes has one name a line",
            "rename the folder or the label",
        )
    if len(classes) < 2:
        raise DataError(
            "data.one-class",
            f"only one class in {source!r}: {classes[0]!r}",
            "give at least two folders of images; to find one thing, add a second class of what it is not",
        )
    number = {name: position for position, name in enumerate(classes)}
    relative = [_relative(path, root) for path, *_ in rows]
    return Samples(
        root=root,
        source=source,
        classes=classes,
        paths=np.array(relative, object),
        labels=np.array([number[name] for _, name, _, _ in rows], np.int64),
        given=np.array([part for _, _, part, _ in rows], object),
        groups=np.array([group for *_, group in rows], object),
        skipped=tuple((_relative(path, root), reason) for path, reason in skipped),
    )


def _without_repeats(rows: list[Row]) -> list[Row]:
    """Drop lines that say the same twice; refuse those that contradict each other."""
    seen: dict[str, Row] = {}
    for row in rows:
        other = seen.setdefault(row[0], row)
        if other[1:3] != row[1:3]:
            raise DataError(
                "data.contradiction",
                f"{row[0]} is listed twice: as {other[1]!r} ({other[2] or 'no split'}) "
                f"and as {row[1]!r} ({row[2] or 'no split'})",
                "keep one line for each image; images with several labels are not supported",
            )
    return list(seen.values())


def _relative(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return Path(path).absolute().as_posix()


def _tally(skipped: list[tuple[str, str]]) -> dict[str, int]:
    reasons = [reason for _, reason in skipped]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


# A new kind of source is one function and one row; the first row that matches reads it.
SOURCES: tuple[tuple[Callable[[Path], bool], Callable[[Path], Samples]], ...] = (
    (Path.is_dir, _read_folder),
    (lambda path: path.suffix.lower() in (".csv", ".tsv", ".txt"), _read_csv),
)
