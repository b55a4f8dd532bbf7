"""Batches of pixels from the store: what is drawn is a function of seed and epoch, never of state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.pixels.cache import PixelStore
from sightline.pixels.preprocess import Preprocess

__all__ = ["Batch", "Batches"]


class Batch(NamedTuple):
    """Some training images.

    Attributes:
        images: ``[B, 3, H, W]`` float32 from 0 to 1, on the training device.
        labels: ``[B]`` int64, there too.
        positions: ``[B]``, which images of the part these are.
    """

    images: Tensor
    labels: Tensor
    positions: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """The images of one part of a split, as batches.

    Attributes:
        store: pictures, already shrunk.
        rows: ``[N]``, positions in the store.
        labels: ``[N] int64``, the classes of ``rows``.
        preprocess: how a stored picture becomes a square.
        device: where batches go.
    """

    store: PixelStore
    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.int64]
    preprocess: Preprocess
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def in_order(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images ``[B, 3, H, W]`` from 0 to 1, labels ``[B]``) as evaluation sees them, each once."""
        starts = range(0, len(self), size)
        batches = self.store.fetch([self.rows[start : start + size] for start in starts])
        for start, pictures in zip(starts, batches, strict=True):
            squares = np.stack([self.preprocess.finish(picture) for picture in pictures])
            yield self._to_device(squares, self.labels[start : start + size])

    def shuffled(self, size: int, seed: int, epoch: int, order: npt.NDArray[np.intp] | None = None) -> Iterator[Batch]:
        """Yield batches of one epoch in random order, each image once, cut at random places.

        Another ``order``, of as many positions, may leave images out and repeat others.

        Batches are of equal size, give or take one, and at most ``size``: batch norms suffer from a small last one.
        """
        random = np.random.default_rng((seed, epoch))
        parts = np.array_split(random.permutation(len(self)) if order is None else order, self.steps(size))
        batches = self.store.fetch([self.rows[chosen] for chosen in parts])
        for chosen, pictures in zip(parts, batches, strict=True):
            places = random.random((len(chosen), 2))
            squares = np.stack([self._cut(picture, place) for picture, place in zip(pictures, places, strict=True)])
            yield Batch(*self._to_device(squares, self.labels[chosen]), chosen)

    def steps(self, size: int) -> int:
        """Return how many batches ``shuffled`` yields."""
        return max(1, -(-len(self) // size))

    def _cut(self, stored: npt.NDArray[np.uint8], place: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """Return a square from a random place of the stored picture; what is padded or squashed stays whole."""
        size = self.preprocess.size
        if self.preprocess.fit != "crop":
            return self.preprocess.finish(stored)
        top, left = (int(share * (length - size + 1)) for share, length in zip(place, stored.shape, strict=False))
        return stored[top : top + size, left : left + size]

    def _to_device(self, squares: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        # uint8 crosses to the device and becomes float there; NHWC memory seen as NCHW is channels_last.
        pixels = torch.from_numpy(squares).to(self.device, non_blocking=True)
        return pixels.permute(0, 3, 1, 2).float().div_(255), torch.from_numpy(labels).to(self.device)
