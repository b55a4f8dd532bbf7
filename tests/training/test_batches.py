"""Batches: each image once, in an order that is a function of seed and epoch, seen as evaluation sees it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.pixels.preprocess import Preprocess


def rows_of(batches, epoch: int, size: int = 8) -> list[int]:
    """Find which picture each shuffled image is, by its pixels."""
    known = {batches.store[k].tobytes(): k for k in range(len(batches))}
    shuffled = batches.shuffled(size, seed=1, epoch=epoch)
    return [
        known[(image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy().tobytes()]
        for images, _ in shuffled
        for image in images
    ]


@pytest.mark.parametrize(("count", "sizes"), [(20, [7, 7, 6]), (16, [8, 8]), (17, [6, 6, 5]), (3, [3])])
def test_an_epoch_has_each_image_once_in_batches_of_about_one_size(make_batches, count, sizes):
    batches = make_batches(count)
    assert sorted(rows_of(batches, epoch=1)) == list(range(count))
    assert [len(labels) for _, labels in batches.shuffled(8, seed=1, epoch=1)] == sizes
    assert batches.steps(8) == len(sizes)


def test_fewer_images_than_a_batch_make_one_smaller_batch(make_batches):
    assert sorted(rows_of(make_batches(5), epoch=1)) == [0, 1, 2, 3, 4]


def test_order_is_a_function_of_seed_and_epoch(make_batches):
    batches = make_batches(64)
    assert rows_of(batches, 1) == rows_of(batches, 1)
    assert rows_of(batches, 1) != rows_of(batches, 2)


def test_labels_stay_with_their_images(make_batches):
    for images, labels in make_batches(32).shuffled(8, seed=0, epoch=1):
        assert torch.equal((images.mean((1, 2, 3)) > 0.4).long(), labels)


def test_in_order_gives_every_image_once_as_preprocess_finishes_it(make_batches):
    rules = Preprocess(size=8, resize=12)
    batches = make_batches(21, side=(12, 18), preprocess=rules)
    seen = torch.cat([images for images, _ in batches.in_order(8)])
    wanted = np.stack([rules.finish(batches.store[k]) for k in range(21)])
    assert np.array_equal((seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), wanted)


def test_random_crops_come_from_all_over_the_picture_and_nowhere_else(make_batches):
    batches = make_batches(1, side=(6, 9), preprocess=Preprocess(size=4, resize=6))
    picture = batches.store[0]
    places = {picture[top : top + 4, left : left + 4].tobytes(): (top, left) for top in range(3) for left in range(6)}
    seen = set()
    for epoch in range(300):
        ((images, _),) = batches.shuffled(1, seed=0, epoch=epoch)
        seen.add(places[(images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy().tobytes()])
    assert len(seen) == 18
