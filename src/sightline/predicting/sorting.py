"""Images copied or linked into a folder for each answer; nothing is replaced, and the images stay as they are.

What was placed since the last record of the output stands in ``placed.jsonl``, so that rows that are made again after
a kill place nothing twice.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from sightline.errors import InputError, RunError, UnreadableImage
from sightline.pixels.containers import Member
from sightline.pixels.file_bytes import read_bytes
from sightline.predicting.named_images import Named
from sightline.runtime.predictions import Predictions

__all__ = ["Sorter", "folder_names", "refuse_sort_target"]

UNKNOWN = "unknown"
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_LONGEST = 120  # bytes of a name; most systems take 255, some of whole paths no more


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """Return class -> a name of its folder that every system takes, on which no two differ in capitals alone.

    Example:
        >>> folder_names(["cat", "Cat", "a/b", "CON", "unknown"])
        {'cat': 'cat', 'Cat': 'Cat-2', 'a/b': 'a_b', 'CON': 'CON_', 'unknown': 'unknown-2'}
    """
    taken, names = {UNKNOWN}, {}
    for label in classes:
        plain = _safe(label)
        forms = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        names[label] = next(form for form in forms if form.casefold() not in taken)
        taken.add(names[label].casefold())
    return names


def _safe(label: str) -> str:
    text = _FORBIDDEN.sub("_", label.encode("utf-8", "replace").decode())
    text = text.encode()[:_LONGEST].decode("utf-8", "ignore").rstrip(". ").lstrip(" ")
    text = f"_{text[1:]}" if text.startswith(".") else text  # hidden, and never data
    if _RESERVED.match(text):
        stem, dot, rest = text.partition(".")
        text = f"{stem}_{dot}{rest}"
    return text or "_"


def refuse_sort_target(folder: Path, sources: Sequence[str], *, resume: bool) -> None:
    """Raise before anything is done where images can't be sorted into a folder.

    Raises:
        InputError: if it holds something already, or lies in a folder that is read.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("predict.sort", f"{folder} is a file", "choose another --sort-into")
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        cure = "choose a new folder; or add --resume where the same command began it"
        raise InputError("predict.sort", f"{folder} is not empty", cure)
    whole = folder.resolve()
    for source in sources:
        if os.path.isdir(source) and whole.is_relative_to(Path(source).resolve()):  # noqa: PTH112
            message = f"{folder} lies in {source}, which is read: what is sorted would be predicted again"
            raise InputError("predict.sort", message, "choose a folder outside of it")


class Sorter:
    """Places images by their answers.

    Attributes:
        counts: folder -> images placed; errors are under an empty name.
        copied: images in archives that could not be linked, and were copied.

    Args:
        folder: for the folders of the answers.
        classes: of the classifier.
        link: make links in place of copies.
        is_dry: only say what would be done.
        journal: where it is noted what was placed since the last record; None: nowhere.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        *,
        link: bool = False,
        is_dry: bool = False,
        journal: Path | None = None,
    ) -> None:
        self.folder = folder
        self.counts = Counter[str]()
        self.copied = 0
        self._names = folder_names(classes)
        self._is_link, self._is_dry = link, is_dry
        self._journal = journal
        self._before = {} if journal is None else dict(_read_journal(journal))
        self._taken: set[str] = set()  # of a dry run: names that would exist

    def place(self, part: Predictions, images: Sequence[Named]) -> list[tuple[str, Path]]:
        """Place the images of a part, and return (image, where) of each.

        Raises:
            RunError: if the folder can't be written, or the system makes no links.
        """
        placed = []
        for row, image in zip(part, images, strict=True):
            if row.error is not None:
                self.counts[""] += 1
                continue
            name = UNKNOWN if row.unknown else self._names[row.label or ""]
            try:
                target = self._place(image, self.folder / name)
            except UnreadableImage:  # gone since it was predicted
                self.counts[""] += 1
                continue
            except OSError as error:
                cure = "free some space, or make the folder writable; then go on with --resume"
                if self._is_link and os.name == "nt":
                    cure = "leave out --link: Windows makes links for administrators and in developer mode only"
                raise RunError("run.write", f"{self.folder}: {error.strerror or error}", cure) from error
            self.counts[name] += 1
            placed.append((str(image), target))
        return placed

    def recorded(self) -> None:
        """Forget what was placed: its rows are recorded."""
        if self._journal is not None and not self._is_dry:
            self._before = {}
            with contextlib.suppress(OSError):
                self._journal.unlink(missing_ok=True)

    def _place(self, image: Named, folder: Path) -> Path:
        known = self._before.get(str(image))
        if known is not None and os.path.lexists(known):
            return Path(known)
        base = Path(image.name if isinstance(image, Member) else image)
        stem, ending = base.stem or "image", base.suffix or (".png" if isinstance(image, Member) else "")
        names = itertools.chain([f"{stem}{ending}"], (f"{stem}-{number}{ending}" for number in itertools.count(2)))
        for name in names:
            target = folder / name
            if self._is_dry:
                if str(target).casefold() in self._taken or os.path.lexists(target):
                    continue
                self._taken.add(str(target).casefold())
                return target
            if os.path.lexists(target):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            self._note(image, target)
            if self._put(image, target):
                return target
        raise AssertionError  # the names do not end

    def _put(self, image: Named, target: Path) -> bool:
        """Make a copy or a link under a name that is free; False where it is taken by now."""
        try:
            if self._is_link and not isinstance(image, Member):
                target.symlink_to(Path(image).resolve())
                return True
            self.copied += self._is_link
            scratch = target.with_name(".sightline.tmp")
            if isinstance(image, Member):
                scratch.write_bytes(read_bytes(image))
            else:
                shutil.copy2(image, scratch)
            with contextlib.ExitStack() as stack:
                stack.callback(scratch.unlink)
                _move_without_replacing(scratch, target)
        except FileExistsError:
            return False
        return True

    def _note(self, image: Named, target: Path) -> None:
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps([str(image), str(target)]) + "\n")


def _move_without_replacing(scratch: Path, target: Path) -> None:
    """Give a file a second name; one that is there raises ``FileExistsError``, where a rename would replace it."""
    try:
        os.link(scratch, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with scratch.open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy)


def _read_journal(journal: Path) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(FileNotFoundError):
        for line in journal.read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):  # a line that was cut off
                image, target = json.loads(line)
                yield image, target
