"""Data sets of the Hugging Face hub: named ones, and ``hf:OWNER/NAME``, as Parquet files in the hub's own cache.

A set is downloaded on request, and each file is checked against the sha256 on the hub. The files and the revision are
noted in the user's cache folder; from then on the set is read without a connection.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import queue
import re
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.caches import cache_folder
from sightline.data.found import SPLIT_NAMES, Found
from sightline.data.parquet import part_of, read_parquet_files
from sightline.errors import DataError
from sightline.installation import require_extra
from sightline.text import nearest

__all__ = ["NAMED_SETS", "NamedSet", "download_set", "is_set", "nearest_set", "read_set"]

PREFIX = "hf:"
# The hub converts sets of other formats to Parquet in the second one.
_REVISIONS = ("main", "refs/convert/parquet")


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A data set of the hub with a short name.

    Attributes:
        repository: its name on the hub.
        folder: of the files in it.
        images: of train and test together.
        licence: as far as it is stated.
    """

    repository: str
    folder: str
    images: int
    licence: str


NAMED_SETS = {
    "cifar10": NamedSet("uoft-cs/cifar10", "plain_text", 60_000, "not stated; cite Krizhevsky 2009"),
    "cifar100": NamedSet("uoft-cs/cifar100", "cifar100", 60_000, "not stated; cite Krizhevsky 2009"),
    "mnist": NamedSet("ylecun/mnist", "mnist", 70_000, "MIT"),
    "fashion-mnist": NamedSet("zalando-datasets/fashion_mnist", "fashion_mnist", 70_000, "MIT"),
    "flowers102": NamedSet("nelorth/oxford-flowers", "data", 8_189, "not stated; cite Nilsback and Zisserman 2008"),
    "imagenette": NamedSet("frgfm/imagenette", "320px", 13_394, "Apache-2.0; the photos are ImageNet's, for research"),
}


def is_set(name: str) -> bool:
    """Tell whether a name is that of a set that can be downloaded.

    Example:
        >>> is_set("cifar10"), is_set("hf:uoft-cs/cifar10"), is_set("photos")
        (True, True, False)
    """
    return name in NAMED_SETS or name.startswith(PREFIX)


def nearest_set(name: str) -> str | None:
    """Return the named set that was probably meant, or None.

    Example:
        >>> nearest_set("cifar-10")
        'cifar10'
    """
    near = nearest(name.lower(), [*NAMED_SETS, "digits"], cutoff=0.8)
    return near[0] if near else None


def read_set(name: str) -> Found:
    """Find the images of a downloaded set.

    Raises:
        DataError: if it was not downloaded, or its files are gone.
        MissingExtra: without pyarrow.
    """
    files = _downloaded(name)
    if files is None:
        raise DataError(
            "data.not-downloaded",
            f"the data set {name!r} is not on this machine",
            f"connect to the network once; sightline check {name} downloads it",
        )
    return read_parquet_files(files, name)


def download_set(name: str) -> Generator[tuple[int, int], None, Path]:
    """Download a set unless it is here; yields (bytes done, bytes in all), returns the note about its files.

    Raises:
        DataError: if the hub can't be reached, has no such set, or a file differs from its checksum.
        MissingExtra: without huggingface_hub or pyarrow.
    """
    note = _note(name)
    if _downloaded(name) is not None:
        return note
    require_extra("hub", f"downloading {name}")
    _refuse_no_place(note)
    repository, folder = _address(name)
    revision, files = _list_files(name, repository, folder)
    total = sum(file.size for file in files)
    done, paths = 0, []
    for file in files:
        path = yield from _download(name, (repository, revision), file, (done, total))
        done += file.size
        _check(path, file)
        paths.append(path)
        yield done, total
    facts = {
        "repository": repository,
        "revision": revision,
        "files": [
            {"path": str(path), "part": file.part, "size": file.size, "sha256": file.sha256}
            for path, file in zip(paths, files, strict=True)
        ],
    }
    _write_note(note, facts)
    return note


@dataclass(frozen=True, slots=True)
class _File:
    """A file as the hub describes it."""

    name: str
    part: str
    size: int
    sha256: str


def _address(name: str) -> tuple[str, str]:
    """Return (repository, folder in it or empty)."""
    if name in NAMED_SETS:
        return NAMED_SETS[name].repository, NAMED_SETS[name].folder
    owner, _, rest = name.removeprefix(PREFIX).strip("/").partition("/")
    repository, _, folder = rest.partition("/")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", f"{owner}/{repository}"):
        raise DataError(
            "data.hub-layout", f"{name!r} is not a valid data set name", "write hf:OWNER/NAME, or hf:OWNER/NAME/FOLDER"
        )
    return f"{owner}/{repository}", folder


def _list_files(name: str, repository: str, folder: str) -> tuple[str, list[_File]]:
    """Ask the hub for (revision, Parquet files) of a set."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    found: dict[str, list[_File]] = {}
    for revision in _REVISIONS:
        try:
            api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
            info = api.dataset_info(repository, revision=revision, files_metadata=True, timeout=15)
        except RevisionNotFoundError:
            continue
        except Exception as error:  # offline, no such repository, a proxy: many types, one cure
            raise _unreachable(name, error) from error
        found = _by_folder(info.siblings or [])
        if folder:
            found = {key: files for key, files in found.items() if key == folder}
        if len(found) == 1:
            return str(info.sha), next(iter(found.values()))
        if found:
            break
    if found:
        text = f"{repository} contains several data sets: {', '.join(sorted(found))}"
        raise DataError("data.hub-layout", text, f"choose one: {PREFIX}{repository}/{sorted(found)[0]}")
    raise DataError(
        "data.hub-layout",
        f"{repository} has no Parquet files{f' in {folder}' if folder else ''}",
        "download it yourself, and give the folder or archive",
    )


def _by_folder(siblings: list[Any]) -> dict[str, list[_File]]:
    """Return the Parquet files of each folder, with the part of the split that their names give."""
    found: dict[str, list[_File]] = {}
    for sibling in sorted(siblings, key=lambda one: str(one.rfilename)):
        name = str(sibling.rfilename)
        if name.lower().endswith(".parquet"):
            head, _, last = name.rpartition("/")
            # A folder named after a part belongs to the name of the file: default/train/0000.parquet
            outer, _, inner = head.rpartition("/")
            folder, rest = (outer, f"{inner}/{last}") if inner.lower() in SPLIT_NAMES else (head, last)
            checksum = getattr(sibling.lfs, "sha256", "") if sibling.lfs else ""
            found.setdefault(folder, []).append(_File(name, part_of(rest), sibling.size or 0, checksum))
    for folder, files in found.items():
        if any(file.part for file in files):  # "unsupervised" and the like have no labels
            found[folder] = [file for file in files if file.part]
    return found


def _download(
    name: str, source: tuple[str, str], file: _File, before: tuple[int, int]
) -> Generator[tuple[int, int], None, Path]:
    """Download one file in a thread, since the hub's library reports progress only through a tqdm bar."""
    from huggingface_hub import hf_hub_download
    from tqdm.auto import tqdm

    counts: queue.SimpleQueue[tuple[int, int] | Path | BaseException] = queue.SimpleQueue()

    class Counting(tqdm):  # type: ignore[misc]
        """A bar that shows nothing and forwards its counts."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            counts.put((id(self), int(n or 0)))

    def work() -> None:
        try:
            endpoint = os.environ.get("HF_ENDPOINT")
            repository, revision = source
            path = hf_hub_download(
                repository, file.name, repo_type="dataset", revision=revision, endpoint=endpoint, tqdm_class=Counting
            )
            counts.put(Path(path))
        except BaseException as error:
            counts.put(error)

    threading.Thread(target=work, name="download", daemon=True).start()
    done, total = before
    bars: Counter[int] = Counter()  # there may be two: bytes received, and bytes written
    while True:
        count = counts.get()
        if isinstance(count, Path):
            return count
        if isinstance(count, BaseException):
            raise _unreachable(name, count) from count
        bars[count[0]] += count[1]
        yield min(done + max(bars.values()), total), total


def _check(path: Path, file: _File) -> None:
    """Compare a file with its checksum on the hub; one that differs is removed, so that it is downloaded again."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while piece := opened.read(2**20):
            digest.update(piece)
    size = path.stat().st_size
    if (file.size and size != file.size) or (file.sha256 and digest.hexdigest() != file.sha256):
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise DataError(
            "data.checksum",
            f"{file.name} ({size:,} bytes) differs from its checksum on the hub; it was removed",
            "try again; if it happens again, a proxy on the way may be changing files",
        )


def _note(name: str) -> Path:
    return cache_folder() / "sets" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _downloaded(name: str) -> list[tuple[Path, str]] | None:
    """Return (file, part) of a downloaded set, or None where it was not downloaded or is gone."""
    try:
        facts = json.loads(_note(name).read_text(encoding="utf-8"))
        files = [(Path(file["path"]), str(file["part"]), int(file["size"])) for file in facts["files"]]
        if all(path.stat().st_size == size for path, _, size in files) and files:
            return [(path, part) for path, part, _ in files]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _refuse_no_place(note: Path) -> None:
    """Raise ``DataError``, before anything is downloaded, where it or the note about it can't be kept."""
    from huggingface_hub import constants

    if not Path(constants.HF_HUB_CACHE).is_absolute():  # its library would make a folder called ~
        message = "there is no place for files of the hub: no home folder is known here"
        raise DataError("data.unpack", message, "set HF_HOME to a folder that can be written")
    with _named(note):
        note.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(note.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextlib.contextmanager
def _named(note: Path) -> Iterator[None]:
    """Raise ``DataError`` with a cure where the note about a set can't be written."""
    try:
        yield
    except OSError as error:
        text = f"{note} can't be written: {error.strerror}"
        raise DataError("data.unpack", text, "set SIGHTLINE_CACHE to a folder that can be written") from error


def _write_note(note: Path, facts: dict[str, Any]) -> None:
    with _named(note):
        note.parent.mkdir(parents=True, exist_ok=True)
        scratch = note.with_name(f"{note.name}.tmp-{os.getpid()}")
        scratch.write_text(json.dumps(facts, indent=2), encoding="utf-8")
        scratch.replace(note)


def _unreachable(name: str, error: BaseException) -> DataError:
    text = str(error).strip().splitlines()
    return DataError(
        "data.download",
        f"the data set {name!r} is not on this machine and can't be downloaded "
        f"({type(error).__name__}: {text[0][:160] if text else 'no details'})",
        "connect to the network once, or check the name; without a network: digits, or a folder of your own",
    )
