"""Facts about the data, the machine and the network that planning uses: plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.samples import Samples
from sightline.data.split import Split, default_shares
from sightline.text import signed

__all__ = ["DataFacts", "EarlierRun", "Hardware", "NetworkFacts", "Survival", "describe_data"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine, as ``training.probe_hardware`` found it.

    Attributes:
        device: ``cpu``, ``cuda:N`` or ``mps``.
        name: the processor's name.
        threads: CPU threads that training uses.
        reason: why this device.
        warning: why a better device can't be used, or an empty string.
        has_bf16: whether it computes in bf16 natively, faster than in fp32.
        engine: what computes networks: ``torch``, or ``onnxruntime`` where no more than a head is trained.
        engine_reason: why.
    """

    device: str
    name: str
    threads: int
    reason: str
    warning: str = ""
    has_bf16: bool = False
    engine: str = "torch"
    engine_reason: str = "it is installed, and trains whole networks"


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network by its name, before it is built.

    Attributes:
        name: exact name, with timm's tag where there are pretrained weights.
        family: ``small`` for our own, ``timm`` for timm's.
        size: side of the square that it was made for, in pixels.
        resize: short side before the crop, for evaluation.
        interpolation: how its pretraining resized images.
        mean, std: per channel, for pixels scaled to 0..1.
        has_weights: whether pretrained weights are published.
        licence: licence of those weights, in words.
    """

    name: str
    family: str
    size: int
    resize: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    has_weights: bool
    licence: str


@dataclass(frozen=True, slots=True)
class Survival:
    """Whether classes survive a change of their images, as ``evaluation.survival`` measured it on validation.

    Attributes:
        change: ``mirror``, ``upside-down``, ``turn`` (by up to 15 degrees) or ``quarter-turn``.
        verdict: ``harmful``, ``harmless``, or ``unclear``.
        n: validation images.
        plain, with_copies: accuracy of a quick classifier trained without and with changed copies, 0 to 1.
        rise: of its squared error with them, as a share.
        can_tell: whether it beats the most frequent class at all.
    """

    change: str
    verdict: str
    n: int
    plain: float
    with_copies: float
    rise: float
    can_tell: bool = True

    def __str__(self) -> str:
        copies = {"mirror": "mirrored", "upside-down": "upside-down"}.get(self.change, "turned")
        error = (
            f"error {signed(100 * self.rise, 0)} %".replace("-", "\u2212")
            if abs(self.rise) < 10
            else "error many times higher"
        )
        return (
            f"validation accuracy of a quick probe with {copies} copies {100 * self.with_copies:.3g} % against "
            f"{100 * self.plain:.3g} % without ({error}, n={self.n:,})"
        )


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A training of ours whose network a new one starts from.

    Attributes:
        name: of the run or folder, in words.
        folder: of the run or the classifier, absolute.
        file: its ``model.safetensors``.
        model: its network.
        classes: its classes, in the order of its head's rows.
        source: where its own start came from, in words.
        licence: of that start, which is inherited.
        settings: what its weights are made for: size, interpolation, mean, std, width, depth, kernel_size,
            dense_units, features, as far as known.
        seen: ``train`` or ``val`` -> sha256 of the images that trained it, or chose its epoch; those of the runs
            that it started from itself are among them.
        is_traced: whether ``seen`` is all of them: a classifier outside its run names none.
        split_seed: seed of its split, or None where that is unknown.
    """

    name: str
    folder: Path
    file: Path
    model: str
    classes: tuple[str, ...]
    source: str
    licence: str
    settings: dict[str, Any] = field(hash=False)
    seen: dict[str, set[str]] = field(default_factory=dict, hash=False)
    is_traced: bool = False
    split_seed: int | None = None

    def head_rows(self, classes: tuple[str, ...]) -> dict[int, int]:
        """Return the row of this run's head for each position in ``classes`` that has one; matched by name.

        Example:
            >>> run = EarlierRun("first", Path("a"), Path("a/b"), "small-cnn", ("ant", "bee"), "", "", {})
            >>> run.head_rows(("bee", "cat"))
            {0: 1}
        """
        rows = {name: row for row, name in enumerate(self.classes)}
        return {position: rows[name] for position, name in enumerate(classes) if name in rows}


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a plan needs to know about the data.

    Attributes:
        survivals: change -> whether classes survive it, for the changes that were probed.
        not_probed: why none was, in words; or an empty string.
    """

    classes: tuple[str, ...]
    counts: dict[str, int] = field(hash=False)
    median_short_side: int
    wide_aspect: float  # 90 % of the images have at most this ratio of long side to short side
    class_counts: tuple[int, ...] = ()  # training images of each class
    shares: tuple[float, float] = (0.15, 0.15)  # usual for so many images, for validation and test
    survivals: dict[str, Survival] = field(default_factory=dict, hash=False)
    not_probed: str = ""


def describe_data(samples: Samples, split: Split) -> DataFacts:
    """Return the facts of inspected samples; sizes are those of the training images."""
    rows = split.rows("train")
    if not len(rows):  # without training images, describe the readable ones
        rows = np.flatnonzero(samples.is_ok)
    sizes = np.stack([samples.widths[rows], samples.heights[rows]])
    sizes = sizes[:, sizes[0] > 0]
    aspect = sizes.max(0) / sizes.min(0)
    return DataFacts(
        classes=samples.classes,
        counts=split.counts(),
        median_short_side=int(np.median(sizes.min(0))),
        wide_aspect=round(float(np.quantile(aspect, 0.9)), 2),
        class_counts=tuple(np.bincount(samples.labels[rows], minlength=len(samples.classes)).tolist()),
        shares=default_shares(samples),
    )
