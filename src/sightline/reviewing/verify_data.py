"""Whether a run's images and labels are what they were, and its classifier still answers as it did."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.choices import FindingChoices
from sightline.data.fixes import read_fixes
from sightline.data.hub import is_set
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.errors import SightlineError
from sightline.events import Event, Progressed
from sightline.machine import usable_threads
from sightline.pixels.containers import place_of
from sightline.pixels.stream import decoding_threads
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.measured import read_measured
from sightline.runs.moved import digest_of
from sightline.runs.verification import Checked, Difference
from sightline.runtime.classifier import Classifier
from sightline.text import count_of

__all__ = ["check_answers", "check_images", "check_labels"]

_CHUNK = 256
_ANSWERS = 16  # images that are predicted again
_APART = 1e-3
_GONE = "nothing readable"


def check_images(run: Run) -> Generator[Event, None, tuple[Checked, frozenset[str]]]:
    """Read every image of a run again and compare its sha256; returns the outcome, and the paths that are gone."""
    samples, _ = read_dataset(run)
    root, count = samples.root, len(samples)
    differences: list[Difference] = []
    gone: set[str] = set()
    if not root.is_dir():
        missing = Difference(str(root), "folder of the data", count_of(count, "image"), "no such folder")
        return Checked("images", "", (missing,)), frozenset(map(str, samples.paths))
    with decoding_threads(usable_threads(), "verify") as pool:
        for start in range(0, count, _CHUNK):
            paths = [str(path) for path in samples.paths[start : start + _CHUNK]]
            found = pool.map(digest_of, [place_of(root, path) for path in paths])
            for path, recorded, (digest, reason) in zip(paths, samples.digests[start:], found, strict=False):
                if digest == recorded:
                    continue
                if not digest:
                    gone.add(path)
                then = f"sha256 {recorded}" if recorded else _GONE
                now = f"sha256 {digest}" if digest else reason
                differences.append(Difference(path, "content", then, now))
            yield Progressed(start + len(paths), count, "images")
    return Checked("images", f"sha256 of {count_of(count, 'image')}", tuple(differences)), frozenset(gone)


def check_labels(run: Run, gone: frozenset[str]) -> Checked:
    """Compare labels and given parts with what the source says now, where it can be listed again.

    Args:
        run: to be verified.
        gone: paths whose files are gone; those that lie elsewhere now are found by their content.
    """
    samples = _read_again(run)
    if isinstance(samples, str):
        return Checked("labels", "", (), (f"labels of the source: {samples}",))
    fixed = run.split_file.with_name("fixes.csv")
    relabelled = {fix.path for fix in read_fixes(fixed) if fix.action == "relabel"} if fixed.is_file() else set()
    now = {
        str(path): (samples.classes[label], str(given))
        for path, label, given in zip(samples.paths, samples.labels, samples.given, strict=True)
    }
    then_samples, _ = read_dataset(run)
    moved = _moved(then_samples, gone, now, samples)
    differences = []
    for row, path in enumerate(map(str, then_samples.paths)):
        then = then_samples.classes[then_samples.labels[row]], str(then_samples.given[row])
        if path in gone and path not in moved:
            continue  # said already
        place = moved.get(path, path)
        if place not in now:
            differences.append(Difference(path, "label", repr(then[0]), "no longer in the data"))
            continue
        label, given = now[place]
        where = f" (now {place})" if place != path else ""
        if label != then[0] and path not in relabelled:
            differences.append(Difference(path, "label", repr(then[0]), f"{label!r}{where}"))
        if given != then[1]:
            differences.append(Difference(path, "given part", repr(then[1]), f"{given!r}{where}"))
    known = {*map(str, then_samples.paths), *moved.values()}
    new = len(set(now) - known)
    words = f"labels of {count_of(len(then_samples), 'image')} in {samples.source}"
    return Checked("labels", f"{words}; {new:,} there are not of this run" if new else words, tuple(differences))


def check_answers(run: Run) -> Checked:
    """Let the classifier predict a few measured images again, and compare with the recorded probabilities.

    So weights that were exchanged are found in runs without recorded hashes too. Other processors and versions add
    numbers in another order: probabilities may differ by 0.001.
    """
    measured, root = read_measured(run), Path(run.facts["data_root"])
    readable = np.flatnonzero(measured.is_ok)
    rows = readable[np.linspace(0, len(readable) - 1, min(len(readable), _ANSWERS)).astype(int)]
    paths = [measured.paths[row] for row in rows]
    same = [
        place for place, path in enumerate(paths) if digest_of(place_of(root, path))[0] == measured.digests[rows[place]]
    ]
    if not same:
        return Checked("answers", "", (), ("answers of model.onnx: none of the measured images is as it was",))
    recorded = measured.probabilities[rows[same]]
    said = Classifier.open(run.model_file).predict([place_of(root, paths[place]) for place in same])
    apart = np.abs(said.probabilities - recorded).max(1)
    novelty = measured.novelty[rows[same]]
    is_new = np.abs(said.novelty - novelty) > _APART + 0.01 * novelty  # false for NaN: nothing was recorded
    differences = [
        Difference(
            "classifier/model.onnx",
            f"answer to {paths[place]}",
            _answer(measured.classes, one),
            _answer(said.classes, two),
        )
        for place, one, two, difference in zip(same, recorded, said.probabilities, apart, strict=True)
        if not difference <= _APART
    ]
    differences += [
        Difference(
            "classifier/model.onnx", f"novelty of {paths[same[k]]}", f"{novelty[k]:.4f}", f"{said.novelty[k]:.4f}"
        )
        for k in np.flatnonzero(is_new)
    ]
    return Checked("answers", f"{count_of(len(same), 'measured image')} predicted again", tuple(differences))


def _answer(classes: Sequence[str], probabilities: npt.NDArray[np.float32]) -> str:
    if not np.isfinite(probabilities).all():
        return "nothing"
    best = int(probabilities.argmax())
    return f"{classes[best]!r} with {probabilities[best]:.4f}"


def _read_again(run: Run) -> Samples | str:
    """Return what the source holds now, or why that can't be told."""
    typed, root = str(run.facts["data"]), Path(run.facts["data_root"])
    source = _find_source(typed, root, Path(run.recorded_facts["data_root"]))
    if source is None:
        return f"{typed} can't be found again from {root}"
    try:
        settings = run.plan.settings
        finding = FindingChoices(settings.layout, settings.skip, settings.resplit, settings.follow_links)
        samples = read_samples(source, strict=False, choices=finding)
    except SightlineError as error:
        return error.message
    return samples if samples.root.resolve() == root else f"{typed} lies elsewhere now"


def _find_source(typed: str, root: Path, then: Path) -> str | Path | None:
    """Return what was trained on: a named set, the root where that was a folder, or a file in it.

    The folder may have another name now than ``then``, its place when it was trained on.
    """
    name = Path(typed).name
    if is_set(typed):
        return typed
    was_folder = name in ("", "..", then.name, root.name) or Path(typed).resolve() in (then, root)
    if root.is_dir() and was_folder:
        return root
    return root / name if name and (root / name).is_file() else None


def _moved(then: Samples, gone: frozenset[str], now: dict[str, tuple[str, str]], samples: Samples) -> dict[str, str]:
    """Return path then -> path now, of images whose file is gone and whose content is among the new ones."""
    if not gone:
        return {}
    known = {*map(str, then.paths)}
    contents = {digest_of(place_of(samples.root, path))[0]: path for path in now if path not in known}
    return {
        str(path): contents[digest]
        for path, digest in zip(then.paths, then.digests, strict=True)
        if path in gone and digest and digest in contents
    }
