"""Where a search lies, who leads it, and what its runs are called."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sightline.errors import RunError
from sightline.events import Event, Noted
from sightline.runs.folder import Run
from sightline.runs.writer import refuse_name, stem_of
from sightline.tuning.job import SearchJob
from sightline.tuning.shared_locks import SharedLock

__all__ = ["SEARCHES", "SearchFolder", "find_folder", "find_result", "is_elsewhere"]

SEARCHES = "searches"


class SearchFolder:
    """The folder of a search; one process leads it, others join.

    Attributes:
        folder: ``runs/searches/NAME``.
        name: of the search.
        is_owned: whether this process leads.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.name, self._out = folder, folder.name, out
        self.is_owned = False
        self._lock = FileLock(folder / "search.lock", fallback_to_soft=False)
        self._shared: SharedLock | None = None

    def share(self, lock: SharedLock | None) -> None:
        """Lead no more than one of several folders, of the same study, by a lock that all of them see."""
        self._shared = lock

    def own(self) -> bool:
        """Lead the search, if no living process does."""
        if self.is_owned and (self._shared is None or self._shared.is_held()):
            return True
        try:
            if not self._lock.is_locked:
                self._lock.acquire(blocking=False)
        except Timeout:
            return False
        self.is_owned = self._shared is None or self._shared.take()
        if not self.is_owned:
            self._lock.release()
        return self.is_owned

    def release(self) -> None:
        """Let another process lead."""
        if self.is_owned:
            if self._shared is not None:
                self._shared.release()
            self._lock.release()
            self.is_owned = False

    def id_of(self, before: Mapping[str, Any]) -> str:
        """Return what tells this search from others of its name; ``before``: its facts so far."""
        return str(before.get("id") or os.urandom(8).hex())

    def result_name(self, search_id: str) -> str:
        """Return the name of the run that ships: the search's, or with a number where a run of before has that."""
        number = 1
        while True:
            name = self.name if number == 1 else f"{self.name}-{number}"
            runs = [self._out / f"{name}{suffix}" for suffix in ("", "-plain", "-best")]
            if not any(os.path.lexists(folder) for folder in runs) or self._is_unfinished(runs, search_id):
                return name
            number += 1

    def _is_unfinished(self, folders: list[Path], search_id: str) -> bool:
        """Whether these are runs of this search, and the one that ships is not finished."""
        there = [Run(folder) for folder in folders if (folder / "run.json").is_file()]
        is_own = all(run.facts.get("search", {}).get("id") == search_id for run in there)
        known = len(there) == sum(os.path.lexists(folder) for folder in folders)
        ships = next((run for run in there if run.folder == folders[0]), None)
        return known and is_own and (ships is None or ships.status != "finished")


def find_folder(search: SearchJob) -> SearchFolder:
    """Return the folder of a search: the newest of its name, or with ``is_new`` one beside it. It is made.

    Raises:
        RunError: if nothing can be written there, or a run of that name exists that no search made.
    """
    out = Path(search.job.out)
    stem = search.job.name or f"tune-{stem_of(search.job.data_name)}"
    parent, numbers = out / SEARCHES, [1]
    if not (parent / stem).is_dir():
        refuse_name(out, stem)
    if parent.is_dir():
        tails = (path.name.removeprefix(f"{stem}-") for path in parent.iterdir() if path.name.startswith(f"{stem}-"))
        numbers += [int(tail) for tail in tails if tail.isdecimal()]
    newest = max(numbers)
    if search.is_new and (parent / stem).is_dir():
        newest += 1
    folder = parent / (stem if newest == 1 else f"{stem}-{newest}")
    folder.mkdir(parents=True, exist_ok=True)
    return SearchFolder(folder, out)


def is_elsewhere(made: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether the result of a search was made by a process with another folder, and should be there still.

    Args:
        made: where it was made, as the study has it; empty: nowhere so far.
        before: facts of the search in this folder.
    """
    if not made or made["id"] == before.get("id"):
        return False
    return made["host"] != platform.node() or Path(made["folder"]).is_dir()


def find_result(place: SearchFolder, made: Mapping[str, Any]) -> Generator[Event, None, Run]:
    """Return the run that a process with another folder made.

    Args:
        place: of the search in this process.
        made: where the result was made, as the study has it.

    Raises:
        RunError: if it is on another machine, with the place.
    """
    shutil.rmtree(place.folder / "scratch", ignore_errors=True)
    folder, host = Path(made["folder"]), made["host"]
    if (folder / "run.json").is_file():
        run = Run(folder)
        if run.facts.get("search", {}).get("id") == made["id"]:
            yield Noted(f"Process {made['pid']} on {host} made the result of the search {place.name}.")
            return run
    message = f"process {made['pid']} on {host} made the result of the search {place.name}, in {folder} there"
    raise RunError("tune.elsewhere", message, f"copy it from there: scp -r {host}:{shlex.quote(str(folder))} .")
