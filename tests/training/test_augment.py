"""All random changes together: reproducible, gentle with their input, and on by their settings alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.planning.augmentation import decide_augmentation
from sightline.planning.decisions import Decisions
from sightline.planning.facts import DataFacts
from sightline.planning.recipe import Recipe
from sightline.training.augment import CHANGES, augment_batch, is_mirrored_this_epoch, step_generator

EACH = {
    "flip": {"flip": 0.5},
    "alternating": {"flip": 0.5, "flip_mode": "alternating"},
    "flip_vertical": {"flip_vertical": 0.5},
    "rotate": {"rotate": 30.0},
    "translate": {"translate": 0.2},
    "zoom": {"zoom": 0.5},
    "zoom_out": {"zoom_out": 0.5},
    "shear": {"shear": 20.0},
    "brightness": {"brightness": 0.5},
    "contrast": {"contrast": 0.5},
    "saturation": {"saturation": 0.5},
    "hue": {"hue": 0.5},
    "blur": {"blur": 0.9, "blur_sigma": 15.0},
    "erasing": {"erasing": 0.9},
    "randaugment": {"policy": "randaugment"},
    "trivialaugment": {"policy": "trivialaugment"},
}
ALL = {name: value for chosen in EACH.values() for name, value in chosen.items()}
# Decided with them, and tested in files of their own: they change labels too, or images that are predicted.
ELSEWHERE = {"mixup", "cutmix", "mirrored", "views"}


def change(images, settings, step: int = 0, epoch: int = 0):
    return augment_batch(images, settings, step, epoch, np.arange(len(images)))


def test_every_random_change_that_a_plan_decides_is_tested_here():
    decide = Decisions(Recipe(), Recipe())
    decide("model", "small-fast", "default", "a network")
    decide_augmentation(decide, DataFacts(("ant", "bee"), {"train": 64}, 16, 1.0))
    assert set(decide.values) == {"model", *ALL, *ELSEWHERE}


@pytest.mark.parametrize("row", CHANGES, ids=lambda row: row.__name__)
def test_every_row_of_the_table_changes_images_by_a_setting_that_is_tested_here(
    row, noise, plain_settings, monkeypatch
):
    def changed(rows: tuple) -> list[torch.Tensor]:
        monkeypatch.setattr("sightline.training.augment.CHANGES", rows)
        return [change(noise(8), plain_settings(**chosen)) for chosen in EACH.values()]

    assert not all(torch.equal(*pair) for pair in zip(changed(()), changed((row,)), strict=True))


@pytest.mark.parametrize("name", EACH)
def test_each_changes_images_and_keeps_shape_type_range_and_input(name, noise, plain_settings):
    before = noise(32)
    kept = before.clone()
    after = change(before, plain_settings(**EACH[name]))
    assert after.shape == before.shape and after.dtype == torch.float32
    assert after.min() >= 0 and after.max() <= 1
    assert torch.equal(before, kept)
    assert not torch.allclose(after, before, atol=0.02)


@pytest.mark.parametrize("name", EACH)
def test_the_same_step_gives_the_same_images_and_another_step_others(name, noise, plain_settings):
    settings = plain_settings(**EACH[name])
    torch.manual_seed(5)  # what else draws from torch's own generator must not matter
    first = change(noise(32), settings, step=7, epoch=1)
    state = torch.random.get_rng_state()
    assert torch.equal(first, change(noise(32), settings, step=7, epoch=1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert not torch.equal(first, change(noise(32), settings, step=8, epoch=2))


@pytest.mark.parametrize("name", EACH)
def test_the_order_of_memory_does_not_matter(name, noise, plain_settings):
    settings = plain_settings(**EACH[name])
    last = noise(8).to(memory_format=torch.channels_last)
    assert torch.allclose(change(last, settings), change(noise(8), settings), atol=1e-5)


@pytest.mark.parametrize(("count", "side", "width"), [(1, 16, 16), (1, 17, 17), (3, 33, 20), (2, 257, 257), (1, 8, 8)])
def test_all_at_once_on_any_number_and_side(count, side, width, noise, plain_settings):
    before = noise(count, side, width)
    for mode in ("randaugment", "trivialaugment"):
        after = change(before, plain_settings(**{**ALL, "policy": mode}))
        assert after.shape == before.shape and torch.isfinite(after).all()
        assert after.min() >= 0 and after.max() <= 1


def test_with_nothing_chosen_the_images_are_the_input(noise, plain_settings):
    assert torch.equal(change(noise(), plain_settings()), noise())


def test_a_mirror_is_made_of_about_the_given_share(noise, plain_settings):
    before = noise(2000, 4)
    after = change(before, plain_settings(flip=0.3))
    mirrored = (after == before.flip(3)).all((1, 2, 3))
    same = (after == before).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert 500 < int(mirrored.sum()) < 700


def test_alternating_mirrors_each_image_in_every_other_epoch(noise, plain_settings):
    settings = plain_settings(flip=0.5, flip_mode="alternating")
    before = noise(64)
    one, two, three = (change(before, settings, step, epoch) for step, epoch in ((0, 1), (9, 2), (11, 3)))
    assert torch.equal(one, three)
    assert torch.equal(one, two.flip(3))
    mirrored = (one == before.flip(3)).all((1, 2, 3))
    assert mirrored.tolist() == is_mirrored_this_epoch(settings.seed, 1, np.arange(64)).tolist()


def test_alternating_hangs_on_the_image_and_not_on_its_place_in_the_batch(noise, plain_settings):
    settings = plain_settings(flip=0.5, flip_mode="alternating")
    before, order = noise(32), np.random.default_rng(0).permutation(32)
    whole = augment_batch(before, settings, 0, 1, np.arange(32))
    assert torch.equal(augment_batch(before[order], settings, 3, 1, order), whole[order])


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_hash_halves_images_and_ignores_neighbours(seed):
    turned = is_mirrored_this_epoch(seed, 1, np.arange(10_000))
    assert 4_800 < turned.sum() < 5_200
    assert abs(np.corrcoef(turned[1:], turned[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(turned, is_mirrored_this_epoch(seed + 1, 1, np.arange(10_000)))[0, 1]) < 0.03


def test_an_upside_down_flip_with_a_turn_is_that_of_the_image(noise, plain_settings):
    """The mirror commutes with nothing else, so it must be done first whether pixels are moved or resampled."""
    settings = {"flip": 1.0, "flip_vertical": 1.0}
    moved = change(noise(), plain_settings(**settings))
    resampled = change(noise(), plain_settings(**settings, rotate=1e-4))
    assert torch.equal(moved, noise().flip(2, 3))
    assert torch.allclose(resampled, moved, atol=1e-3)
    turned = change(noise(), plain_settings(flip=1.0, rotate=40.0))
    assert torch.allclose(turned, change(noise().flip(3), plain_settings(flip=1e-9, rotate=40.0)), atol=1e-4)


def test_steps_have_generators_of_their_own():
    draws = {float(torch.rand(1, generator=step_generator(seed, step))) for seed in range(20) for step in range(50)}
    assert len(draws) > 995
