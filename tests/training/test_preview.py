"""What is shown of random changes is what the network gets."""

from __future__ import annotations

import numpy as np
import torch

from sightline.training.augment import augment_batch
from sightline.training.preview import choose_rows, make_views


def test_chosen_images_are_of_as_many_classes_as_there_are():
    labels = np.array([2, 2, 2, 0, 0, 1, 2, 2])
    assert sorted(labels[choose_rows(labels, 3)]) == [0, 1, 2]
    assert sorted(labels[choose_rows(labels, 5)]) == [0, 0, 1, 2, 2]
    assert len(choose_rows(labels, 50)) == 8


def test_views_are_the_batches_of_the_training(make_batches, plain_settings):
    settings = plain_settings(flip=0.5, brightness=0.4)
    batches = make_batches(6)
    views = make_views(batches, settings, 2, 3)
    assert views.plain.shape == (6, 16, 16, 3) and views.changed.shape == (6, 3, 16, 16, 3)
    (images, _, positions), *_ = batches.shuffled(6, settings.seed, 2)
    wanted = augment_batch(images, settings, 1, 2, positions)
    shown = torch.from_numpy(views.changed[positions, 1]).permute(0, 3, 1, 2) / 255
    assert torch.allclose(shown, wanted, atol=1 / 255)
    assert np.array_equal(views.shares.argmax(2), np.repeat(views.labels[:, None], 3, 1))


def test_mixed_views_say_what_they_show(make_batches, plain_settings):
    views = make_views(make_batches(6), plain_settings(mixup=1.0), 2, 4)
    assert np.allclose(views.shares.sum(2), 1) and ((views.shares > 0.02).sum(2) == 2).any()


def test_large_views_are_shrunk_for_the_run(make_batches, plain_settings):
    views = make_views(make_batches(6).take(np.array([4, 5])), plain_settings(), 2, 2)
    assert views.shrunk(8).changed.shape == (2, 2, 8, 8, 3)
    assert abs(views.shrunk(8).plain.mean() - views.plain.mean()) < 1
    assert views.shrunk(16) is views
