"""Some training images as the network's input: without augmentation, and as augmented in several steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from sightline.planning.settings import Settings
from sightline.training.augment import augment_batch
from sightline.training.batches import Batches, as_images
from sightline.training.mix import mix_batch

__all__ = ["Views", "choose_rows", "make_views"]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Some training images, plain and changed.

    Attributes:
        labels: ``[N] int64``.
        plain: ``[N, S, S, 3] uint8``, as in evaluation.
        changed: ``[N, V, S, S, 3] uint8``, as in ``V`` steps of the training.
        shares: ``[N, V, K] float32``: the targets of the loss; 1 for one class, unless images are mixed.
    """

    labels: npt.NDArray[np.int64]
    plain: Bytes
    changed: Bytes
    shares: npt.NDArray[np.float32]

    def shrunk(self, side: int) -> Views:
        """Return the same with images of at most ``side`` px."""
        if self.plain.shape[1] <= side:
            return self

        def shrink(images: Bytes) -> Bytes:
            flat = images.reshape(-1, *images.shape[-3:])
            small = [Image.fromarray(image).resize((side, side), Image.Resampling.BOX) for image in flat]
            return np.stack([np.asarray(one) for one in small]).reshape(*images.shape[:-3], side, side, 3)

        return replace(self, plain=shrink(self.plain), changed=shrink(self.changed))


def choose_rows(labels: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.intp]:
    """Return at most ``count`` positions, spread over all classes, in the order of classes.

    Example:
        >>> choose_rows(np.array([0, 0, 0, 1, 1, 2]), 4).tolist()
        [0, 1, 3, 5]
    """
    rank = np.zeros(len(labels), np.intp)  # of each image within its class
    for label in np.unique(labels):
        rank[labels == label] = np.arange(int((labels == label).sum()))
    return np.sort(np.lexsort((labels, rank))[:count])


def make_views(batches: Batches, settings: Settings, classes: int, views: int) -> Views:
    """Return all images of ``batches`` plain and in ``views`` versions: cropped, augmented and mixed as in training.

    Args:
        batches: the few images to show.
        settings: of the plan.
        classes: K.
        views: versions of each, one per epoch, from the first steps of the training.
    """
    count = len(batches)
    plain = np.concatenate([as_images(images) for images, _ in batches.in_order(count)])
    changed = np.zeros((count, views, *plain.shape[1:]), np.uint8)
    shares = np.zeros((count, views, classes), np.float32)
    for view in range(views):
        for images, labels, positions in batches.shuffled(count, settings.seed, view + 1):
            images = augment_batch(images, settings, view, view + 1, positions)
            images, targets = mix_batch(images, labels, classes, settings, view)
            if targets.ndim == 1:
                targets = torch.nn.functional.one_hot(targets, classes)
            changed[positions, view] = as_images(images)
            shares[positions, view] = targets.float().cpu().numpy()
    return Views(batches.labels, plain, changed, shares)
