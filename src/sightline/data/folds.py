"""Cross-validation: several splits of the same images, in which each is tested, or validates, exactly once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split, check_shares, default_shares, draw_parts, find_units
from sightline.errors import DataError, InputError

__all__ = ["fold_validation", "make_folds"]


def make_folds(samples: Samples, folds: int, *, seed: int = 0, val_share: float | None = None) -> tuple[Split, ...]:
    """Split inspected samples into folds: each readable image is tested in one of them, and trained on in the others.

    Groups, exact copies and near-duplicates stay in one fold, as they stay on one side of any split. Classes are
    spread evenly: the units of a class go to the folds one by one, large ones first, always to the fold with the
    fewest images of the class. Within a fold, validation images are drawn from the training images.

    Args:
        samples: with ``digests``.
        folds: how many, at least 2.
        seed: the same seed and data give the same folds, whatever the order of files; fold k draws its validation
            with ``seed + k - 1``.
        val_share: share of the rest that selects the epoch; by default as for any split.

    Raises:
        InputError: if the number or the share is out of range.
        DataError: if a split is given, or a class has fewer units than there are folds.

    References:
        R. Kohavi, IJCAI 1995, for stratified folds.
    """
    _refuse_few(folds)
    check_shares(val_share, 0)
    if any(samples.given):
        given = ", ".join(sorted(set(samples.given) - {""}))
        message = f"--folds tests every image once, but the data have a split already: {given}"
        raise DataError(
            "split.folds-given", message, "add --resplit, which puts that split aside, or leave out --folds"
        )
    number = _assign(samples, np.flatnonzero(samples.is_ok), folds, seed)
    val = default_shares(samples)[0] if val_share is None else val_share
    groups = len(set(samples.groups) - {""})
    notes = (f"{groups:,} groups are kept together",) if groups else ()
    splits = []
    for fold in range(folds):
        parts = np.full(len(samples), "train", object)
        parts[number == fold] = "test"
        parts[~samples.is_ok] = ""
        parts = draw_parts(samples, parts, {"val": val}, seed + fold)
        rule = f"fold {fold + 1} of {folds}: every image is tested in one fold; {val:.0%} of the others validate"
        splits.append(Split(parts, seed, rule, notes, "test", np.zeros(len(samples), bool)))
    if any(not split.counts()["val"] for split in splits):
        message = f"{folds} folds leave no image for validation"
        raise DataError("split.empty", message, "add images (a class needs at least five), or give a larger --val")
    return tuple(splits)


def fold_validation(samples: Samples, split: Split, folds: int, *, seed: int = 0) -> tuple[Split, ...]:
    """Return splits in which each training and validation image validates once, and trains in the others.

    Test images are in none of them. Units stay in one fold and classes are spread, as by ``make_folds``.

    Args:
        samples: with ``digests``.
        split: whose training and validation images are put into folds.
        folds: how many, at least 2.
        seed: the same seed and data give the same folds, whatever the order of files.

    Raises:
        InputError: if there are fewer than 2 folds.
        DataError: if a class has fewer units than there are folds.

    Example:
        ``[fold.counts() for fold in fold_validation(samples, split, 5)]``
    """
    _refuse_few(folds)
    rows = np.flatnonzero(np.isin(split.parts, ("train", "val")) & samples.is_ok)
    number = _assign(samples, rows, folds, seed)
    splits = []
    for fold in range(folds):
        parts = np.full(len(samples), "", object)
        parts[rows] = np.where(number[rows] == fold, "val", "train")
        rule = f"fold {fold + 1} of {folds}: every training and validation image validates in one fold"
        splits.append(replace(split, parts=parts, rule=rule, leaked=np.zeros(len(samples), bool)))
    return tuple(splits)


def _refuse_few(folds: int) -> None:
    if folds < 2:
        raise InputError(
            "split.folds", f"--folds {folds} is not valid: at least 2 are needed", "give, for example, --folds 5"
        )


def _assign(samples: Samples, rows: npt.NDArray[np.intp], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """Return ``[N]``: the fold of each of the images at ``rows``, from 0; -1 for the others."""
    by_class: dict[int, list[npt.NDArray[np.intp]]] = {}
    for unit in find_units(samples, rows):
        by_class.setdefault(int(np.bincount(samples.labels[unit]).argmax()), []).append(unit)
    _refuse_small(samples, by_class, folds)
    number = np.full(len(samples), -1, np.intp)
    random = np.random.default_rng(seed)
    total = np.zeros(folds, int)
    for label in sorted(by_class):
        units = sorted(by_class[label], key=lambda unit: min((samples.digests[r], samples.paths[r]) for r in unit))
        units = [units[position] for position in random.permutation(len(units))]
        count = np.zeros(folds, int)
        for unit in sorted(units, key=len, reverse=True):
            fold = min(range(folds), key=lambda k: (count[k], total[k]))
            number[unit] = fold
            count[fold] += len(unit)
            total[fold] += len(unit)
    return number


def _refuse_small(samples: Samples, by_class: dict[int, list[npt.NDArray[np.intp]]], folds: int) -> None:
    for label, name in enumerate(samples.classes):
        units = by_class.get(label, [])
        if len(units) < folds:
            images = sum(map(len, units))
            what = f"{images} readable image{'' if images == 1 else 's'}"
            if len(units) < images:
                what += f", in only {len(units)} units, because groups and copies stay together"
            cure = f"give at most --folds {len(units)}" if len(units) > 1 else "add images to it, or leave it out"
            raise DataError("split.small-class", f"class {name!r} has {what}: too few for {folds} folds", cure)
