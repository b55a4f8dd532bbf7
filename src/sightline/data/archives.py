"""A zip or tar of class folders or split folders, read in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sightline.data.choices import FindingChoices
from sightline.data.cifar import refuse_cifar_names
from sightline.data.folders import Visit, is_hidden, walk
from sightline.data.found import Found
from sightline.data.layouts import read_tree
from sightline.pixels.archives import Archive
from sightline.pixels.containers import MARK, Member, open_container

__all__ = ["images_in_archive", "read_archive"]


@dataclass(slots=True)
class ArchiveNode:
    """A file or folder in the listing of an archive."""

    archive: Archive
    name: str
    path: str  # in the archive
    text: str
    is_folder: bool = True
    inside: dict[str, ArchiveNode] = field(default_factory=dict)

    @property
    def leads_out(self) -> bool:
        """Links in archives are listed as skipped, and are no nodes."""
        return False

    @property
    def identity(self) -> object:
        """Its path: links are not followed, so nothing in an archive has two names."""
        return self.path

    def children(self) -> list[ArchiveNode]:
        """Return what the folder holds, sorted by name."""
        return [self.inside[name] for name in sorted(self.inside)]

    def start(self, count: int = 16) -> bytes:
        """Return the file's first bytes, at most 512 of a packed one."""
        return self.archive.start(self.path, count)

    def content(self) -> bytes:
        """Return all of the file."""
        return self.archive.read(self.path)


def read_archive(path: Path, choices: FindingChoices) -> Found:
    """Find the images of class folders or split folders in a zip or tar.

    Raises:
        DataError: if the archive is damaged or beyond a limit, or holds something else.
    """
    archive = open_container(path)
    assert isinstance(archive, Archive)
    refuse_cifar_names(archive.entries, str(path))
    skipped = [(f"{path.name}{MARK}{name}", reason) for name, reason in archive.skipped]
    root = _tree(archive, path.name + MARK)
    # Most archives contain one top folder; a single class would not be a data set anyway.
    visible = [node for node in root.children() if not is_hidden(node.name)]
    if len(visible) == 1 and sum(node.is_folder and not is_hidden(node.name) for node in visible[0].children()) > 1:
        skipped += [(node.text, "hidden") for node in root.children() if node is not visible[0]]
        root = visible[0]
    found = read_tree(root, str(path), path.parent, choices)
    return replace(found, skipped=skipped + found.skipped)


def images_in_archive(path: Path, choices: FindingChoices) -> Iterator[Member]:
    """Yield the images in a zip or tar, whatever folders they are in, sorted folder by folder.

    Raises:
        DataError: if the archive is damaged or beyond a limit.
    """
    archive = open_container(path)
    assert isinstance(archive, Archive)
    top = _tree(archive, f"{path.name}{MARK}")
    yield from (
        Member(path, node.path) for node in walk(top, Visit(choices), is_top=True) if isinstance(node, ArchiveNode)
    )


def _tree(archive: Archive, before: str) -> ArchiveNode:
    root = ArchiveNode(archive, "", "", before)
    for name in archive.folders:
        _folder(root, name.split("/"))
    for name in archive.entries:
        *folders, last = name.split("/")
        parent = _folder(root, folders)
        # If a name is both a file and a folder, which could not be unpacked either, the folder is read.
        parent.inside.setdefault(last, ArchiveNode(archive, last, name, before + name, is_folder=False))
    return root


def _folder(root: ArchiveNode, parts: list[str]) -> ArchiveNode:
    node, archive = root, root.archive
    for part in parts:
        path = f"{node.path}/{part}" if node.path else part
        child = node.inside.get(part)
        if child is None or not child.is_folder:
            child = node.inside[part] = ArchiveNode(archive, part, path, root.text + path)
        node = child
    return node
