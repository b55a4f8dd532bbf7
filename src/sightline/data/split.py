"""Which sample serves for what: train, val or test. Seeded, stratified, and safe against leaks.

What must stay together (a group, copies of one file) is one unit, and a unit stands on one side. The rules
are those of the table in ``docs/data.md``; the rule that was used and its reasons are part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.data.samples import PARTS, Samples
from sightline.errors import DataError, InputError

__all__ = ["MIN_CLASS_SIZE", "Split", "make_split", "make_split_of_nothing"]

# A smaller class can't spare an image for measuring: all of it is used for training, and that is said.
MIN_CLASS_SIZE = 5
VAL_SHARE = 0.15
TEST_SHARE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Sample -> part, and how that was decided.

    Attributes:
        parts: ``[N] str``: ``train``, ``val``, ``test``, or an empty string for images that can't be read (but
            those of a given test set stay in it, and are counted as errors there).
        seed: seed of the draw.
        rule: the rule in one sentence.
        notes: what else the user should know.
        headline: part that the headline figure is measured on: ``test``, or ``val`` where there is no test.
        leaked: ``[N] bool``: test images whose very file stands in train or val too (given splits only).
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
        val_share: share of the images that selects the epoch; 0.15 by default.
        test_share: share that is measured in the end; 0.15 by default. 0 leaves no test set: then the
            result is a validation figure. Ignored where a test set is given.
        select_on_val: with only ``train`` and ``val`` given, select on ``val`` instead of testing on it.

    Raises:
        InputError: if the shares are impossible.
        DataError: if no image is left for training or for validation.
    """
    _check_shares(val_share, test_share)
    val = VAL_SHARE if val_share is None else val_share
    test = TEST_SHARE if test_share is None else test_share
    parts = samples.given.copy()
    if any(parts):
        parts[parts == ""] = "train"  # a table may name only what is kept for the test
    given = set(parts) - {""}
    if given == {"train", "val", "test"} or (given == {"train", "val"} and (select_on_val or test_share == 0)):
        rule = (
            "train, validation and test as given" if "test" in given else "train and validation as given; no test set"
        )
    elif given == {"train", "val"}:
        parts[parts == "val"] = "test"
        parts, rule = (
            _draw(samples, parts, {"val": val}, seed),
            (
                f"the given validation images are kept untouched as the test set; {val:.0%} of train is drawn for "
                "validation (--select-on-val for the other way)"
            ),
        )
    elif given == {"train", "test"}:
        parts, rule = (
            _draw(samples, parts, {"val": val}, seed),
            f"test as given; {val:.0%} of train is drawn for validation",
        )
    else:
        parts[:] = "train"
        shares = {"val": val, "test": test}
        parts = _draw(samples, parts, shares, seed)
        rule = f"{1 - val - test:.0%} / {val:.0%} / {test:.0%} for train, validation and test, stratified by class"
    parts[~samples.is_ok & (parts != "test")] = ""  # a test image that can't be read is counted as such
    split = Split(parts, seed, rule, _notes(samples, parts), "test", _leaks(samples, parts))
    return _checked(split, samples)


def make_split_of_nothing(samples: Samples) -> Split:
    """Return a split in which every sample serves for nothing, for data that can't be split."""
    empty = np.full(len(samples), "", object)
    return Split(empty, 0, "no split", (), "test", np.zeros(len(samples), bool))


def _check_shares(val: float | None, test: float | None) -> None:
    for name, share in (("--val", val), ("--test", test)):
        if share is not None and not 0 <= share < 1:
            raise InputError("split.share", f"{name} is {share}", "give a share from 0 to below 1, for example 0.2")
    if val == 0:
        raise InputError(
            "split.share", "--val is 0, and the best epoch is chosen on validation images", "give --val 0.1"
        )
    if (VAL_SHARE if val is None else val) + (TEST_SHARE if test is None else test) >= 1:
        raise InputError(
            "split.share", f"--val {val} and --test {test} leave nothing to train on", "give smaller shares"
        )


def _units(samples: Samples, rows: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Return arrays of positions that must stay together: one group, or copies of one file, or both."""
    parent = {int(row): int(row) for row in rows}

    def find(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for keys in (samples.groups, samples.digests):
        first: dict[str, int] = {}
        for row in rows:
            if keys[row]:
                parent[find(int(row))] = find(first.setdefault(keys[row], int(row)))
    members: dict[int, list[int]] = {}
    for row in rows:
        members.setdefault(find(int(row)), []).append(int(row))
    return [np.array(unit) for unit in members.values()]


def _draw(
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
    for unit in _units(samples, rows):
        counts = np.bincount(samples.labels[unit])
        by_class.setdefault(int(counts.argmax()), []).append(unit)
    carried = dict.fromkeys(shares, 0.0)
    for label in sorted(by_class):
        units = sorted(by_class[label], key=lambda unit: (samples.digests[unit[0]], samples.paths[unit[0]]))
        units = [units[position] for position in random.permutation(len(units))]
        total = sum(map(len, units))
        if total < MIN_CLASS_SIZE or len(units) <= len(shares):
            continue
        for part, share in shares.items():
            if not share:
                continue
            carried[part] += share * total
            wanted = max(1, round(carried[part]))
            taken = 0
            while len(units) > 1 and taken < wanted and taken + len(units[-1]) <= max(2 * wanted, 1):
                unit = units.pop()
                parts[unit] = part
                taken += len(unit)
            carried[part] -= taken
    return parts


def _notes(samples: Samples, parts: npt.NDArray[np.object_]) -> tuple[str, ...]:
    notes = []
    small = [
        name
        for label, name in enumerate(samples.classes)
        if not ((parts != "train") & (parts != "") & (samples.labels == label)).any()
    ]
    if small:
        shown = ", ".join(small[:5]) + (" ..." if len(small) > 5 else "")
        notes.append(f"{len(small)} class(es) are used for training only and can't be measured: {shown}")
    if any(samples.groups):
        notes.append(f"{len(set(samples.groups) - {''}):,} groups are kept whole")
    return tuple(notes)


def _leaks(samples: Samples, parts: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    seen = set(samples.digests[np.isin(parts, ("train", "val"))]) - {""}
    return np.array(
        [part == "test" and digest in seen for part, digest in zip(parts, samples.digests, strict=True)], bool
    )


def _checked(split: Split, samples: Samples) -> Split:
    counts = split.counts()
    more = "add images (a class needs at least five), or choose other shares with --val and --test"
    if not counts["train"] or not counts["val"]:
        raise DataError(
            "split.empty",
            f"of {len(samples):,} images {counts['train']} are left for training and {counts['val']} for validation",
            more,
        )
    missing = set(range(len(samples.classes))) - set(samples.labels[split.rows("train")].tolist())
    if missing:
        names = ", ".join(repr(samples.classes[label]) for label in sorted(missing)[:5])
        raise DataError("split.class-without-training", f"no readable training image of class {names}", more)
    if counts["test"]:
        return split
    return Split(split.parts, split.seed, split.rule, split.notes, "val", split.leaked)
