"""Batches: each image once, in an order that is a function of seed and epoch, seen as evaluation sees it."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from sightline.errors import DataError
from sightline.pixels import cache
from sightline.pixels.cache import PixelStore
from sightline.pixels.preprocess import Preprocess
from sightline.training.batches import Batches, keep_on_device
from sightline.training.loop import train_network
from sightline.training.setup import set_up_network


def rows_of(batches, epoch: int, size: int = 8) -> list[int]:
    """Find which image each shuffled image is, by its pixels."""
    known = {batches.store[k].tobytes(): k for k in range(len(batches))}
    shuffled = batches.shuffled(size, seed=1, epoch=epoch)
    return [
        known[(image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy().tobytes()]
        for images, _, _ in shuffled
        for image in images
    ]


@pytest.mark.parametrize(("count", "sizes"), [(20, [7, 7, 6]), (16, [8, 8]), (17, [6, 6, 5]), (3, [3])])
def test_an_epoch_has_each_image_once_in_batches_of_about_one_size(make_batches, count, sizes):
    batches = make_batches(count)
    assert sorted(rows_of(batches, epoch=1)) == list(range(count))
    assert [len(labels) for _, labels, _ in batches.shuffled(8, seed=1, epoch=1)] == sizes
    assert batches.steps(8) == len(sizes)


def test_fewer_images_than_a_batch_make_one_smaller_batch(make_batches):
    assert sorted(rows_of(make_batches(5), epoch=1)) == [0, 1, 2, 3, 4]


def test_order_is_a_function_of_seed_and_epoch(make_batches):
    batches = make_batches(64)
    assert rows_of(batches, 1) == rows_of(batches, 1)
    assert rows_of(batches, 1) != rows_of(batches, 2)


def test_labels_stay_with_their_images(make_batches):
    for images, labels, _ in make_batches(32).shuffled(8, seed=0, epoch=1):
        assert torch.equal((images.mean((1, 2, 3)) > 0.4).long(), labels)


def test_in_order_gives_every_image_once_as_preprocess_finishes_it(make_batches):
    rules = Preprocess(size=8, resize=12)
    batches = make_batches(21, side=(12, 18), preprocess=rules)
    seen = torch.cat([images for images, _ in batches.in_order(8)])
    wanted = np.stack([rules.finish(batches.store[k]) for k in range(21)])
    assert np.array_equal((seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), wanted)


def test_random_crops_come_from_all_over_the_image_and_nowhere_else(make_batches):
    batches = make_batches(1, side=(6, 9), preprocess=Preprocess(size=4, resize=6))
    image = batches.store[0]
    places = {image[top : top + 4, left : left + 4].tobytes(): (top, left) for top in range(3) for left in range(6)}
    seen = set()
    for epoch in range(300):
        ((images, _, _),) = batches.shuffled(1, seed=0, epoch=epoch)
        seen.add(places[(images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy().tobytes()])
    assert len(seen) == 18


def test_a_part_is_made_of_its_own_rows(make_batches):
    whole = make_batches(32)
    part = replace(whole, rows=np.array([9, 30, 4]), labels=np.array([0, 1, 1]))
    for batches in (part.in_order(2), part.shuffled(2, seed=0, epoch=1)):
        seen = {
            (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy().tobytes(): int(label)
            for images, labels, *_ in batches
            for image, label in zip(images, labels, strict=True)
        }
        assert seen == {whole.store[9].tobytes(): 0, whole.store[30].tobytes(): 1, whole.store[4].tobytes(): 1}


@pytest.fixture
def stored_and_streamed(tmp_path, write_image, monkeypatch):
    """The same twenty-one images as a store on the disk, and as one that holds five and decodes the others."""
    paths = [write_image(tmp_path / f"{k}.png", seed=k, size=(18 + k % 4, 20)) for k in range(21)]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    rules = Preprocess(size=16, resize=18)
    monkeypatch.setattr(cache, "_MEMORY_BYTES", 6 * 18 * 20 * 3)

    def opened(limit: int) -> Batches:
        steps = cache.open_store(paths, digests, rules, tmp_path / f"stores-{limit}", limit=limit)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return Batches(stop.value, np.arange(21), np.arange(21) % 2, rules, torch.device("cpu"))

    stored, streamed = opened(10**9), opened(1)
    assert (stored.store.streamed, stored.store.fallback) == (0, "")
    assert 10 < streamed.store.streamed < 21
    return stored, streamed


def test_streamed_batches_are_those_of_the_store(stored_and_streamed):
    stored, streamed = stored_and_streamed
    for epoch in (1, 2):
        pairs = zip(stored.shuffled(4, 0, epoch), streamed.shuffled(4, 0, epoch), strict=True)
        assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c, *_), (b, d, *_) in pairs)
    pairs = zip(stored.in_order(8), streamed.in_order(8), strict=True)
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c, *_), (b, d, *_) in pairs)


def test_streamed_training_gives_the_same_weights_bit_for_bit(stored_and_streamed, plan_settings, tmp_path):
    settings = plan_settings(batch_size=8, epochs=2)
    trained = []
    for batches in stored_and_streamed:
        torch.manual_seed(0)
        network = set_up_network(settings, 2, None)
        for _ in train_network(network, batches, batches, settings, tmp_path / f"best{len(trained)}"):
            pass
        trained.append(network.state_dict())
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())


def test_a_image_that_changes_while_it_is_streamed_stops_the_training(stored_and_streamed, write_image):
    _, streamed = stored_and_streamed
    write_image(streamed.store._decoder.paths[20], seed=99)
    with pytest.raises(DataError, match=r"20\.png: the file changed"):
        list(streamed.shuffled(4, 0, 1))


def test_an_epoch_that_is_left_early_leaves_no_thread(stored_and_streamed):
    next(stored_and_streamed[1].shuffled(4, 0, 1))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixels")]


def test_images_kept_on_the_device_are_the_same(make_batches):
    whole = make_batches(24)
    part = replace(whole, rows=np.array([9, 20, 4, 4, 0]), labels=np.array([1, 0, 0, 0, 0]))
    resident = keep_on_device(part, 10**9)
    assert resident.resident is not None and part.resident is None
    assert keep_on_device(part, 2 * 5 * 16 * 16 * 3 - 1) is part  # more than half of what is free
    for one, other in ((part.in_order(2), resident.in_order(2)), (part.shuffled(2, 3, 1), resident.shuffled(2, 3, 1))):
        assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c, *_), (b, d, *_) in zip(one, other, strict=True))


def test_squares_of_a_store_are_its_images_and_others_have_none(make_batches):
    store = make_batches(12).store
    images, place = store.squares(16)
    assert all(np.array_equal(images[place[k]], store[k]) for k in range(12))
    assert store.squares(8) is None
    flat = np.arange(3 * 12, dtype=np.uint8)
    gap = PixelStore(flat, np.array([[0, 2, 2], [0, 0, 0], [12, 2, 2]]), {1: "damaged"})
    images, place = gap.squares(2)
    assert place.tolist() == [0, -1, 1] and np.array_equal(images[1], gap[2])
    assert PixelStore(flat, np.array([[0, 2, 2], [12, 2, 1]]), {}).squares(2) is None


def test_some_of_them_are_the_same_images_wherever_they_lie(make_batches):
    batches, chosen = make_batches(24), np.array([20, 3, 7])
    (wanted, labels), *_ = batches.take(chosen).in_order(8)
    (held, held_labels), *_ = keep_on_device(batches, 10**9).take(chosen).in_order(8)
    assert torch.equal(wanted, held) and torch.equal(labels, held_labels)
    everything = torch.cat([images for images, _ in batches.in_order(8)])
    assert torch.equal(wanted, everything[chosen])
