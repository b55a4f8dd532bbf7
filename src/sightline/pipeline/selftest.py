"""Sightline on its own torture set: each defect must be reported, training must skip them, no file may change."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from sightline.checks.finding import Findings
from sightline.data.defects import READ, Defect, write_defects
from sightline.data.samples import Samples
from sightline.data.sources import find_images
from sightline.errors import SightlineError
from sightline.events import Event, StageStarted
from sightline.installation import missing_modules
from sightline.pipeline.job import Job
from sightline.pipeline.train import train_job
from sightline.planning.recipe import Recipe
from sightline.reading.check import check_source
from sightline.reading.source import DataChoices
from sightline.runs.folder import Run
from sightline.steps import result_of

__all__ = ["Verdict", "hash_tree", "judge", "run_selftest"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Sightline reported about one thing that it must report.

    Attributes:
        name: the defect, in words.
        expected: the code of the finding or error, with the words that must be in it.
        reported: what was reported instead, or the words that were found.
        ok: whether that is right.
    """

    name: str
    expected: str
    reported: str
    ok: bool


def run_selftest(folder: Path, *, quick: bool = False) -> Generator[Verdict | Event, None, None]:
    """Write the torture set into a new folder, check it, train and predict on it; yields what is reported about each.

    Args:
        folder: where the set, and a run, go.
        quick: leave the training and the prediction out.
    """
    data = folder / "data"
    yield StageStarted("Making", f"a torture set in {data}")
    defects = write_defects(data)
    before = hash_tree(data)
    yield StageStarted("Checking", f"{len(defects)} defects")
    for source, group in groupby(defects, lambda defect: defect.source):
        yield from _check(source, list(group))
    if not quick:
        photos = defects[0].source
        yield StageStarted("Training", "a network, briefly, on the photos with all their defects")
        try:
            run = result_of(train_job(_job(photos, folder)))
        except SightlineError as error:
            yield Verdict("a training passes over the defects", "a finished run", f"{error.code}: {error}", False)
        else:
            yield from _look_at(run, photos, [defect for defect in defects if defect.source == photos])
    after = hash_tree(data)
    changed = sorted({path for path, _ in before.items() ^ after.items()})
    reported = f"changed: {', '.join(changed[:3])}" if changed else f"{len(after):,} unchanged"
    yield Verdict("no file is changed, made or removed", "the same tree of files", reported, not changed)


def judge(defect: Defect, samples: Samples, findings: Findings) -> Verdict:
    """Compare what was found with what must be reported about a defect."""
    if defect.code == READ:
        rows = [row for row, path in enumerate(samples.paths) if path == defect.path]
        used = bool(rows) and rows[0] not in samples.errors
        reported = "read" if used else samples.errors.get(rows[0], "") if rows else "no sample"
        return Verdict(defect.name, READ, reported, used)
    expected = defect.code + (f": {defect.words}" if defect.words else "")
    words = []
    for finding in findings:
        if finding.code == defect.code:
            named = [case.note for case in finding.cases if not defect.path or defect.path in case.paths]
            words += [f"{finding.message} {note}" for note in named or ([] if defect.path else [""])]
    if any(defect.words in text for text in words):
        return Verdict(defect.name, expected, defect.code, True)
    others = [f.code for f in findings if any(defect.path in case.paths for case in f.cases)] if defect.path else []
    return Verdict(defect.name, expected, "; ".join(words) or ", ".join(others) or "nothing", False)


def hash_tree(folder: Path) -> dict[str, str]:
    """Return path -> what is there (its kind, rights, content) of everything below a folder; no link is followed."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root) / name
            status = path.lstat()
            content = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.fsencode(os.readlink(path))  # noqa: PTH115  (a name that is not UTF-8 stays as it is)
            elif stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            text = f"{status.st_mode} {status.st_mtime_ns} {hashlib.sha256(content).hexdigest()}"
            found[str(path.relative_to(folder))] = text
    return found


def _check(source: Path, defects: Sequence[Defect]) -> Generator[Verdict, None, None]:
    """Check one source and judge what is reported about each of its defects."""
    try:
        up = result_of(check_source(source, DataChoices()))
    except SightlineError as error:
        for defect in defects:
            ok = error.code == defect.code and defect.words in error.message
            yield Verdict(defect.name, f"{defect.code}: {defect.words}", error.code if ok else str(error), ok)
        return
    for defect in defects:
        yield judge(defect, up.samples, up.findings)


def _job(photos: Path, folder: Path) -> Job:
    options = Recipe(on_bad="skip")
    if not missing_modules("train"):
        options = Recipe(model="small-fast", epochs=1, device="cpu", on_bad="skip")
    return Job(photos, options=options, out=folder / "runs", name="selftest")


def _look_at(run: Run, photos: Path, defects: Sequence[Defect]) -> Generator[Verdict, None, None]:
    """Judge a run on the photos: which images it used, and what its classifier returns for each file."""
    bad = {defect.path for defect in defects if defect.code == "unreadable"}
    yield Verdict("a training passes over the defects", "finished", run.status, run.status == "finished")
    left_out = {row["path"] for row in run.samples if row["error"]}
    yield _compare("what can't be read is left out of it, and nothing else", bad, left_out)
    files = find_images(photos)[0]
    rows = list(run.classifier().predict(files))
    yield Verdict(
        "each file has a prediction, or an error", f"{len(files)} rows", f"{len(rows)} rows", len(rows) == len(files)
    )
    failed = {Path(row.path).relative_to(photos).as_posix() for row in rows if row.error}
    yield _compare("the classifier refuses what can't be read, and nothing else", bad, failed)


def _compare(name: str, expected: set[str], reported: set[str]) -> Verdict:
    lacking, surplus = sorted(expected - reported), sorted(reported - expected)
    parts = [f"not {', '.join(lacking)}"] if lacking else []
    parts += [f"also {', '.join(surplus)}"] if surplus else []
    return Verdict(name, f"{len(expected)} files", "; ".join(parts) or f"{len(reported)} files", not parts)
