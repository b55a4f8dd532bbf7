"""Some training images as the network's input: without augmentation, and as augmented in several steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from sightline.planning.settings import Settings
from sightline.runs.kept_images import Views
from sightline.training.augment import augment_batch
from sightline.training.batches import Batches, as_images
from sightline.training.mix import mix_batch

__all__ = ["choose_rows", "make_views"]


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
