"""The way of a classifier to its smaller versions: made from training images, compared on validation, one chosen."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.data.units import number_units
from sightline.errors import DataError, ExportMismatch, InputError, RunError, UnreadableImage
from sightline.events import Event, Noted, Progressed, StageEnded, StageStarted, Warned
from sightline.exporting.version_file import build_version, read_trained
from sightline.machine import cpu_name, usable_threads
from sightline.networks.frozen import FrozenNetwork
from sightline.reading.file_contents import contents_of
from sightline.reporting.page import write_page
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.lookup import refuse_repeated, refuse_version
from sightline.runs.moved import refuse_gone
from sightline.runs.targets import refuse_folder_target
from sightline.runs.unchanged import refuse_changed
from sightline.runs.versions_record import ORIGINAL, VersionRow, VersionsRecord
from sightline.runs.writer import RunWriter
from sightline.runtime.classifier import Classifier
from sightline.shrinking.judging import Cost, choose_version, judge_version
from sightline.shrinking.timing import time_classifiers
from sightline.shrinking.versions import Subject, Version, find_versions
from sightline.shrinking.writing import Chosen, write_chosen
from sightline.text import count_of, listed

__all__ = ["Shrunk", "Wish", "shrink_run"]

_RANGES, _HELD = 128, 48  # training images that give the ranges, and others on which layers are compared
_MOST_VALIDATION = 5_000  # images: they tell a loss of half a point
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted.

    Attributes:
        versions: names of ``VERSIONS``; empty: all.
        max_loss: points of accuracy, 0 to 100, that a version may lose, at the upper end of the interval.

    Raises:
        InputError: for a name that is none, or a loss out of range.
    """

    versions: tuple[str, ...] = ()
    max_loss: float = 1.0

    def __post_init__(self) -> None:
        find_versions(self.versions)
        if not 0 <= self.max_loss <= 100:
            raise InputError(
                "shrink.max-loss", f"a loss of {self.max_loss:g} points is not possible", "give --max-loss 1, say"
            )


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What was made.

    Attributes:
        record: the table of all versions, and how the chosen one did on the test.
        run: the run folder of the chosen one; None: none was written.

    Example:
        ``sightline.shrink("latest").record.chosen``
    """

    record: VersionsRecord
    run: Run | None


@dataclass(slots=True)
class _Bench:
    """What versions are made and measured with.

    Attributes:
        run, samples, split: of the classifier.
        network: its body and head.
        classifiers: name -> an open classifier, with the temperature of the original.
        bodies, words: name -> the body, what was done to it.
        sizes: name -> bytes of the file.
        labels, units: of the validation images that could be read.
        answers: name -> ``[N, K]`` probabilities of these.
    """

    run: Run
    samples: Samples
    split: Split
    network: FrozenNetwork
    classifiers: dict[str, Classifier]
    bodies: dict[str, bytes] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    labels: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    units: npt.NDArray[np.int64] | None = None
    answers: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def shrink_run(run: Run, wish: Wish) -> Generator[Event, None, Shrunk]:
    """Make versions of a run's classifier, measure them on validation, and write the best that loses little enough.

    The chosen one is the fastest, or the smallest where none is faster. It is measured once on the test images, which
    counts as an evaluation of them. Nothing of the classifier itself changes.

    Args:
        run: finished, with its images.
        wish: which versions, and what one may lose.

    Raises:
        RunError: if the run has no classifier, no evaluation, or its images are gone.
        DataError: if no validation or training image can be read.
    """
    _refuse_unfit(run)
    samples, split = read_dataset(run)
    shipped = run.classifier()
    network = read_trained(run.model_file, run.weights_file, shipped.preprocess.size)
    bench = _Bench(run, samples, split, network, {ORIGINAL: shipped})
    bench.words[ORIGINAL], bench.sizes[ORIGINAL] = "the classifier as it was trained", run.model_file.stat().st_size
    subject = yield from _look_at_training(bench)
    small: Run | None = None
    writer = RunWriter.open(run)
    try:
        record, chosen = yield from _compare(bench, subject, wish)
        if chosen:
            picked = Chosen(chosen, bench.words[chosen], replace(network, body=bench.bodies[chosen]))
            test, small = yield from write_chosen(run, samples, split, picked, record.row(chosen).verdict)
            record = replace(record, test=test)
        writer.write_versions(record)  # last: a table never names a version that is not there
        yield from write_page(run)
    finally:
        writer.close()
    if small is not None:
        yield from write_page(small)
    return Shrunk(record, small)


def _refuse_unfit(run: Run) -> None:
    refuse_repeated(run)
    refuse_folder_target(run.folder, "make versions of a copy of the run's folder")
    refuse_version(run)
    if not run.model_file.is_file():
        message = f"{run.folder} ({run.status}) has no classifier"
        raise RunError("run.no-classifier", message, f"make one of its best epoch: sightline export {run.folder}")
    _ = run.metrics  # says what to type where there is no evaluation
    refuse_changed(
        run, run.plan_file, run.model_file, run.weights_file, run.samples_file, run.split_file, run.predictions_file
    )
    refuse_gone(run, "shrink", least=0, parts=("val",))


def _look_at_training(bench: _Bench) -> Generator[Event, None, Subject]:
    """Return what versions are made of: the network, and what a few training images show of it."""
    yield StageStarted("Reading", "training images, on which layers are looked at")
    start = time.monotonic()
    rows = np.random.default_rng(0).permutation(bench.split.rows("train"))
    stream = bench.classifiers[ORIGINAL].squares(contents_of(bench.samples, rows))
    readable = (square for square in stream if not isinstance(square, UnreadableImage))
    squares = list(islice(readable, _RANGES + _HELD))
    stream.close()
    if not squares:
        cure = "put the data back where the run found them (data_root in run.json)"
        raise DataError("export.no-images", f"none of {len(rows):,} training images can be read", cure)
    held = max(1, min(_HELD, len(squares) // 4))
    yield StageEnded("Reading", count_of(len(squares), "training image"), time.monotonic() - start)
    first = squares[: len(squares) - held] or squares
    return Subject(bench.network, np.stack(first), np.stack(squares[-held:]))


def _compare(bench: _Bench, subject: Subject, wish: Wish) -> Generator[Event, None, tuple[VersionsRecord, str]]:
    """Return the table of versions, and the name of the one to be written."""
    wanted = find_versions(wish.versions)
    is_asked = bool(wish.versions)
    yield from _make(bench, subject, [one for one in wanted if is_asked or not one.is_second])
    yield from _answer(bench)
    costs = {name: _judge(bench, name, wish.max_loss) for name in bench.bodies}
    later = [one for one in wanted if one.is_second and one.name not in bench.bodies and not is_asked]
    if later and "int8" in costs and not costs["int8"].is_within:
        yield from _make(bench, subject, later)
        yield from _answer(bench)
        costs = {name: _judge(bench, name, wish.max_loss) for name in bench.bodies}
    yield StageStarted("Timing", f"{listed(list(bench.classifiers), 6)}, in turns")
    start = time.monotonic()
    speeds = time_classifiers(bench.classifiers, subject.squares)
    yield StageEnded("Timing", "images alone, and in batches of 32", time.monotonic() - start)
    right = (bench.answers[ORIGINAL].argmax(1) == bench.labels).mean()
    rows = [_row(bench, ORIGINAL, speeds, float(right))]
    for name, cost in costs.items():
        found = cost.comparison
        row = _row(bench, name, speeds, float((bench.answers[name].argmax(1) == bench.labels).mean()))
        if found is not None:
            change = found.metrics["accuracy"]
            row = replace(row, difference=change.difference, low=change.low, high=change.high)
            row = replace(row, corrected=found.corrected, newly_wrong=found.newly_wrong, changed=cost.changed)
        rows.append(replace(row, is_within=cost.is_within, verdict=cost.verdict))
    chosen, reason = choose_version(rows)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = VersionsRecord(
        made=now,
        classifier=bench.classifiers[ORIGINAL].digest,
        processor=cpu_name(),
        threads=usable_threads(),
        images=len(bench.labels),
        max_loss=wish.max_loss,
        rows=tuple(rows),
        chosen=chosen,
        reason=reason,
    )
    return record, chosen


def _make(bench: _Bench, subject: Subject, versions: Sequence[Version]) -> Generator[Event, None, None]:
    """Make versions and open them; one that can't be made is a warning."""
    bundle = bench.classifiers[ORIGINAL].bundle
    for version in versions:
        yield StageStarted("Making", version.name)
        start = time.monotonic()
        try:
            made = yield from version.make(subject)
        except ExportMismatch as error:
            yield Warned(error.code, f"no {version.name}: {error.message}", error.cure)
            continue
        if made is None:
            why = f"no {version.name}: no layer suffers more than others"
            yield StageEnded("Making", why, time.monotonic() - start)
            continue
        data = build_version(replace(bench.network, body=made.body), None, bundle)
        bench.classifiers[version.name] = Classifier.open(data)
        bench.bodies[version.name], bench.words[version.name] = made.body, made.words
        bench.sizes[version.name] = len(data)
        yield StageEnded("Making", f"{version.name}: {made.words}", time.monotonic() - start)


def _answer(bench: _Bench) -> Generator[Event, None, None]:
    """Let all classifiers that have not answered yet predict the validation images."""
    rows = bench.split.rows("val")
    if len(rows) > _MOST_VALIDATION:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_VALIDATION).astype(np.intp)]
        yield Noted(f"Versions are compared on {len(rows):,} validation images, drawn evenly.")
    waiting = {name: one for name, one in bench.classifiers.items() if name not in bench.answers}
    yield StageStarted("Comparing", f"{listed(list(waiting), 6)} on {count_of(len(rows), 'validation image')}")
    start = time.monotonic()
    stream = bench.classifiers[ORIGINAL].squares(contents_of(bench.samples, rows))
    parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in waiting}
    used: list[int] = []
    for first in range(0, len(rows), _CHUNK):
        seen = list(islice(stream, _CHUNK))
        good = [place for place, square in enumerate(seen) if not isinstance(square, UnreadableImage)]
        used += [int(rows[first + place]) for place in good]
        for name, classifier in waiting.items():
            parts[name].append(classifier.answer([seen[place] for place in good]).probabilities)
        yield Progressed(min(first + _CHUNK, len(rows)), len(rows), "images")
    if len(used) < 2:
        cure = "put the data back where the run found them (data_root in run.json)"
        raise DataError("export.no-images", f"{len(used)} of {len(rows):,} validation images can be read", cure)
    bench.answers.update({name: np.concatenate(part) for name, part in parts.items()})
    kept = np.array(used, np.intp)
    bench.labels, bench.units = bench.samples.labels[kept], number_units(bench.samples, kept)
    yield StageEnded("Comparing", count_of(len(used), "validation image"), time.monotonic() - start)


def _judge(bench: _Bench, name: str, max_loss: float) -> Cost:
    classes = bench.samples.classes
    return judge_version(bench.labels, bench.answers[ORIGINAL], bench.answers[name], classes, max_loss, bench.units)


def _row(bench: _Bench, name: str, speeds: dict[str, tuple[float, float]], accuracy: float) -> VersionRow:
    """Return the row of a version that costs nothing."""
    alone, together = speeds[name]
    size, words = bench.sizes[name], bench.words[name]
    return VersionRow(name, words, size, alone, together, accuracy, 0.0, 0.0, 0.0, 0, 0, 0, True, "")
