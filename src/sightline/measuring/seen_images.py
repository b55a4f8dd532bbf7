"""Which of the images to be measured the training has seen: as the same file, nearly the same image, or a version."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightline.data.duplicates import find_duplicates
from sightline.data.inspect import inspect_samples
from sightline.data.samples import Samples
from sightline.data.split import find_twins
from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.pixels.modes import Range
from sightline.reading.progress import compared, counted
from sightline.reading.versions import find_versions
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.text import count_of

__all__ = ["Seen", "find_seen"]

_MOST = 20_000  # training images that images are compared with: more take many minutes, for each set that is measured


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a training has seen of images.

    Attributes:
        samples: the images, compared with each other.
        exact: ``[N] bool``, of the images to measure: the same file was used in training.
        alike: ``[N] bool``: another file of it was, a near-duplicate or a version of the same original.
    """

    samples: Samples
    exact: npt.NDArray[np.bool_]
    alike: npt.NDArray[np.bool_]


def find_seen(
    samples: Samples, rows: npt.NDArray[np.intp], run: Run | None, value_range: Range | None
) -> Generator[Event, None, Seen]:
    """Compare images with those that trained a run's network or chose its epoch, and say what was found.

    Args:
        samples: inspected.
        rows: positions of the images to measure.
        run: that trained the classifier; None where it is not known: images are compared with each other alone.
        value_range: (low, high) of 16-bit, 32-bit and float images.
    """
    known = run.trained_digests() if run else set()
    exact = np.array([digest in known for digest in samples.digests[rows]], bool)
    trained = None if run is None else (yield from _trained(run, value_range))
    joint = samples if trained is None else _join(samples, trained)
    among = "each other" if trained is None else "each other and the training images"
    yield StageStarted("Comparing", f"with {among}: copies that differ as files")
    start = time.monotonic()
    joint = yield from compared(find_duplicates(joint, value_range=value_range))
    yield StageEnded("Comparing", f"{count_of(len(joint.near), 'pair')} of near-duplicates", time.monotonic() - start)
    joint = yield from find_versions(joint, value_range=value_range)
    parts = np.full(len(joint), "train", object)
    parts[: len(samples)] = ""
    parts[rows] = "test"
    alike = np.isin(rows, list(find_twins(joint, parts, "test"))) & ~exact
    if run is None:
        yield Noted("Whether the classifier was trained on some of these images is not known: it is not in its run.")
    else:
        yield from _say(int(exact.sum()), int(alike.sum()), len(rows))
    return Seen(joint.take(np.arange(len(samples))), exact, alike)


def _trained(run: Run, value_range: Range | None) -> Generator[Event, None, Samples | None]:
    """Return the images of the training that are what they were, inspected; None where there are none. Both is said."""
    known, split = read_dataset(run)
    known = known.take(np.flatnonzero(np.isin(split.parts, ("train", "val"))))
    only = "only identical files are found among the measured images, not near-duplicates and versions"
    if len(known) > _MOST:
        yield Noted(f"The {len(known):,} training images are too many to be compared with: {only}.")
        return None
    read = yield from counted(inspect_samples(known, value_range=value_range), len(known))
    same = np.flatnonzero(read.is_ok & (read.digests == known.digests))
    if len(same) < len(known):
        what = "are not where they were, or have changed"
        yield Noted(f"{len(known) - len(same):,} of {len(known):,} training images {what}: of these, {only}.")
    return read.take(same) if len(same) else None


def _join(samples: Samples, trained: Samples) -> Samples:
    """Return one table of both, first the images to measure."""
    classes = tuple(sorted({*samples.classes, *trained.classes}))
    labels = [np.array([classes.index(name) for name in one.classes])[one.labels] for one in (samples, trained)]
    paths = [samples.paths, np.array([str(trained.root / str(path)) for path in trained.paths], object)]
    empty = np.full(len(trained), "", object)
    return replace(
        samples,
        classes=classes,
        paths=np.concatenate(paths),
        labels=np.concatenate(labels),
        given=np.concatenate([samples.given, trained.given]),
        groups=np.concatenate([samples.groups, empty]),
        units=np.concatenate([samples.units, empty]),
        digests=np.concatenate([samples.digests, trained.digests]),
        facts=np.concatenate([samples.facts, trained.facts]),
        extra={name: np.concatenate([column, empty]) for name, column in samples.extra.items()},
    )


def _say(exact: int, alike: int, count: int) -> Generator[Event, None, None]:
    """Say how many images the training has seen, and that the metrics leave them out."""
    if not exact and not alike:
        yield Noted("No image of these, and no near-duplicate or version of one, was found among the training images.")
        return
    found = [f"{exact:,} were used in training"] if exact else []
    found += [f"{alike:,} are near-duplicates or versions of training images"] if alike else []
    message = f"of {count:,} images, {' and '.join(found)}; the metrics leave them out"
    yield Warned("evaluation.leak", message, "give images that were not used in training")
