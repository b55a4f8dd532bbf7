"""The loop: learns, repeats itself exactly, keeps the best epoch, and stops when it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.errors import TrainingError
from sightline.events import (
    CheckpointSaved,
    EpochEnded,
    InputsSeen,
    Progressed,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.networks.build import build_network
from sightline.training import loop
from sightline.training.loop import measure, train_network

SAID = (np.zeros(16, np.int64), np.full(16, 0.5, np.float32))  # what a faked measure says of the validation images


@pytest.fixture
def train(plan_settings, make_batches, tmp_path):
    """Return a function that trains a small network and returns (network, events)."""

    def run(folder: str = "best", **chosen: object):
        settings = plan_settings(**chosen)
        torch.set_num_threads(1)
        network = build_network(settings, 2, None)
        events = list(train_network(network, make_batches(64), make_batches(16, seed=1), settings, tmp_path / folder))
        return network, events

    return run


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
    losses, kept = iter([0.5, 0.2, 0.9]), []

    def fake(network, batches):
        kept.append([tensor.clone() for tensor in state(network)])
        return next(losses), 0.5, SAID

    monkeypatch.setattr(loop, "measure", fake)
    network, events = train(epochs=3)
    assert all(torch.equal(a, b) for a, b in zip(state(network), kept[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(state(network), kept[2], strict=True))
    assert [event.is_best for event in epochs_of(events)] == [True, True, False]
    assert [event.epoch for event in events if isinstance(event, CheckpointSaved)] == [1, 2]
    assert isinstance(events[-1], TrainingStopped) and events[-1].best_epoch == 2


def test_it_stops_when_patience_is_over(train, monkeypatch):
    losses = iter([0.5, 0.6, 0.7, 0.8, 0.9])
    monkeypatch.setattr(loop, "measure", lambda network, batches: (next(losses), 0.5, SAID))
    _, events = train(epochs=5, patience=2)
    assert len(epochs_of(events)) == 3
    assert "2 epochs" in events[-1].reason


def test_a_loss_that_is_no_number_stops_and_never_reaches_the_checkpoint(train, monkeypatch, tmp_path):
    real = torch.nn.functional.cross_entropy
    calls = iter(range(1000))

    def fake(logits, labels, **more):
        loss = real(logits, labels, **more)
        return loss * float("nan") if torch.is_grad_enabled() and next(calls) > 12 else loss

    monkeypatch.setattr(loop.F, "cross_entropy", fake)
    with pytest.raises(TrainingError, match="step"):
        train(epochs=5)
    from sightline.training.checkpoint import load_checkpoint

    weights, _ = load_checkpoint(tmp_path / "best")
    assert all(torch.isfinite(tensor.float()).all() for tensor in weights.values())


def test_progress_counts_the_images_of_an_epoch(train):
    _, events = train(epochs=1)
    assert [event.done for event in events if isinstance(event, Progressed)] == [16, 32, 48, 64]


def test_the_rate_falls_to_zero_with_the_last_epoch(train):
    _, events = train(epochs=3, learning_rate=0.01)
    rates = [event.learning_rate for event in epochs_of(events)]
    assert rates == sorted(rates, reverse=True) or rates[0] < rates[1]
    assert rates[-1] < 0.001


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
    monkeypatch.setattr(loop, "measure", lambda network, batches: (99.0, 0.5, SAID))
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
    assert kinds.index(ValidationMeasured) < kinds.index(EpochEnded)
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
    got = []
    monkeypatch.setattr(loop, "augment_batch", lambda images, *rest: got.append(images) or images)
    _, events = train(epochs=2)
    (seen,) = (event for event in events if isinstance(event, InputsSeen))
    wanted = (got[0][:16].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    assert seen.pictures.dtype == np.uint8 and np.array_equal(seen.pictures, wanted)
