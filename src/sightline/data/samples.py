"""``Samples``: a table with one row per image."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from sightline.pixels.containers import Place, place_of
from sightline.pixels.image_facts import FACTS
from sightline.text import as_html

if TYPE_CHECKING:
    import pandas

__all__ = ["PARTS", "Samples"]

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The images and their labels, as they were found; never changed in place, only replaced by a more complete copy.

    Attributes:
        root: what relative paths are relative to.
        source: what the user typed, for messages.
        classes: names of the classes, sorted; a label is a position in it.
        paths: ``[N] str``, relative to ``root`` with forward slashes, or absolute.
        labels: ``[N] int64``, positions in ``classes``.
        given: ``[N] str``: ``train``, ``val``, ``test`` or an empty string where no split was given.
        groups: ``[N] str``: images of one group stay on one side of the split; empty means no group.
        digests: ``[N] str``: sha256 of the content; empty before ``inspect_samples``, or if unreadable.
        facts: ``[N]`` rows of :data:`~sightline.pixels.image_facts.FACTS`: size, brightness ...; zeros if unknown.
        units: ``[N] str``: equal for images that stay together, as a run recorded it; empty: alone, or not known.
        near: ``[M, 2] intp``: pairs of positions of near-duplicates: files that differ but show the same image.
        doubtful: ``[M, 2] intp``: pairs whose outlines are those of near-duplicates, and whose details are not.
        uncompared: (pairs that look like near-duplicates and that there was no time to compare, all such pairs).
        versions: ``[M, 2] intp``: pairs of positions of versions of one original: turned, shifted, zoomed, recoloured.
        extra: the further columns of a table, by name: ``[N] str`` each.
        errors: position -> reason, for images that can't be read.
        skipped: (path, reason) of everything that is not used as a sample.
        spellings: (class, spelling, images) of classes whose name is written in several ways that count as one.
        notes: what a person should know of how the source was read, a sentence each.
        extra_classes: (part, class, images) of classes in a given part that train lacks; their images are skipped.

    Example:
        >>> cat = np.array(["a.png"], object), np.array([0])
        >>> Samples(Path("pets"), "pets", ("cat",), *cat).counts()
        {'cat': 1}
    """

    root: Path
    source: str
    classes: tuple[str, ...]
    paths: npt.NDArray[np.object_]
    labels: npt.NDArray[np.int64]
    given: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    groups: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    digests: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    facts: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, FACTS))
    units: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    near: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty((0, 2), np.intp))
    doubtful: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty((0, 2), np.intp))
    uncompared: tuple[int, int] = (0, 0)
    versions: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty((0, 2), np.intp))
    extra: dict[str, npt.NDArray[np.object_]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    spellings: tuple[tuple[str, str, int], ...] = ()
    notes: tuple[str, ...] = ()
    extra_classes: tuple[tuple[str, str, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("given", "groups", "digests", "units"):
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(len(self.paths), "", object))
        if len(self.facts) == 0:
            object.__setattr__(self, "facts", np.zeros(len(self.paths), FACTS))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def widths(self) -> npt.NDArray[np.int32]:
        """``[N]``: width as shown, upright; 0 if unknown."""
        return self.facts["width"]

    @property
    def heights(self) -> npt.NDArray[np.int32]:
        """``[N]``: height as shown, upright; 0 if unknown."""
        return self.facts["height"]

    def file(self, position: int) -> Place:
        """Return the location of an image."""
        return place_of(self.root, str(self.paths[position]))

    @property
    def files(self) -> Sequence[Place]:
        """Locations of all images, in order; created on access, which saves 0.3 GB for a million images."""
        return _Files(self)

    @property
    def is_ok(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: True for images that are not known to be unreadable."""
        ok = np.ones(len(self), bool)
        ok[list(self.errors)] = False
        return ok

    def take(self, rows: npt.NDArray[np.intp]) -> Samples:
        """Return a table of these rows, in this order."""
        place = np.full(len(self), -1, np.intp)
        place[rows] = np.arange(len(rows))
        near, doubtful, versions = place[self.near], place[self.doubtful], place[self.versions]
        return replace(
            self,
            paths=self.paths[rows],
            labels=self.labels[rows],
            given=self.given[rows],
            groups=self.groups[rows],
            digests=self.digests[rows],
            units=self.units[rows],
            facts=self.facts[rows],
            near=near[(near >= 0).all(1)],
            doubtful=doubtful[(doubtful >= 0).all(1)],
            versions=versions[(versions >= 0).all(1)],
            extra={name: column[rows] for name, column in self.extra.items()},
            errors={int(place[row]): reason for row, reason in self.errors.items() if place[row] >= 0},
        )

    def with_errors(self, errors: dict[int, str]) -> Samples:
        """Return a copy with more unreadable images."""
        return replace(self, errors={**self.errors, **errors})

    def counts(self) -> dict[str, int]:
        """Return images per class, unreadable ones included, in the order of ``classes``."""
        tally = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, tally, strict=True)}

    def skipped_counts(self) -> dict[str, int]:
        """Return reason -> how many paths were skipped for it, most frequent first."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())

    def fingerprint(self) -> str:
        """Return one sha256 over all contents, labels, given splits and groups; file order does not matter."""
        names = [self.classes[label] for label in self.labels]
        rows = sorted(zip(self.digests, names, self.given, self.groups, strict=True))
        return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a ``pandas.DataFrame`` (pandas must be installed)."""
        import pandas

        return pandas.DataFrame(self.columns())

    def columns(self) -> dict[str, list[Any]]:
        """Return the table as a list per column, as in ``data/samples.csv``."""
        return {
            "path": [str(path) for path in self.paths],
            "label": [self.classes[label] for label in self.labels],
            "given_split": list(self.given),
            "group": list(self.groups),
            "unit": list(self.units),
            "width": self.widths.tolist(),
            "height": self.heights.tolist(),
            "brightness": [round(float(value), 4) for value in self.facts["brightness"]],
            "sharpness": [round(float(value), 4) for value in self.facts["sharpness"]],
            "sha256": list(self.digests),
            **{f"extra:{name}": list(column) for name, column in self.extra.items()},
            "error": [self.errors.get(i, "") for i in range(len(self))],
        }

    @property
    def alike(self) -> npt.NDArray[np.intp]:
        """``[M, 2]``: pairs of positions that show one image: near-duplicates, then versions of one original."""
        return np.concatenate([self.near, self.versions])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{as_html(k)}</td><td>{v:,}</td></tr>" for k, v in self.counts().items())
        return f"<table><tr><th>class</th><th>images</th></tr>{rows}</table>"


class _Files(Sequence[Place]):
    """The locations of a table's images, created on access."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, position: int) -> Place: ...
    @overload
    def __getitem__(self, position: slice) -> list[Place]: ...
    def __getitem__(self, position: int | slice) -> Place | list[Place]:
        if isinstance(position, slice):
            return [self._samples.file(k) for k in range(*position.indices(len(self)))]
        return self._samples.file(position)
