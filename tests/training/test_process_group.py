"""Several processes that train one network do what one process would, and end together."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from sightline.networks.build import build_network
from sightline.pixels.preprocess import Preprocess
from sightline.training.checkpoint import load_checkpoint
from sightline.training.process_group import Group, Place
from sightline.training.schedules import Course
from sightline.training.update import prepare_batch
from together import Outcome, Work, train_alone, train_together

CUTS = {"side": (20, 18), "preprocess": Preprocess(size=16, resize=18)}
CHANGES = {"flip": 0.5, "translate": 0.1, "erasing": 0.5, "brightness": 0.3}
# The same sums in another order: after nine updates by fp32 numbers no weight is off by more than this.
NEAR = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture
def work(plan_settings, make_batches, tmp_path):
    """Return a function that makes a training of a network with layer norms and no dropout, whose steps are uneven."""

    def make(folder: str = "a", count: int = 53, val: int = 17, **chosen: object) -> Work:
        more = {name: chosen.pop(name) for name in ("resume", "kill", "stop", "fail") if name in chosen}
        model = chosen.pop("model", "small-convnext")
        plain = {"width": 8, "depth": 1, "dropout": 0.0, "stochastic_depth": 0.0, "stage_dropout": 0.0}
        settings = plan_settings(**{**plain, "patience": 0, "batch_size": 18, "threads": 1, **chosen})
        settings = settings.model_copy(update={"model": model})
        parts = make_batches(count, **CUTS), make_batches(val, seed=1, **CUTS)
        return Work(settings, *parts, tmp_path / folder, **more)

    return make


def assert_same(together: list[Outcome | None], alone: Outcome) -> None:
    """Compare what every process saw with what one process saw, and the weights that the first one ends with."""
    for rank, found in enumerate(together):
        assert found is not None
        assert found.error == ""
        epochs = alone.epochs if rank == 0 else alone.epochs[1:]  # what is before the first, the first process measures
        for mine, one in zip(found.epochs, epochs, strict=True):
            assert (mine.train_loss, mine.val_loss) == pytest.approx((one.train_loss, one.val_loss), rel=1e-3, abs=1e-5)
            assert (mine.epoch, mine.is_best) == (one.epoch, one.is_best)
            assert (mine.train_accuracy, mine.val_accuracy) == pytest.approx((one.train_accuracy, one.val_accuracy))
        for mine, one in zip(found.steps, alone.steps, strict=True):
            assert mine.loss == pytest.approx(one.loss, rel=1e-3, abs=1e-5)
    for mine, one in zip(together[0].weights, alone.weights, strict=True):
        assert np.allclose(mine, one, **NEAR)


@pytest.mark.parametrize(
    ("size", "chosen"),
    [
        (2, CHANGES),
        (3, CHANGES),
        (2, {"mixup": 0.4, "cutmix": 1.0}),
        (2, {"accumulate": 3, "ema": 0.9, "clip_norm": 0.5}),
        (2, {"optimizer": "muon", "imbalance": "class_weights"}),
        (2, {"head_first": True, "find_rate": True}),
        (3, {"count": 5, "val": 2, "batch_size": 2, "epochs": 2}),
    ],
)
def test_several_processes_follow_one(work, size, chosen):
    assert_same(train_together(size, work(**chosen)), train_alone(work("b", **chosen)))


def test_the_images_of_a_step_are_those_that_one_process_would_see(plan_settings, make_batches):
    more = {"blur": 0.5, "blur_sigma": 20.0, "zoom": 0.2, "flip_vertical": 0.5, "hue": 0.1, "policy": "trivialaugment"}
    for chosen in (CHANGES, {**CHANGES, **more}, {"flip": 0.5, "flip_mode": "alternating"}):
        settings, batches = plan_settings(**chosen), make_batches(23, **CUTS)
        for step, whole in enumerate(batches.shuffled(8, 0, 1)):
            wanted = prepare_batch(whole, settings, 2, 1, Course(step, 3, 3))
            found = []
            for rank in range(3):
                group = Group(Place(rank, 3))
                batch = next(batches.shuffled(8, 0, 1, first=step, mine=group.part))
                assert len(batch.images) == len(batch.labels) < len(whole.images)
                found.append(prepare_batch(batch, settings, 2, 1, Course(step, 3, 3), group))
            for mine, one in zip(zip(*found, strict=True), wanted, strict=True):
                assert torch.equal(torch.cat(mine), one)


def test_parts_are_of_all_once_and_as_even_as_can_be():
    for size in (1, 2, 3, 5):
        for count in range(12):
            parts = [np.arange(count)[Group(Place(rank, size)).part(count)] for rank in range(size)]
            wanted = [part.tolist() for part in torch.arange(count).tensor_split(size)]
            assert [part.tolist() for part in parts] == wanted


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_others_and_what_was_saved_goes_on(work, victim):
    chosen = {"flip": 0.5, "ema": 0.9}
    ended = train_together(3, work(**chosen, kill=(victim, 4)))
    assert ended[victim] is None
    left = [outcome.error for outcome in ended if outcome]
    assert len(left) == 2
    assert all(error.startswith("training.rank-lost: another of the 3 processes ended or does") for error in left)
    if victim == 0:
        return
    again = train_together(3, work(**chosen, resume=True))
    whole = train_together(3, work("b", **chosen))
    assert [a.tobytes() for a in again[0].weights] == [b.tobytes() for b in whole[0].weights]


@pytest.mark.parametrize("asked", [0, 1])
def test_all_stop_after_the_same_step_and_go_on_bit_for_bit_or_with_another_number(work, asked, tmp_path):
    chosen = {"flip": 0.5}
    stopped = train_together(2, work(**chosen, stop=(asked, 4)))
    assert [outcome.error for outcome in stopped] == ["stopped by 15"] * 2
    # Asked beside the first, a process has ended step 4, and the first may not have begun the next.
    saved = load_checkpoint(tmp_path / "a" / "last")[1]["progress"]["step"]
    assert saved == len(stopped[0].steps) == 5
    if asked == 1:
        return
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    again = train_together(2, work(**chosen, resume=True))
    whole = train_together(2, work("b", **chosen))
    assert [a.tobytes() for a in again[0].weights] == [b.tobytes() for b in whole[0].weights]
    alone = train_alone(work("c", **chosen, resume=True))
    for mine, one in zip(alone.weights, whole[0].weights, strict=True):
        assert np.allclose(mine, one, **NEAR)
    train_alone(work("d", **chosen, stop=(0, 4)))
    joined = train_together(2, work("d", **chosen, resume=True))
    for mine, one in zip(joined[0].weights, whole[0].weights, strict=True):
        assert np.allclose(mine, one, **NEAR)


def test_a_process_that_fails_is_named_by_the_first(work):
    ended = train_together(2, work(fail=(1, 2)))
    assert ended[1].error == "a mistake"
    assert ended[0].error == "training.rank-lost: process 1 of 2 failed: ZeroDivisionError: a mistake"


def test_numbers_that_are_none_take_all_back_to_the_same_state(work):
    ended = train_together(2, work(learning_rate=100.0, weight_decay=10.0, optimizer="sgd", epochs=8))
    assert ended[0].error == ended[1].error
    assert ended[0].error.startswith("training.diverged")
    assert [step.loss for step in ended[0].steps] == [step.loss for step in ended[1].steps]


def test_batch_norms_keep_what_the_first_process_saw(work):
    given = work(model="small-resnet", epochs=1, count=18)  # one step
    ended = train_together(2, given)
    assert ended[0].error == ended[1].error == ""
    for mine, one in zip(ended[0].weights, ended[1].weights, strict=True):
        assert np.array_equal(mine, one)
    network, group = build_network(given.settings, 2, None), Group(Place(0, 2))
    batch = next(given.train.shuffled(18, given.settings.seed, 1, mine=group.part))
    network.train()(prepare_batch(batch, given.settings, 2, 1, Course(0, 1, 1), group)[0])
    pairs = zip(network.state_dict().items(), ended[0].weights, strict=True)
    running = [(mine, value.numpy()) for (name, value), mine in pairs if "running" in name]
    assert running and all(np.allclose(mine, value, atol=1e-6) for mine, value in running)
