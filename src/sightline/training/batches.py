"""Batches of pixels from the store; their random order depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.pixels.cache import PixelStore
from sightline.pixels.preprocess import Preprocess

__all__ = ["Batch", "Batches", "as_images", "keep_on_device"]

Parts = Sequence[npt.NDArray[np.intp]]
Mine = Callable[[int], slice]  # from a number of images to those that this process takes


def _all(count: int) -> slice:
    return slice(0, count)


class Batch(NamedTuple):
    """Some training images.

    Attributes:
        images: ``[B, 3, H, W]`` float32 from 0 to 1, on the training device.
        labels: ``[B]`` int64, on the same device.
        positions: ``[B]``, which images of the part these are. Where several processes share a step, those of all
            processes, while ``images`` and ``labels`` belong to this one.
    """

    images: Tensor
    labels: Tensor
    positions: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """The images of one part of a split, as batches.

    Attributes:
        store: images, already shrunk.
        rows: ``[N]``, positions in the store.
        labels: ``[N] int64``, the classes of ``rows``.
        preprocess: how a stored image becomes a square.
        device: device of the batches.
        resident: ``[N, H, W, 3] uint8``, the part's images on the device; None where they are copied there batch
            by batch.
        units: ``[N]``, equal for images that are one witness together, as ``data.units.number_units`` returns them;
            None: each is one by itself.
    """

    store: PixelStore
    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.int64]
    preprocess: Preprocess
    device: torch.device
    resident: Tensor | None = None
    units: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: npt.NDArray[np.intp]) -> Batches:
        """Return the batches of these positions only."""
        resident = None if self.resident is None else self.resident[torch.from_numpy(chosen).to(self.device)]
        units = None if self.units is None else self.units[chosen]
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen], resident=resident, units=units)

    def squares_in_order(self, size: int) -> Iterator[Tensor]:
        """Yield ``[B, H, W, 3] uint8`` images as in evaluation, each once, in the order of the store."""
        yield from self._squares(self._parts(size), None)

    def in_order(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images ``[B, 3, H, W]`` from 0 to 1, labels ``[B]``) as in evaluation, each once."""
        parts = self._parts(size)
        for chosen, squares in zip(parts, self._squares(parts, None), strict=True):
            yield self._as_input(squares, chosen)

    def shuffled(
        self,
        size: int,
        seed: int,
        epoch: int,
        order: npt.NDArray[np.intp] | None = None,
        first: int = 0,
        mine: Mine = _all,
    ) -> Iterator[Batch]:
        """Yield batches of one epoch in random order, each image once, with random crops.

        Another ``order``, of as many positions, may leave images out and repeat others. The batches before ``first``
        are left out; the others are the same. ``mine`` selects the images of a batch that this process takes; random
        numbers are drawn for all.

        Batches have equal sizes up to one image, and at most ``size``: a small last one would hurt batch norms.
        """
        random = np.random.default_rng((seed, epoch))
        parts = np.array_split(random.permutation(len(self)) if order is None else order, self.steps(size))
        for chosen in parts[:first]:  # their random numbers are drawn too, so that the others stay the same
            random.random((len(chosen), 2))
        for chosen, squares in zip(parts[first:], self._squares(parts[first:], random, mine), strict=True):
            yield Batch(*self._as_input(squares, chosen[mine(len(chosen))]), chosen)

    def steps(self, size: int) -> int:
        """Return how many batches ``shuffled`` yields."""
        return max(1, -(-len(self) // size))

    def _parts(self, size: int) -> list[npt.NDArray[np.intp]]:
        return [np.arange(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def _squares(self, parts: Parts, random: np.random.Generator | None, mine: Mine = _all) -> Iterator[Tensor]:
        """Yield ``[B, H, W, 3] uint8`` of each part: a centre crop of each image, or a random one."""
        counts = [len(chosen) for chosen in parts]
        parts = [chosen[mine(len(chosen))] for chosen in parts]
        if self.resident is not None:
            yield from (self.resident[torch.from_numpy(chosen).to(self.device)] for chosen in parts)
            return
        whole = self.store.squares(self.preprocess.size)
        if whole:  # nothing to crop, and one copy instead of one for each image
            yield from (torch.from_numpy(whole[0][whole[1][self.rows[chosen]]]) for chosen in parts)
            return
        fetched = self.store.fetch([self.rows[chosen] for chosen in parts])
        for count, found in zip(counts, fetched, strict=True):
            places = None if random is None else random.random((count, 2))[mine(count)]
            if not len(found):
                yield torch.zeros(0, self.preprocess.size, self.preprocess.size, 3, dtype=torch.uint8)
            elif places is None:
                yield torch.from_numpy(np.stack([self.preprocess.finish(image) for image in found]))
            else:
                cuts = [self._cut(image, place) for image, place in zip(found, places, strict=True)]
                yield torch.from_numpy(np.stack(cuts))

    def _cut(self, stored: npt.NDArray[np.uint8], place: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """Return a random square crop of the stored image; padded or squashed images stay whole."""
        size = self.preprocess.size
        if self.preprocess.fit != "crop":
            return self.preprocess.finish(stored)
        top, left = (int(share * (length - size + 1)) for share, length in zip(place, stored.shape, strict=False))
        return stored[top : top + size, left : left + size]

    def _as_input(self, squares: Tensor, chosen: npt.NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        # uint8 is copied to the device and becomes float there; NHWC memory viewed as NCHW is channels_last.
        pixels = squares.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
        return pixels, torch.from_numpy(self.labels[chosen]).to(self.device)


def as_images(images: Tensor) -> npt.NDArray[np.uint8]:
    """Return ``[B, 3, H, W]`` images from 0 to 1 as ``[B, H, W, 3] uint8``, for people."""
    pixels: npt.NDArray[np.uint8] = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def keep_on_device(batches: Batches, bytes_free: int) -> Batches:
    """Return batches whose images are all on the device, if they are equal squares and take at most half of its free
    memory: then no image is copied again, and a small network does not wait for data."""
    whole, size = batches.store.squares(batches.preprocess.size), batches.preprocess.size
    if whole is None or len(batches) * size * size * 3 > bytes_free // 2:
        return batches
    images, place = whole
    return replace(batches, resident=torch.from_numpy(images[place[batches.rows]]).to(batches.device))
