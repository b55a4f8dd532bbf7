"""Finished runs side by side: the same test images found by their content, then compared image by image."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import InputError, RunError
from sightline.evaluation.compare import LEVEL, ChangedImage, Comparison, compare_several
from sightline.evaluation.intervals import Interval, join_units
from sightline.evaluation.slices import compare_shares, has_units
from sightline.events import Event, StageEnded, StageStarted
from sightline.runs.folder import Run
from sightline.runs.measured import Measured, read_measured
from sightline.runs.unchanged import refuse_changed
from sightline.text import count_of, listed, p_value

__all__ = ["Compared", "compare_runs"]

_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Several runs, and each compared with the first on the images that all of them measured.

    Attributes:
        runs: the first is what the others are compared with.
        names: of them, no two alike.
        classes: names.
        paths: ``N`` images, as the first run names them; those that are compared.
        labels: ``[N] int64``, positions in ``classes``.
        probabilities: ``[N, K]`` of each run, columns in the order of ``classes``.
        count_leaked: images left out because the training of a run saw them.
        count_bad: images left out because a run could not read them.
        count_groups: groups and sets of copies that two or more of the images are in.
        notes: what should be known of the images, in words.
        pairs: one comparison a further run.

    Example:
        ``sightline.compare("runs/a", "runs/b").pairs[0].p``
    """

    runs: tuple[Run, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probabilities: tuple[npt.NDArray[np.float32], ...]
    count_leaked: int
    count_bad: int
    count_groups: int
    notes: tuple[str, ...]
    pairs: tuple[Comparison, ...]

    def __repr__(self) -> str:
        return f"Compared({', '.join(self.names)}; {' '.join(self.verdicts())})"

    def verdicts(self) -> list[str]:
        """Return one sentence a pair: which is better, or that the difference is not significant."""
        return [pair.verdict(self.names[0], name) for pair, name in zip(self.pairs, self.names[1:], strict=True)]

    def images(self) -> str:
        """Return in words which images were compared, and which were left out."""
        counted = count_of(self.count_groups, "group")
        groups = f" ({counted} of images that belong together or are copies: each counts once)"
        text = f"{count_of(len(self.paths), 'image')}{groups if self.count_groups else ''}, the same for all runs"
        if self.count_leaked:
            text += f"; {self.count_leaked:,} more left out: a run was trained on them"
        if self.count_bad:
            text += f"; {self.count_bad:,} more left out: a run could not read them"
        return text

    def rows(self, pair: int) -> dict[str, list[ChangedImage]]:
        """Return the images of a pair that the second run ``corrected`` and the ``newly_wrong``, by size of change."""
        said = self.probabilities[0], self.probabilities[pair + 1]
        change = [array[np.arange(len(self.labels)), self.labels] for array in said]
        size = np.abs(change[1] - change[0])
        both = {"corrected": self.pairs[pair].corrected_rows, "newly_wrong": self.pairs[pair].newly_wrong_rows}
        return {
            name: [
                ChangedImage(
                    path=self.paths[row],
                    label=self.classes[self.labels[row]],
                    first=self.classes[int(said[0][row].argmax())],
                    first_confidence=float(said[0][row].max()),
                    second=self.classes[int(said[1][row].argmax())],
                    second_confidence=float(said[1][row].max()),
                )
                for row in sorted(rows, key=lambda row: -size[row])
            ]
            for name, rows in both.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values; images by their paths."""
        pairs = []
        for place, (pair, verdict) in enumerate(zip(self.pairs, self.verdicts(), strict=True)):
            fields = {name: value for name, value in pair.to_dict().items() if not name.endswith("_rows")}
            images = {f"images_{name}": [row.to_dict() for row in rows] for name, rows in self.rows(place).items()}
            pairs.append({"run": str(self.runs[place + 1].folder), "verdict": verdict, **fields, **images})
        return {
            "schema_version": 2,
            "reference": str(self.runs[0].folder),
            "count": len(self.paths),
            "count_leaked": self.count_leaked,
            "count_bad": self.count_bad,
            "count_groups": self.count_groups,
            "notes": list(self.notes),
            "pairs": pairs,
        }


def compare_runs(runs: Sequence[Run]) -> Generator[Event, None, Compared]:
    """Compare the second, third ... run with the first, on the same images.

    Images are matched by content: where they lie, and what they are called, does not matter. Classes are matched by
    name. What the training of any of the runs saw, or any of them could not read, is left out.

    Raises:
        InputError: for fewer than two runs, or one that is named twice.
        RunError: if a run was not evaluated or measures a recipe over several trainings, or if images, their labels
            or the classes differ.
    """
    if len(runs) < 2:
        raise InputError("compare.few", "one run can't be compared with itself", "name two runs or more")
    _refuse_twins(runs)
    for run in runs:
        _refuse_repeated(run)
    start = time.monotonic()
    yield StageStarted("Comparing", f"{len(runs)} runs")
    for run in runs:
        refuse_changed(run, run.predictions_file, run.probabilities_file, run.metrics_file, run.samples_file)
    measured = [read_measured(run) for run in runs]
    first, classes = measured[0], measured[0].classes
    orders = [np.arange(len(first))]
    for run, other in zip(runs[1:], measured[1:], strict=True):
        _refuse_other_classes(runs[0], classes, run, other.classes)
        orders.append(_same_images(runs[0], first, run, other))
    compared = _compare(runs, measured, orders)
    yield StageEnded("Comparing", count_of(len(compared.paths), "image"), time.monotonic() - start)
    return compared


def _compare(runs: Sequence[Run], measured: Sequence[Measured], orders: Sequence[npt.NDArray[np.intp]]) -> Compared:
    """Compare runs whose images stand in ``orders``; the first one's order and its order of classes count."""
    first, classes = measured[0], measured[0].classes
    leaked = np.logical_or.reduce([one.leaked[order] for one, order in zip(measured, orders, strict=True)])
    bad = np.logical_or.reduce([~one.is_ok[order] for one, order in zip(measured, orders, strict=True)])
    kept = np.flatnonzero(~leaked & ~bad)
    if not len(kept):
        message = (
            f"of {len(first):,} images, {leaked.sum():,} were trained on and {(bad & ~leaked).sum():,} can't be read"
        )
        raise RunError("compare.no-images", message, "compare runs that have test images of their own")
    probabilities = tuple(
        one.probabilities[order[kept]][:, [one.classes.index(name) for name in classes]]
        for one, order in zip(measured, orders, strict=True)
    )
    units = [None if one.units is None else one.units[order[kept]] for one, order in zip(measured, orders, strict=True)]
    grouped = join_units(*units)  # what one run knows of groups holds for the other too
    labels = first.labels[kept]
    return Compared(
        runs=tuple(runs),
        names=_names(runs),
        classes=classes,
        paths=tuple(first.paths[row] for row in kept),
        labels=labels,
        probabilities=probabilities,
        count_leaked=int(leaked.sum()),
        count_bad=int((bad & ~leaked).sum()),
        count_groups=0 if grouped is None else int((np.bincount(grouped) > 1).sum()),
        notes=tuple(_notes(runs)),
        pairs=tuple(compare_several(labels, probabilities, classes, groups=grouped)),
    )


def _refuse_twins(runs: Sequence[Run]) -> None:
    seen: set[Path] = set()
    for run in runs:
        folder = run.folder.resolve()
        if folder in seen:
            message = f"{run.folder} is named twice, and a run does not differ from itself"
            raise InputError("compare.same", message, "name another run beside it; sightline runs lists them")
        seen.add(folder)


def _refuse_repeated(run: Run) -> None:
    if run.is_repeated:
        facts = run.facts
        message = f"{run.folder} measures a recipe over {facts['times']} {facts['kind']}: it holds several classifiers"
        one = shlex.quote(f"{run.folder}/{str(facts['kind']).removesuffix('s')}-1")
        raise RunError("compare.repeated", message, f"name one of the trainings in it, for example {one}")


def _refuse_other_classes(first: Run, classes: tuple[str, ...], run: Run, others: tuple[str, ...]) -> None:
    gone, new = (sorted(set(one) - set(two)) for one, two in ((classes, others), (others, classes)))
    if gone or new:
        told = [
            f"{listed(list(map(repr, names)), _SHOWN)} only in {where.folder}"
            for names, where in ((gone, first), (new, run))
            if names
        ]
        cure = "compare runs of the same classes; train again where one was renamed"
        raise RunError("compare.other-classes", f"the classes differ: {'; '.join(told)}", cure)


def _same_images(first: Run, one: Measured, run: Run, other: Measured) -> npt.NDArray[np.intp]:
    """Return ``[N]``: which row of ``other`` shows the image of each row of ``one``.

    Raises:
        RunError: if they are not the same images with the same labels.
    """
    wanted, found = _keys(one), _keys(other)
    row_of = {key: row for row, key in enumerate(found)}
    if len(wanted) == len(found) and all(key in row_of for key in wanted):
        return np.array([row_of[key] for key in wanted], np.intp)
    gone, new = set(wanted) - set(found), set(found) - set(wanted)
    here, there = (
        {key: path for key, path in zip(keys, which.paths, strict=True) if key in left}
        for keys, which, left in ((wanted, one, gone), (found, other, new))
    )
    label_there = {content: label for content, label, _ in there}
    told = [
        f"{path} is {key[1]!r}, then {label_there[key[0]]!r}" for key, path in here.items() if key[0] in label_there
    ]
    contents = {key[0] for key in here} & set(label_there)
    only = [
        ([path for key, path in rows.items() if key[0] not in contents], where.folder)
        for rows, where in ((here, first), (there, run))
    ]
    parts = [f"{count_of(len(told), 'image')} with another label ({listed(told, _SHOWN)})"] if told else []
    parts += [
        f"{count_of(len(paths), 'image')} only in {folder} ({listed(paths, _SHOWN)})" for paths, folder in only if paths
    ]
    message = f"{run.folder} was not measured on the images of {first.folder}: {'; '.join(parts)}"
    raise RunError("compare.other-images", f"{message}. {_unpaired(first, one, run, other)}", _how_to_pair(first, run))


def _unpaired(first: Run, one: Measured, run: Run, other: Measured) -> str:
    """Return in words what can be said of two runs whose test images differ."""
    hits = [each.correct[each.used] for each in (one, other)]
    if not all(map(len, hits)):
        return "Nothing can be said without pairs: one of them measured no image"
    units = [
        np.arange(len(own)) if each.used_units is None else np.unique(each.used_units, return_inverse=True)[1]
        for own, each in zip(hits, (one, other), strict=True)
    ]
    joined = np.concatenate([units[0], units[1] + len(units[0])]).astype(np.int64)
    is_grouped = one.used_units is not None or other.used_units is not None
    is_second = np.repeat([False, True], [len(own) for own in hits])
    shares = [Interval(**each.metrics["accuracy"]) for each in (first, run)]
    words = f"Each on its own images: {first.folder.name} {shares[0]}, {run.folder.name} {shares[1]}"
    units_of_both = joined if is_grouped else None
    if not has_units(is_second, units_of_both):
        return f"{words}; their images are of too few groups to compare the two"
    p, low, high = compare_shares(np.concatenate(hits), is_second, units_of_both)
    gap = 100 * (shares[1].value - shares[0].value)
    chance = "more than chance" if p < LEVEL else "can be chance"
    return (
        f"{words}; the difference of {gap:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}, {p_value(p)}) {chance}, "
        "and is one of the runs, of their test images, or of both"
    )


def _how_to_pair(first: Run, run: Run) -> str:
    """Return how runs are measured on the same images: one seed draws one split of the same images alone."""
    if first.facts.get("data_fingerprint") == run.facts.get("data_fingerprint"):
        one_seed = "sightline train DATA --set split_seed=NUMBER"
        return f"train both on the same split: give data that have a test part, or one seed: {one_seed}"
    then, now = _given(first), _given(run)
    if then.keys() == now.keys() and then != now:
        return (
            "the groups differ, and they decide which images are for the test: train both with the same ones and one "
            "seed: sightline train DATA --group RULE --set split_seed=NUMBER"
        )
    return (
        "the data differ, or the split that came with them, so that one seed draws other test images: give both the "
        "same test part (a folder test/, or a table with a column split), and change the training images alone"
    )


def _given(run: Run) -> dict[tuple[str, ...], list[str]]:
    """Return the groups of the images that a run was given, by content, label and given part."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in run.samples:
        key = tuple(str(row.get(name, "")) for name in ("sha256", "label", "given_split"))
        found.setdefault(key, []).append(str(row.get("group", "")))
    return {key: sorted(groups) for key, groups in found.items()}


def _keys(measured: Measured) -> list[tuple[Hashable, str, int]]:
    """Return (content, label, which of that content and label) of each image; a file without content is its path."""
    seen = Counter[tuple[str, str]]()
    keys: list[tuple[Hashable, str, int]] = []
    for path, digest, label in zip(measured.paths, measured.digests, measured.labels.tolist(), strict=True):
        key = (str(digest) or f"file {path}", measured.classes[label])
        keys.append((*key, seen[key]))
        seen[key] += 1
    return keys


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the folders' own names, or their whole paths where two are alike."""
    names = tuple(run.folder.resolve().name for run in runs)
    return names if len(set(names)) == len(names) else tuple(str(run.folder) for run in runs)


def _notes(runs: Sequence[Run]) -> Generator[str, None, None]:
    chosen = [run.folder.name for run in runs if run.metrics.get("part") == "val"]
    if chosen:
        yield f"The images chose the epoch of {', '.join(chosen)}: that favours it. Keep a test part for a fair answer."
