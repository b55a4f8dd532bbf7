"""Class folders and split folders, on the disk or in the listing of an archive: one way to read both.

Hidden files and folders are never data. Everything that is not used as a sample is listed with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightline.data.found import SPLIT_NAMES, Found, Row, class_name
from sightline.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "DiskNode", "Node", "find_images", "is_hidden", "read_folder", "read_tree"]

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
# Signatures of image files, for those with an unknown extension.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\x00", b"MM\x00*")
_HIDDEN_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})

Skipped = list[tuple[str, str]]


class Node(Protocol):
    """A file or folder, on the disk or in an archive."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    @property
    def text(self) -> str:
        """Its path as written in a table of samples."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, or a link to one."""

    @property
    def identity(self) -> object:
        """A value that is equal for two names of one folder."""

    def children(self) -> Sequence[Node]:
        """Return what a folder holds, sorted by name.

        Raises:
            OSError: if it can't be read.
        """

    def start(self) -> bytes:
        """Return the first bytes of a file; none if it can't be read."""


@dataclass(frozen=True, slots=True)
class DiskNode:
    """A file or folder on the disk."""

    path: str
    name: str = ""
    text: str = ""
    is_folder: bool = True

    @property
    def identity(self) -> object:
        """Device and inode of the folder; its real path where there are none."""
        try:
            status = os.stat(self.path)  # noqa: PTH116  (creating a Path for each file costs more than reading its name)
        except OSError:
            return self.path
        return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(self.path)

    def children(self) -> list[DiskNode]:
        """Return what the folder holds, sorted by name."""
        before = f"{self.text}/" if self.text else ""
        with os.scandir(self.path) as entries:
            found = [DiskNode(entry.path, entry.name, before + entry.name, _is_folder(entry)) for entry in entries]
        return sorted(found, key=lambda node: node.name)

    def start(self) -> bytes:
        """Return the file's first bytes; a pipe or a device is not opened."""
        path = Path(self.path)
        try:
            if not path.is_file():
                return b""
            with path.open("rb") as file:
                return file.read(16)
        except OSError:
            return b""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder belongs to the system or a tool, and is never data."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


def find_images(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the image files below a folder, sorted, and (path, reason) of every other thing there."""
    top = DiskNode(str(folder))
    skipped: Skipped = []
    found = sorted(folder / node.text for node in _walk(top, skipped, {top.identity}))
    return found, [(str(folder / text), reason) for text, reason in skipped]


def read_folder(root: Path) -> Found:
    """Find the images of class folders or split folders on the disk.

    Raises:
        DataError: if it is an object detection data set.
    """
    rows, skipped = read_tree(DiskNode(str(root)), str(root))
    return Found(root, str(root), rows, skipped)


def read_tree(top: Node, source: str) -> tuple[list[Row], Skipped]:
    """Return (images, everything else) of class folders or split folders below a node.

    Args:
        top: the root; where it contains a single folder with split folders in it, that one is read.
        source: what to call it in an error.
    """
    skipped: Skipped = []
    root = _inside_wrapper(top, skipped)
    _refuse_detection_layout(root, source)
    splits = [(node, SPLIT_NAMES[node.name.lower()]) for node in _folders(root) if node.name.lower() in SPLIT_NAMES]
    visited = {top.identity, root.identity}
    if not _has_train(root):
        return _read_class_folders(root, "", visited, skipped), skipped
    visited |= {node.identity for node, _ in splits}
    rows: list[Row] = []
    for node, part in splits:
        inner = _inside_twin(node, part, skipped)
        visited.add(inner.identity)
        if _folders(inner):
            rows += _read_class_folders(inner, part, visited, skipped)
        else:
            skipped.append((node.text, "unlabelled: in a split folder without class folders"))
    taken = {node.name for node, _ in splits}
    for node in _children(root, skipped):
        if node.name not in taken:
            skipped.append((node.text, _beside(node)))
    if {row.part for row in rows} == {"train"}:  # a "train" folder alone is not a split
        rows = [row._replace(part="") for row in rows]
    return rows, skipped


def _read_class_folders(folder: Node, part: str, visited: set[object], skipped: Skipped) -> list[Row]:
    rows: list[Row] = []
    children = _children(folder, skipped)
    class_folders = [node for node in children if node.is_folder and not is_hidden(node.name)]
    visited |= {node.identity for node in class_folders}
    for class_folder in class_folders:
        images = sorted(node.text for node in _walk(class_folder, skipped, visited))
        name = class_name(class_folder.name)
        rows += [Row(text, name, part) for text in images]
        if not images:
            skipped.append((class_folder.text, "a folder without images"))
    for node in children:
        if not node.is_folder or is_hidden(node.name):
            skipped.append((node.text, "hidden" if is_hidden(node.name) else "outside the class folders"))
    return rows


def _walk(folder: Node, skipped: Skipped, visited: set[object]) -> Iterator[Node]:
    """Yield image files; a link to a folder is followed once, and not if it leads back."""
    for node in _children(folder, skipped):
        if is_hidden(node.name):
            skipped.append((node.text, "hidden"))
        elif node.is_folder:
            identity = node.identity
            if identity in visited:
                skipped.append((node.text, "a link to a folder that is already read"))
                continue
            visited.add(identity)
            yield from _walk(node, skipped, visited)
        else:
            ending = os.path.splitext(node.name)[1].lower()  # noqa: PTH122
            if ending in IMAGE_SUFFIXES or _looks_like_image(node.start()):
                yield node
            else:
                skipped.append((node.text, f"not an image ({ending or 'no extension'})"))


def _looks_like_image(start: bytes) -> bool:
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _children(folder: Node, skipped: Skipped) -> Sequence[Node]:
    try:
        return folder.children()
    except OSError as error:
        skipped.append((folder.text or ".", f"can't be read: {error.strerror}"))
        return []


def _folders(node: Node) -> list[Node]:
    # A folder that can't be read is listed as skipped later, when it is visited.
    return [child for child in _children(node, []) if child.is_folder and not is_hidden(child.name)]


def _inside_wrapper(top: Node, skipped: Skipped) -> Node:
    """Go down through folders that contain a single folder, if they lead to split folders."""
    node, passed = top, []
    while not _has_train(node):
        folders = _folders(node)
        if len(folders) != 1:
            return top
        passed += _others(node, folders[0])
        node = folders[0]
    skipped += passed
    return node


def _has_train(node: Node) -> bool:
    """Tell whether a folder holds a split folder for training; a class may be called "train" as well."""
    return any(SPLIT_NAMES.get(folder.name.lower()) == "train" and _folders(folder) for folder in _folders(node))


def _inside_twin(node: Node, part: str, skipped: Skipped) -> Node:
    """Go down where a split folder contains only another one of the same part: ``seg_train/seg_train``."""
    folders = _folders(node)
    if len(folders) != 1 or SPLIT_NAMES.get(folders[0].name.lower()) != part:
        return node
    if not _folders(folders[0]):  # a class of that name
        return node
    skipped += _others(node, folders[0])
    return folders[0]


def _others(folder: Node, taken: Node) -> Skipped:
    return [
        (node.text, "hidden" if is_hidden(node.name) else "outside the class folders")
        for node in _children(folder, [])
        if node.name != taken.name
    ]


def _beside(node: Node) -> str:
    if is_hidden(node.name):
        return "hidden"
    inner = node
    while node.is_folder and len(folders := _folders(inner)) == 1:
        inner = folders[0]
    if node.is_folder and not _folders(inner):
        return "unlabelled: beside the split folders"
    return "beside the split folders"


def _refuse_detection_layout(root: Node, source: str) -> None:
    folders = _folders(root)
    names = {node.name.lower() for node in folders}
    inner = {node.name.lower() for folder in folders for node in _folders(folder)}
    if {"images", "labels"} <= names or {"images", "labels"} <= inner or {"images", "annotations"} <= names:
        raise DataError(
            "data.detection-layout",
            f"{source!r} looks like an object detection data set (images/ beside labels/): it has boxes, not classes",
            "Sightline classifies whole images; crop the objects into one folder per class, "
            "or write a CSV with the columns path and label",
        )
