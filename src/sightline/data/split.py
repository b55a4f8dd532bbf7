"""The split into train, val and test: seeded, stratified, and safe against leaks.

Images that must stay together (a group, copies and versions of one image) are one unit, and a unit stays on one side.
The rules are those of the table in ``docs/data.md``; the rule that was applied is part of the result.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.joining import join_pairs
from sightline.data.samples import PARTS, Samples
from sightline.errors import DataError, InputError
from sightline.text import count_of

__all__ = [
    "HALVED_FROM",
    "MIN_CLASS_SIZE",
    "Split",
    "calibration_rows",
    "check_shares",
    "default_shares",
    "draw_parts",
    "find_leaked",
    "find_torn",
    "find_twins",
    "find_units",
    "keep_share",
    "make_split",
    "make_split_of_nothing",
    "selection_rows",
    "with_seen",
]

# All images of a smaller class are used for training, and that is reported: none can be spared for evaluation.
MIN_CLASS_SIZE = 5
_MOST_TWINS = 20
_VAL_SHARE, _MOST_VAL = 0.15, 5_000  # more would add little: these give an accuracy to within a point
_TEST_SHARE, _MOST_TEST = 0.15, 10_000
HALVED_FROM = 1_000  # validation images from which on one half chooses the epoch and the other calibrates


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Sample -> part, and how that was decided.

    Attributes:
        parts: ``[N] str``: ``train``, ``val``, ``test``, or an empty string for images that ``train_share`` leaves
            out, or that can't be read (those of a given test set stay in it and count as errors there).
        seed: seed of the draw.
        rule: the rule in one sentence.
        notes: what else the user should know.
        headline: part on which the headline metric is measured: ``test``, or ``val`` without a test set.
        leaked: ``[N] bool``: images of the measured part with a copy, a near-duplicate or a version among the images
            that trained or chose the network (given splits, and networks that continue an earlier run).
    """

    parts: npt.NDArray[np.object_]
    seed: int
    rule: str
    notes: tuple[str, ...]
    headline: str
    leaked: npt.NDArray[np.bool_]

    def rows(self, part: str) -> npt.NDArray[np.intp]:
        """Return the positions of a part's samples, ascending."""
        return np.flatnonzero(self.parts == part)

    def columns(self) -> dict[str, list[Any]]:
        """Return part and leak of each image as lists, as in ``data/split.csv``."""
        return {"split": list(self.parts), "leaked": self.leaked.astype(int).tolist()}

    def without_test(self) -> Split:
        """Return the split for training: it does not say which images are in the test."""
        is_test = self.parts == "test"
        return replace(self, parts=np.where(is_test, "", self.parts).astype(object), leaked=self.leaked & ~is_test)

    def counts(self) -> dict[str, int]:
        """Return images per part."""
        return {part: int((self.parts == part).sum()) for part in PARTS}


def make_split(
    samples: Samples,
    *,
    seed: int = 0,
    val_share: float | None = None,
    test_share: float | None = None,
    select_on_val: bool = False,
) -> Split:
    """Split inspected samples.

    Args:
        samples: with ``digests``, so that copies of one file stay together.
        seed: the same seed and data give the same split, whatever the order of files.
        val_share: share of the images that selects the epoch; None for that of ``default_shares``.
        test_share: share that is evaluated in the end; None for that of ``default_shares``. With 0 there is no test
            set, and the metrics are those of validation. Ignored where a test set is given.
        select_on_val: with only ``train`` and ``val`` given, select on ``val`` instead of testing on it.

    Raises:
        InputError: if the shares are out of range.
        DataError: if no image is left for training or for validation.
    """
    check_shares(val_share, test_share)
    usual = default_shares(samples)
    val = usual[0] if val_share is None else val_share
    test = usual[1] if test_share is None else test_share
    parts = samples.given.copy()
    if any(parts):
        parts[parts == ""] = "train"  # a table may mark only the test images
    given = set(parts) - {""}
    if given == {"train", "val", "test"} or (given == {"train", "val"} and (select_on_val or test_share == 0)):
        rule = (
            "train, validation and test as given" if "test" in given else "train and validation as given; no test set"
        )
    elif given == {"train", "val"}:
        parts[parts == "val"] = "test"
        parts, rule = (
            draw_parts(samples, parts, {"val": val}, seed),
            (
                f"the given validation images become the test set; {_percent(val)} of train is drawn for validation "
                "(--select-on-val keeps them for validation)"
            ),
        )
    elif given == {"train", "test"}:
        parts, rule = (
            draw_parts(samples, parts, {"val": val}, seed),
            f"test as given; {_percent(val)} of train is drawn for validation",
        )
    else:
        parts[:] = "train"
        shares = {"val": val, "test": test}
        parts = draw_parts(samples, parts, shares, seed)
        three = " / ".join(_percent(share) for share in (1 - val - test, val, test))
        rule = f"{three} for train, validation and test, stratified by class"
    parts[~samples.is_ok & (parts != "test")] = ""  # a test image that can't be read is counted as such
    notes = _notes(samples, parts)
    if "test" in given and test_share:
        notes += (f"--test {test_share:g} is ignored: a test set is given",)
    if given >= {"val", "test"} and val_share:
        notes += (f"--val {val_share:g} is ignored: a validation set is given",)
    headline = "test" if (parts == "test").any() else "val"
    split = Split(parts, seed, rule, notes, headline, find_leaked(samples, parts, headline))
    _refuse_empty(split, samples)
    return split


def default_shares(samples: Samples) -> tuple[float, float]:
    """Return the shares drawn for validation and test by default: 15 % each, less for many images."""
    count = max(1, int(((samples.given == "") | (samples.given == "train")).sum()))
    return round(min(_VAL_SHARE, _MOST_VAL / count), 4), round(min(_TEST_SHARE, _MOST_TEST / count), 4)


def selection_rows(split: Split, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the validation images that choose the epoch: every other one of a class from 1,000 on, else all.

    Args:
        split: of all samples.
        labels: ``[N]`` of all samples.
    """
    return _halves(split, labels)[0]


def calibration_rows(split: Split, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the validation images for temperature and thresholds: those that did not choose the epoch if there are
    1,000 or more, else all, which are then cross-fitted. Arguments as for ``selection_rows``."""
    return _halves(split, labels)[1]


def _halves(split: Split, labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    rows = split.rows("val")
    if len(rows) < HALVED_FROM:
        return rows, rows
    by_class = rows[np.argsort(labels[rows], kind="stable")]
    return np.sort(by_class[::2]), np.sort(by_class[1::2])


def make_split_of_nothing(samples: Samples) -> Split:
    """Return a split without any images, for data that can't be split."""
    empty = np.full(len(samples), "", object)
    return Split(empty, 0, "no split", (), "test", np.zeros(len(samples), bool))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def check_shares(val: float | None, test: float | None) -> None:
    """Raise ``InputError`` for shares that leave no training or validation images; None is the default share."""
    for name, share in (("--val", val), ("--test", test)):
        if share is not None and not 0 <= share < 1:
            raise InputError(
                "split.share", f"{name} {share} must be at least 0 and less than 1", f"give, for example, {name} 0.2"
            )
    if val == 0:
        raise InputError(
            "split.share", "--val 0 is not possible: the best epoch is chosen on validation images", "give --val 0.1"
        )
    val, test = _VAL_SHARE if val is None else val, _TEST_SHARE if test is None else test
    if val + test >= 1:
        message = f"--val {val:g} and --test {test:g} leave no images for training"
        raise InputError("split.share", message, "give smaller shares")


def find_units(samples: Samples, rows: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Return arrays of positions that must stay together, as a group, copies, near-duplicates or versions."""
    if not len(rows):
        return []
    ends = [np.empty((2, 0), np.intp)]
    for keys in (samples.groups[rows], samples.digests[rows], samples.units[rows]):
        known = np.flatnonzero(keys != "")
        _, first, which = np.unique(keys[known].astype(str), return_index=True, return_inverse=True)
        ends.append(np.stack([known, known[first[which]]]))
    # A pair names one copy of each content; the others follow their content.
    some = {digest: place for place, digest in enumerate(samples.digests[rows])}
    pairs = [pair for pair in samples.digests[samples.alike].tolist() if pair[0] in some and pair[1] in some]
    ends.append(np.array([[some[digest] for digest in pair] for pair in pairs], np.intp).reshape(-1, 2).T)
    unit_of = join_pairs(np.concatenate(ends, 1).T, len(rows))
    places = np.argsort(unit_of, kind="stable")
    return np.split(rows[places], np.cumsum(np.bincount(unit_of))[:-1])


def draw_parts(
    samples: Samples, parts: npt.NDArray[np.object_], shares: dict[str, float], seed: int
) -> npt.NDArray[np.object_]:
    """Move shares of ``train`` to other parts, class by class, whole units only.

    The rounding error of one class is carried to the next, so that hundreds of small classes still give the
    share asked for. Units are put in an order that depends on content alone, then shuffled by the seed.
    """
    parts = parts.copy()
    rows = np.flatnonzero((parts == "train") & samples.is_ok)
    random = np.random.default_rng(seed)
    by_class: dict[int, list[npt.NDArray[np.intp]]] = {}
    for unit in find_units(samples, rows):
        counts = np.bincount(samples.labels[unit])
        by_class.setdefault(int(counts.argmax()), []).append(unit)
    carried = dict.fromkeys(shares, 0.0)
    for label in sorted(by_class):
        units = sorted(
            by_class[label], key=lambda unit: min((samples.digests[row], samples.paths[row]) for row in unit)
        )
        units = [units[position] for position in random.permutation(len(units))]
        total = sum(map(len, units))
        if total < MIN_CLASS_SIZE or len(units) <= len(shares):
            continue
        to_come = sum(share > 0 for share in shares.values())
        for part, share in shares.items():
            if not share:
                continue
            to_come -= 1
            carried[part] += share * total
            for unit in _take(units, max(1, round(carried[part])), leave=to_come + 1):
                parts[unit] = part
                carried[part] -= len(unit)
            carried[part] = min(0.5, max(-0.5, carried[part]))  # carry rounding errors only
    return parts


def _take(units: list[npt.NDArray[np.intp]], wanted: int, *, leave: int) -> list[npt.NDArray[np.intp]]:
    """Remove units with about ``wanted`` images in all from a list, each if it brings the sum closer to that.

    At least one unit is taken, and ``leave`` are left: one for each part still to be drawn, and one for training.
    """
    taken: list[npt.NDArray[np.intp]] = []
    missing = wanted
    for position in reversed(range(len(units))):
        if len(units) > leave and len(units[position]) <= 2 * missing:
            taken.append(units.pop(position))
            missing -= len(taken[-1])
    if not taken and len(units) > leave:
        taken.append(units.pop(min(range(len(units)), key=lambda position: len(units[position]))))
    return taken


def _notes(samples: Samples, parts: npt.NDArray[np.object_]) -> tuple[str, ...]:
    notes = []
    small = [
        name
        for label, name in enumerate(samples.classes)
        if not ((parts != "train") & (parts != "") & (samples.labels == label)).any()
    ]
    if small:
        shown = ", ".join(small[:5]) + (" ..." if len(small) > 5 else "")
        notes.append(f"{count_of(len(small), 'class')} too small to be evaluated, used for training only: {shown}")
    groups = set(samples.groups) - {""}
    torn = find_torn(samples.groups, parts)
    if torn:
        notes.append(f"the given split separates {count_of(len(torn), 'group')}")
    elif groups:
        notes.append(f"{len(groups):,} groups are kept together")
    return tuple(notes)


def find_torn(groups: npt.NDArray[np.object_], parts: npt.NDArray[np.object_]) -> list[str]:
    """Return the groups with images in several parts, sorted.

    Args:
        groups, parts: ``[N] str``, of each image; an empty string means no group or no part.
    """
    sides: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        if group and part:
            sides.setdefault(group, set()).add(part)
    return sorted(group for group, parts_of_it in sides.items() if len(parts_of_it) > 1)


def find_twins(
    samples: Samples, parts: npt.NDArray[np.object_], part: str, alike: npt.NDArray[np.intp] | None = None
) -> dict[int, list[int]]:
    """Return image of ``part`` -> images of earlier parts that show the same, exact copies first, at most 20.

    Args:
        samples: inspected.
        parts: ``[N] str``, the part of each image.
        part: the part to search.
        alike: ``[M, 2]`` pairs of positions that count beside exact copies; by default near-duplicates and versions.
    """
    earlier: dict[str, list[int]] = {}
    for row in np.flatnonzero(np.isin(parts, PARTS[: PARTS.index(part)]) & (samples.digests != "")):
        earlier.setdefault(samples.digests[row], []).append(int(row))
    pairs = samples.alike if alike is None else alike
    unit_of, partners = _units_of_contents(samples, pairs), _partners(samples, pairs)
    of_unit: dict[int, list[int]] = {}  # no more than are shown, however long a film is
    for digest, rows in earlier.items():
        of_unit.setdefault(unit_of.get(digest, -1), []).extend(rows[:_MOST_TWINS])
    twins = {}
    for row in np.flatnonzero(parts == part):
        digest = samples.digests[row]
        own = (twin for content in (digest, *partners.get(digest, ())) for twin in earlier.get(content, ()))
        further = of_unit.get(unit_of[digest], ()) if digest in unit_of else ()
        found = dict.fromkeys(islice(chain(own, further), 3 * _MOST_TWINS))
        if found:
            twins[int(row)] = list(found)[:_MOST_TWINS]
    return twins


def _partners(samples: Samples, pairs: npt.NDArray[np.intp]) -> dict[str, list[str]]:
    """Return digest -> digests of the contents that pairs name with it."""
    partners: dict[str, list[str]] = {}
    for one, other in samples.digests[pairs].tolist():
        partners.setdefault(one, []).append(other)
        partners.setdefault(other, []).append(one)
    return partners


def _units_of_contents(samples: Samples, pairs: npt.NDArray[np.intp]) -> dict[str, int]:
    """Return digest -> number of the unit that pairs make, of those contents that are in a pair."""
    digests, places = np.unique(samples.digests[pairs].astype(str), return_inverse=True)
    unit = join_pairs(places.reshape(-1, 2), len(digests))
    return dict(zip(digests.tolist(), unit.tolist(), strict=True))


def find_leaked(samples: Samples, parts: npt.NDArray[np.object_], part: str) -> npt.NDArray[np.bool_]:
    """Return ``[N] bool``: images of ``part`` with a copy, a near-duplicate or a version in an earlier part."""
    leaked = np.zeros(len(samples), bool)
    leaked[list(find_twins(samples, parts, part))] = True
    return leaked


def with_seen(samples: Samples, split: Split, seen: AbstractSet[str]) -> Split:
    """Return the split with images of the measured part marked as leaked if they, or images like them, were ``seen``.

    Args:
        samples: inspected.
        split: of them.
        seen: sha256 of images that the network was trained or chosen on before.
    """
    unit_of = _units_of_contents(samples, samples.alike)
    seen_units = {unit for digest, unit in unit_of.items() if digest in seen}
    is_seen = np.array([one in seen or unit_of.get(one, -1) in seen_units for one in samples.digests], bool)
    return replace(split, leaked=split.leaked | (is_seen & (split.parts == split.headline)))


def keep_share(samples: Samples, split: Split, share: float) -> Split:
    """Return the split with a share of its training images, whole units drawn class by class; the others are not used.

    The test images stay the same, so that a training on fewer images can be compared with one on all.
    """
    if share == 1:
        return split
    parts = draw_parts(samples, split.parts, {"": 1 - share}, split.seed)
    left = f"{int((parts == 'train').sum()):,} of {len(split.rows('train')):,} training images are used (train_share)"
    kept = replace(split, parts=parts, notes=(*split.notes, left))
    _refuse_empty(kept, samples)
    return kept


def _refuse_empty(split: Split, samples: Samples) -> None:
    counts = split.counts()
    more = "add images (a class needs at least five), or choose other shares with --val and --test"
    units = len(find_units(samples, np.flatnonzero(samples.is_ok)))
    if units < 3 * len(samples.classes) and units < len(samples) / 2 and any(samples.groups):
        more = f"there are only {units:,} units to split, because groups stay together: give more groups, or none"
    if not counts["train"] or not counts["val"]:
        raise DataError(
            "split.empty",
            f"of {len(samples):,} images, {counts['train']} are left for training and {counts['val']} for validation",
            more,
        )
    missing = set(range(len(samples.classes))) - set(samples.labels[split.rows("train")].tolist())
    if missing:
        names = ", ".join(repr(samples.classes[label]) for label in sorted(missing)[:5])
        raise DataError("split.class-without-training", f"there is no readable training image of class {names}", more)
    measured = split.rows(split.headline)
    if split.leaked[measured].all():
        raise DataError(
            "split.all-leaked",
            f"all {len(measured):,} {split.headline} images are also in an earlier part of the split",
            "give other images, or leave this part out and let Sightline draw one",
        )
