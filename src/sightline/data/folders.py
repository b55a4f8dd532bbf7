"""Folders of images, on the disk or in the listing of an archive: one way to read both.

Hidden files and folders are never data, nor is what Sightline wrote. Everything that is not used as a sample is listed
with its reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sightline.data.choices import FindingChoices
from sightline.data.found import Row, class_name
from sightline.data.links import LEADS_OUT, refuse_links
from sightline.data.own_output import is_own_output
from sightline.pixels.foreign import START, foreign_format

__all__ = [
    "FOREIGN",
    "IMAGE_SUFFIXES",
    "DiskNode",
    "Node",
    "Visit",
    "children_of",
    "find_images",
    "images_below",
    "is_hidden",
    "is_image",
    "left_out_by",
    "read_class_folders",
    "visible",
    "walk",
]

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
_HIDDEN_NAMES = frozenset(
    [
        *("__macosx", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information"),
        "lost+found",
        *("@eadir", "@tmp", "@sharebin", "@sharesnap", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    ]
)
# What Dropbox, Nextcloud, ownCloud and Syncthing call the second version of a file that was changed in two places.
_CONFLICT = re.compile(
    r"conflicted copy|\.sync-conflict-\d{8}-\d{6}|_conflict-\d{8}-\d{6}|\(case conflict", re.IGNORECASE
)
_CONFLICT_COPY = "a conflict copy of a sync tool"
_OWN = "written by Sightline"
FOREIGN = "an image in a format that is not read"

Skipped = list[tuple[str, str]]
_NO_CHOICES = FindingChoices()


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
    def leads_out(self) -> bool:
        """Whether it is a link to something that is not below the root."""

    @property
    def identity(self) -> object:
        """A value that is equal for two names of one folder."""

    def children(self) -> Sequence[Node]:
        """Return what a folder holds, sorted by name.

        Raises:
            OSError: if it can't be read.
        """

    def start(self, count: int = 16) -> bytes:
        """Return the first bytes of a file; none if it can't be read."""

    def content(self) -> bytes:
        """Return all bytes of a file.

        Raises:
            OSError, UnreadableImage: if it can't be read.
        """


@dataclass(frozen=True, slots=True)
class DiskNode:
    """A file or folder on the disk; ``root`` is the real path of the folder that is read."""

    path: str
    name: str = ""
    text: str = ""
    is_folder: bool = True
    root: str = ""
    leads_out: bool = False

    @classmethod
    def top(cls, folder: Path) -> DiskNode:
        """Return the node of a folder that was named; it may be a link itself."""
        return cls(str(folder), root=os.path.realpath(folder))

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
            found = [self._child(entry, before + entry.name) for entry in entries]
        return sorted(found, key=lambda node: node.name)

    def _child(self, entry: os.DirEntry[str], text: str) -> DiskNode:
        is_link = entry.is_symlink() or getattr(entry, "is_junction", bool)()  # junctions: on Windows, since 3.12
        leads_out = is_link and not _is_below(os.path.realpath(entry.path), self.root)
        return DiskNode(entry.path, entry.name, text, _is_folder(entry), self.root, leads_out)

    def start(self, count: int = 16) -> bytes:
        """Return the file's first bytes; a pipe or a device is not opened."""
        path = Path(self.path)
        try:
            if not path.is_file():
                return b""
            with path.open("rb") as file:
                return file.read(count)
        except OSError:
            return b""

    def content(self) -> bytes:
        """Return all of the file."""
        return Path(self.path).read_bytes()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root.endswith(os.sep) else root + os.sep)


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder belongs to the system or a tool, and is never data."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


@dataclass(slots=True)
class Visit:
    """What is known while the folders of one source are read.

    Attributes:
        choices: of the person.
        skipped: (path, reason) of what is not used.
        visited: identities of folders, so that a link does not lead to one twice.
    """

    choices: FindingChoices = _NO_CHOICES
    skipped: Skipped = field(default_factory=list)
    visited: set[object] = field(default_factory=set)

    def children(self, folder: Node) -> Sequence[Node]:
        """Return what a folder holds; one that can't be read is skipped."""
        try:
            return folder.children()
        except OSError as error:
            self.skipped.append((folder.text or ".", f"can't be read: {error.strerror}"))
            return []

    def leaves_out(self, node: Node) -> bool:
        """Tell whether a file or folder is never data, or was left out by a person; then it is listed."""
        reason = _why_not(node, self.choices)
        if reason:
            self.skipped.append((node.text, reason))
        return bool(reason)


def left_out_by(pattern: str) -> str:
    """Return the reason for what a pattern of the person leaves out."""
    return f"left out by --skip {pattern}"


def _why_not(node: Node, choices: FindingChoices) -> str:
    if is_hidden(node.name):
        return "hidden"
    if choices.skip and (pattern := choices.pattern_of(node.text)):
        return left_out_by(pattern)
    if node.leads_out and not choices.follow_links:
        return LEADS_OUT
    return _CONFLICT_COPY if _CONFLICT.search(node.name) else ""


def find_images(folder: Path, choices: FindingChoices = _NO_CHOICES) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the image files below a folder, sorted, and (path, reason) of every other thing there.

    Raises:
        DataError: if there is none, but links that lead out of the folder.
    """
    top = DiskNode.top(folder)
    visit = Visit(choices, visited={top.identity})
    found = sorted(folder / node.text for node in walk(top, visit, is_top=True))
    if not found:
        refuse_links(folder, str(folder), visit.skipped)
    return found, [(str(folder / text), reason) for text, reason in visit.skipped]


def images_below(folder: str, choices: FindingChoices = _NO_CHOICES) -> Generator[str, None, list[tuple[str, str]]]:
    """Yield the image files below a folder as they are found, in the order of :func:`find_images`.

    Only the names in the folders on the way are held. A generator: returns (path, reason) of every other thing there.

    Example:
        ``for path in images_below("photos"): print(path)``
    """
    top, above = DiskNode.top(Path(folder)), Path(folder)
    visit = Visit(choices, visited={top.identity})
    for node in walk(top, visit, is_top=True):
        yield str(above / node.text)
    return [(str(above / text), reason) for text, reason in visit.skipped]


def children_of(node: Node) -> Sequence[Node]:
    """Return what a folder holds; one that can't be read holds nothing.

    Nothing is listed as skipped: that is done where a folder is read.
    """
    try:
        return node.children()
    except OSError:
        return []


def visible(children: Sequence[Node], choices: FindingChoices = _NO_CHOICES) -> list[Node]:
    """Return what may be data of what a folder holds."""
    return [child for child in children if not _why_not(child, choices)]


def read_class_folders(folder: Node, part: str, visit: Visit) -> list[Row]:
    """Return the images of class folders; a folder without any is listed as skipped."""
    rows: list[Row] = []
    children = [node for node in visit.children(folder) if not visit.leaves_out(node)]
    class_folders = [node for node in children if node.is_folder]
    visit.visited |= {node.identity for node in class_folders}
    for class_folder in class_folders:
        before = len(visit.skipped)
        images = sorted(node.text for node in walk(class_folder, visit))
        name = class_name(class_folder.name)
        rows += [Row(text, name, part, spelling=class_folder.name) for text in images]
        is_own = {reason for _, reason in visit.skipped[before:]} == {_OWN}
        if not images and not is_own:
            visit.skipped.append((class_folder.text, "a folder without images"))
    visit.skipped += [(node.text, "outside the class folders") for node in children if not node.is_folder]
    return rows


def walk(folder: Node, visit: Visit, *, is_top: bool = False) -> Iterator[Node]:
    """Yield the image files below a folder; a link to a folder is followed once, and not if it leads back.

    Args:
        folder: where to begin.
        visit: of the source.
        is_top: whether the folder was named by the person: then it is read even if Sightline wrote it.
    """
    children = visit.children(folder)
    if not is_top and is_own_output([node.name for node in children]):
        visit.skipped.append((folder.text, _OWN))
        return
    for node in children:
        if visit.leaves_out(node):
            continue
        if node.is_folder:
            identity = node.identity
            if identity in visit.visited:
                visit.skipped.append((node.text, "a link to a folder that is already read"))
                continue
            visit.visited.add(identity)
            yield from walk(node, visit)
        elif is_image(node):
            yield node
        else:
            foreign = foreign_format(node.start(START), _ending(node))
            reason = f"{FOREIGN}: {foreign}" if foreign else f"not an image ({_ending(node) or 'no extension'})"
            visit.skipped.append((node.text, reason))


def is_image(node: Node) -> bool:
    """Tell whether a file is an image, by its name, or by its first bytes where the name does not tell."""
    if _ending(node) in IMAGE_SUFFIXES:
        return True
    start = node.start()
    return _looks_like_image(start) and not foreign_format(start, _ending(node))


def _ending(node: Node) -> str:
    return os.path.splitext(node.name)[1].lower()  # noqa: PTH122


def _looks_like_image(start: bytes) -> bool:
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
