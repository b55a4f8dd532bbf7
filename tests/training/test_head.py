"""The stage that fits a head on frozen features with torch."""

from __future__ import annotations

import pytest
import torch

from sightline.networks.network import Network
from sightline.networks.small_resnet import SmallResnet
from sightline.training import engines
from sightline.training.head import start_with_head
from sightline.training.loop import measure


def start(train, val, precision="fp32"):
    """Return (network, what the head's stage said, its events)."""
    torch.manual_seed(0)
    network = Network(SmallResnet(16, 8, 1), 64, 2, (0.5,) * 3, (0.2,) * 3)
    stage, events = start_with_head(network, train, val, precision), []
    while True:
        try:
            events.append(next(stage))
        except StopIteration as end:
            return network, end.value, events


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [60, 240])
def test_the_figures_of_the_stage_are_those_of_the_network(make_batches, count, precision):
    """Whatever engine looked, the network that goes on says the same in fp32: the loss within 0.01 nats."""
    train, val = make_batches(count), make_batches(20, seed=1)
    network, figures, events = start(train, val, precision)
    for batches, loss, accuracy in ((train, *figures[:2]), (val, *figures[2:])):
        wanted_loss, wanted_accuracy, _ = measure(network, batches)
        assert loss == pytest.approx(wanted_loss, abs=0.01) and accuracy == pytest.approx(wanted_accuracy, abs=0.05)
    assert figures[3] > 0.9
    *looks, seen = events
    assert looks[-1].done == looks[-1].total == count + 20
    assert [look.done for look in looks] == sorted(look.done for look in looks)
    assert (seen.train.shape, seen.val.shape) == ((count, 64), (20, 64)) and len(seen.positions) == count


def test_the_same_start_gives_the_same_head_and_one_graph_serves_both_parts(make_batches, monkeypatch):
    traced, real = [], engines.trace_graph
    monkeypatch.setattr(engines, "trace_graph", lambda *asked: traced.append(1) or real(*asked))
    heads = [start(make_batches(240), make_batches(20, seed=1))[0].head.weight for _ in range(2)]
    assert torch.equal(*heads) and len(traced) == 2


def test_without_time_for_all_images_the_head_is_fitted_on_some_of_every_class(make_batches, monkeypatch):
    from sightline.events import Noted
    from sightline.training import head

    network = Network(SmallResnet(16, 8, 1), 64, 2, (0.5,) * 3, (0.2,) * 3)
    train, val = make_batches(400), make_batches(40, seed=1)
    seen = []
    real = head.choose_engine
    monkeypatch.setattr(
        head,
        "choose_engine",
        lambda *given: (made := real(*given))._replace(batch=20, infer=lambda s: seen.append(s) or made.infer(s)),
    )
    clock = iter(range(10_000))
    monkeypatch.setattr(head.time, "monotonic", lambda: next(clock))
    stage = start_with_head(network, train, val, "fp32", until=7)  # two batches of validation, then these
    figures, said = None, []
    while figures is None:
        try:
            said.append(next(stage))
        except StopIteration as stop:
            figures = stop.value
    (noted,) = (event for event in said if isinstance(event, Noted))
    count = 20 * (len(seen) - 2)
    assert 20 <= count < 400 and f"{count} of 400" in noted.message
    assert figures[3] > 0.9  # the classes of both kinds were among them: they come in no order of theirs
