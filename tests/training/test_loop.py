"""The loop: learns, repeats itself exactly, keeps the best epoch, and stops when it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sightline.errors import TrainingError
from sightline.events import (
    CheckpointSaved,
    EpochEnded,
    InputsSeen,
    Noted,
    Progressed,
    StepEnded,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.networks.build import build_network
from sightline.training import loop
from sightline.training import measure as measuring
from sightline.training.layer_groups import layer_groups
from sightline.training.loop import train_network
from sightline.training.measure import measure

SAID = (np.zeros(16, np.int64), np.full(16, 0.5, np.float32))  # what a faked measure says of the validation images


@pytest.fixture
def train(plan_settings, make_batches, tmp_path):
    """Return a function that trains a small network and returns (network, events)."""

    def run(folder: str = "run", **chosen: object):
        settings = plan_settings(**chosen)
        torch.set_num_threads(1)
        network = build_network(settings, 2, None)
        events = list(train_network(network, make_batches(64), make_batches(16, seed=1), settings, tmp_path / folder))
        return network, events

    return run


def fake_measure(monkeypatch, fake) -> None:
    """Let validation say what a test wants, before the first epoch and after each."""
    monkeypatch.setattr(measuring, "measure", fake)
    monkeypatch.setattr(loop, "measure", fake)


def state(network: torch.nn.Module) -> list[torch.Tensor]:
    return list(network.state_dict().values())


def epochs_of(events) -> list[EpochEnded]:
    return [event for event in events if isinstance(event, EpochEnded)]


def test_it_learns(train, make_batches):
    network, _ = train(epochs=10)
    loss, accuracy, _ = measure(network, make_batches(64, seed=2))
    assert accuracy > 0.95 and loss < 0.4


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train):
    first, again, other = (train(f"best{k}", seed=seed)[0] for k, seed in enumerate((1, 1, 2)))
    assert all(torch.equal(a, b) for a, b in zip(state(first), state(again), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(state(first), state(other), strict=True))


def test_the_network_of_the_best_epoch_is_kept(train, monkeypatch):
    losses, kept = iter([0.1, 0.5, 0.2, 0.9]), []

    def fake(network, batches, *more):
        kept.append([tensor.clone() for tensor in state(network)])
        return next(losses), 0.5, SAID

    fake_measure(monkeypatch, fake)
    network, events = train(epochs=3)
    assert all(torch.equal(a, b) for a, b in zip(state(network), kept[2], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(state(network), kept[3], strict=True))
    assert [event.is_best for event in epochs_of(events)] == [False, True, True, False]  # a random start is none
    assert [event.epoch for event in events if isinstance(event, CheckpointSaved)] == [1, 2]
    assert isinstance(events[-1], TrainingStopped) and events[-1].best_epoch == 2


def test_it_stops_when_patience_is_over(train, monkeypatch):
    losses = iter([0.1, 0.5, 0.6, 0.7, 0.8, 0.9])
    fake_measure(monkeypatch, lambda network, batches, *more: (next(losses), 0.5, SAID))
    _, events = train(epochs=5, patience=2)
    assert len(epochs_of(events)) == 4  # with epoch 0
    assert "2 epochs" in events[-1].reason


def test_progress_counts_the_images_of_an_epoch(train):
    _, events = train(epochs=1)
    assert [event.done for event in events if isinstance(event, Progressed)] == [16, 32, 48, 64]


def test_the_rate_falls_to_zero_with_the_last_epoch(train):
    _, events = train(epochs=3, learning_rate=0.01)
    rates = [event.learning_rate for event in events if isinstance(event, StepEnded)]
    top = rates.index(max(rates))
    assert len(rates) == 12 and top < 6 and rates[top] == pytest.approx(0.01, rel=0.05)
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.001
    assert [event.learning_rate for event in epochs_of(events)][1:] == rates[3::4]  # an epoch has that of its last step


def test_a_frozen_body_does_not_change(train, plan_settings):
    network, _ = train(freeze_body=True, epochs=2)
    before = build_network(plan_settings(), 2, None)
    assert all(torch.equal(a, b) for a, b in zip(state(network.body), state(before.body), strict=True))
    assert not torch.equal(network.head.weight, before.head.weight)


def test_frozen_norms_keep_their_statistics(train, plan_settings):
    network, _ = train(freeze_norm=True, epochs=1)
    before = build_network(plan_settings(), 2, None).state_dict()
    after = network.state_dict()
    statistics = [name for name in before if "running" in name]
    assert statistics and all(torch.equal(before[name], after[name]) for name in statistics)


def test_the_fitted_head_is_epoch_0_and_is_kept_when_nothing_is_better(train, monkeypatch):
    fake_measure(monkeypatch, lambda network, batches, *more: (99.0, 0.5, SAID))
    _, events = train(head_first=True, epochs=2)
    first = epochs_of(events)[0]
    assert first.epoch == 0 and first.is_best
    assert events[-1].best_epoch == 0


def test_measuring_counts_each_image_once(make_batches, plan_settings):
    network = build_network(plan_settings(), 2, None).eval()
    batches = make_batches(37)
    images = torch.cat([images for images, _ in batches.in_order(5)])
    labels = torch.cat([labels for _, labels in batches.in_order(5)])
    with torch.inference_mode():
        wanted = torch.nn.functional.cross_entropy(network(images), labels)
    loss, accuracy, _ = measure(network, batches)
    assert loss == pytest.approx(float(wanted), abs=1e-5)
    assert accuracy == pytest.approx(float((network(images).argmax(1) == labels).float().mean()))


def test_what_validation_says_is_an_event_before_the_end_of_its_epoch(train, make_batches):
    network, events = train(epochs=1)
    kinds = [type(event) for event in events]
    assert kinds.index(EpochEnded) < kinds.index(ValidationMeasured) < len(kinds) - kinds[::-1].index(EpochEnded)
    (said,) = (event for event in events if isinstance(event, ValidationMeasured))
    val = make_batches(16, seed=1)
    network.eval()
    ((images, labels),) = val.in_order(16)
    with torch.no_grad():
        confidence, predicted = network(images).softmax(1).max(1)
    assert said.epoch == 1 and said.labels.tolist() == labels.tolist()
    assert said.predicted.tolist() == predicted.tolist()
    assert np.allclose(said.confidence, confidence.numpy(), atol=1e-5)


def test_the_first_inputs_are_shown_as_the_network_gets_them(train, monkeypatch):
    got, real = [], loop.prepare_batch
    monkeypatch.setattr(loop, "prepare_batch", lambda *all: got.append(real(*all)[0]) or (got[-1], all[0].labels))
    _, events = train(epochs=2)
    (seen,) = (event for event in events if isinstance(event, InputsSeen))
    wanted = (got[0][:16].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    assert seen.images.dtype == np.uint8 and np.array_equal(seen.images, wanted)


def test_epoch_0_is_the_random_start_on_as_many_training_images_as_there_are_of_validation(
    train, make_batches, plan_settings
):
    _, events = train(epochs=1)
    first = epochs_of(events)[0]
    fresh = build_network(plan_settings(), 2, None)
    assert first.epoch == 0 and not first.is_best
    assert (first.val_loss, first.val_accuracy) == pytest.approx(measure(fresh, make_batches(16, seed=1))[:2], abs=1e-6)
    assert first.train_loss == pytest.approx(measure(fresh, make_batches(64))[0], abs=1e-6)  # all 64 fit one batch


def test_every_update_is_an_event_with_its_rate(train):
    _, events = train(epochs=2, schedule="linear", warmup=0.0, learning_rate=0.08)
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert [step.step for step in steps] == list(range(8))
    assert [step.epoch for step in steps] == [1] * 4 + [2] * 4
    assert [step.learning_rate for step in steps] == pytest.approx([0.08 - 0.01 * k for k in range(8)])
    assert all(step.gradient_norm > 0 and not step.is_clipped for step in steps)
    assert [epoch.learning_rate for epoch in epochs_of(events)] == pytest.approx([0.0, 0.05, 0.01])


def test_the_share_of_clipped_steps_is_said(train):
    _, events = train(epochs=1, clip_norm=1e-4)
    assert all(event.is_clipped for event in events if isinstance(event, StepEnded))
    assert any("4 of 4 steps (100 %)" in event.message for event in events if isinstance(event, Noted))
    _, events = train("other", epochs=1)
    assert not [event for event in events if isinstance(event, Noted)]


def test_the_epoch_is_chosen_by_accuracy_where_that_is_asked_for_and_by_loss_among_equals(train, monkeypatch):
    figures = iter([(9.0, 0.0), (0.5, 0.6), (0.4, 0.8), (0.3, 0.8), (0.2, 0.7)])
    fake_measure(monkeypatch, lambda network, batches, *more: (*next(figures), SAID))
    _, events = train(epochs=4, select_by="accuracy")
    assert events[-1].best_epoch == 3


def test_the_averaged_network_is_measured_and_kept(train, monkeypatch):
    seen, losses = [], iter([9.0, 0.5, 0.4, 0.3])
    fake_measure(monkeypatch, lambda network, batches, *more: (seen.append(network) or next(losses), 0.5, SAID))
    network, events = train(epochs=3, ema=0.9, patience=0)
    assert seen[0] is network and seen[1] is seen[2] is seen[3] is not network
    assert events[-1].best_epoch == 3
    assert all(torch.equal(a, b) for a, b in zip(state(network), state(seen[3]), strict=True))
    monkeypatch.undo()
    plain, _ = train("plain", epochs=3, patience=0)
    assert not torch.equal(network.head.weight, plain.head.weight)


def test_layers_thaw_from_the_head_on(plan_settings, make_batches, tmp_path):
    settings = plan_settings(unfreeze_every=1, epochs=3, patience=0)
    network = build_network(settings, 2, None)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    changed = []
    for event in train_network(network, make_batches(64), make_batches(16, seed=1), settings, tmp_path / "best"):
        if isinstance(event, EpochEnded) and event.epoch:
            changed.append(
                {name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])}
            )
    groups = layer_groups(network, coarse=True)
    for thawed, names in enumerate(changed, 1):
        assert names == {name for group in groups[-thawed:] for name in group}
    statistics = network.state_dict()["body.stem.norm.running_mean"]
    assert torch.equal(statistics, build_network(settings, 2, None).state_dict()["body.stem.norm.running_mean"])


def test_what_a_network_keeps_fixed_never_thaws_and_norms_that_learn_in_part_do_learn(
    plan_settings, make_batches, tmp_path
):
    settings = plan_settings(unfreeze_every=0.1, epochs=2, patience=0)
    network = build_network(settings, 2, None)
    norm, fixed = network.body.stem[1], network.body.stem[0].weight
    norm.weight.requires_grad_(False)
    fixed.requires_grad_(False)
    before = fixed.clone(), norm.weight.clone(), norm.bias.clone(), norm.running_mean.clone()
    list(train_network(network, make_batches(64), make_batches(16, seed=1), settings, tmp_path / "best"))
    after = fixed, norm.weight, norm.bias, norm.running_mean
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False, False]
    assert not fixed.requires_grad and not norm.weight.requires_grad  # nor do they enter the norm of the gradient


def test_the_first_steps_are_smaller(plan_settings, make_batches, tmp_path):
    settings = plan_settings(early_sizes=[8], early_share=0.5, epochs=2)
    network, sides = build_network(settings, 2, None), []
    network.body.register_forward_pre_hook(lambda module, inputs: sides.append((module.training, inputs[0].shape[-1])))
    list(train_network(network, make_batches(64), make_batches(16, seed=1), settings, tmp_path / "best"))
    assert [side for is_training, side in sides if is_training] == [8] * 4 + [16] * 4
    assert {side for is_training, side in sides if not is_training} == {16}


def test_balanced_sampling_shows_small_classes_as_often(plan_settings, make_batches, tmp_path, monkeypatch):
    settings = plan_settings(imbalance="balanced_sampling", epochs=1)
    train, seen = make_batches(64), []
    keep = np.flatnonzero((train.labels == 0) | (np.arange(64) % 8 == 1))
    uneven = replace(train, rows=train.rows[keep], labels=train.labels[keep])
    real = loop.prepare_batch
    monkeypatch.setattr(loop, "prepare_batch", lambda batch, *more: seen.append(batch.labels) or real(batch, *more))
    list(train_network(build_network(settings, 2, None), uneven, make_batches(16, seed=1), settings, tmp_path / "best"))
    counts = torch.cat(seen).bincount().tolist()
    assert sum(counts) == len(keep) and abs(counts[0] - counts[1]) <= 1
    assert uneven.labels.tolist().count(1) == 8


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_in_every_precision_that_a_cpu_has(train, make_batches, precision):
    network, _ = train(epochs=6, precision=precision)
    assert measure(network, make_batches(64, seed=2))[1] > 0.9
    assert network.head.weight.dtype == torch.float32


def test_mixed_images_are_trained_on_and_figures_stay_plain(train):
    _, events = train(epochs=2, mixup=0.4, cutmix=1.0, label_smoothing=0.1, patience=0)
    assert all(0 <= epoch.train_accuracy <= 1 and 0 < epoch.train_loss < 5 for epoch in epochs_of(events))


def test_what_can_not_be_compiled_is_named(train, monkeypatch):
    def fail(network):
        def call(images):
            raise type("BackendFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})("no compiler\nhere")

        return call

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(TrainingError, match="no compiler") as caught:
        train(compile=True)
    assert caught.value.code == "training.compile" and "compile" in caught.value.cure


def test_a_training_does_not_hang_on_what_was_random_before(train, plan_settings):
    torch.manual_seed(1)
    first, _ = train("a", epochs=1, dropout=0.5)
    torch.manual_seed(2)
    torch.rand(7)
    again, _ = train("b", epochs=1, dropout=0.5)
    assert all(torch.equal(a, b) for a, b in zip(state(first), state(again), strict=True))
