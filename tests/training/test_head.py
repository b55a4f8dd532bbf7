"""The stage that fits a head on frozen features with torch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sightline.events import FeaturesSeen, Noted
from sightline.networks.build import build_network
from sightline.networks.network import Network
from sightline.networks.small_resnet import SmallResnet
from sightline.pixels.preprocess import Preprocess
from sightline.steps import Steps, result_of
from sightline.training import engines, head
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


def known_contents(batches, name: str):
    batches.store.digests = [f"{name}{row}" for row in range(len(batches.store))]
    return batches


def test_features_of_the_same_network_and_images_are_computed_once(make_batches, monkeypatch):
    looked, real = [], head.choose_engine

    def counting(*given):
        made = real(*given)
        return made._replace(infer=lambda squares: looked.append(len(squares)) or made.infer(squares))

    monkeypatch.setattr(head, "choose_engine", counting)
    train, val = known_contents(make_batches(240), "t"), known_contents(make_batches(20, seed=1), "v")
    network, figures, events = start(train, val)
    assert sum(looked) == 260 and not [event for event in events if isinstance(event, Noted)]
    looked.clear()
    again, same, events = start(train, val)
    assert not looked and same == figures and torch.equal(again.head.weight, network.head.weight)
    (noted,) = (event for event in events if isinstance(event, Noted))
    assert "260 of 260 images are in the cache" in noted.message
    # In another order, from another number of images: each feature depends on its image alone.
    order = torch.randperm(240, generator=torch.Generator().manual_seed(1)).numpy()[:170]
    (mixed,) = (event for event in events if isinstance(event, FeaturesSeen))
    found = result_of(head.extract_features(again, train.take(order), 240, 0))
    assert not looked and (found == mixed.train[order]).all()
    with torch.no_grad():
        next(again.body.parameters()).mul_(1.5)
    for _ in range(2):  # another network: nothing is known of it, and nothing kept unless that is wanted
        assert (result_of(head.extract_features(again, train, 240, 0)) != mixed.train).any()
    assert sum(looked) == 480


def test_features_of_stages_are_computed_once_and_leave_the_stage_as_the_head_takes_them(make_batches, monkeypatch):
    """The metrics are those of the network with its scale, and the cache has the features before they are scaled."""
    looked, real = [], head.choose_engine

    def counting(*given):
        made = real(*given)
        return made._replace(infer=lambda squares: looked.append(len(squares)) or made.infer(squares))

    monkeypatch.setattr(head, "choose_engine", counting)
    chosen = {"model": "test_efficientnet", "size": 32, "features": "stages", "seed": 0, "dropout": 0.0}
    given = {"mean": (0.5,) * 3, "std": (0.2,) * 3, "stochastic_depth": 0.0, "mirrored": False, "kernel_size": 0}
    network = build_network(SimpleNamespace(**chosen, **given), 2, None)
    rules = {"side": (32, 32), "preprocess": Preprocess(size=32, resize=32)}
    train, val = (known_contents(make_batches(n, seed=n, **rules), f"s{n} ") for n in (160, 20))
    network.feature_scale.fill_(7)  # as of an earlier run
    stage = Steps(start_with_head(network, train, val))
    events = list(stage)
    (seen,) = (event for event in events if isinstance(event, FeaturesSeen))
    assert any("features of 4 stages" in event.message for event in events if isinstance(event, Noted))
    scale = network.feature_scale.clone()
    assert scale[-1] == 1 and scale[0] != 1 and sum(looked) == 180
    found = result_of(head.extract_features(network, train, 160, 0))
    assert sum(looked) == 180 and (found == seen.train).all() and torch.equal(network.feature_scale, scale)
    loss, accuracy, _ = measure(network, val)
    assert stage.result[2:] == (pytest.approx(loss, abs=1e-3), pytest.approx(accuracy))


def test_features_that_a_limit_left_out_are_computed_the_next_time(make_batches, monkeypatch):
    train, val = known_contents(make_batches(400), "t"), known_contents(make_batches(40, seed=1), "v")
    real, looked = head.choose_engine, []

    def small(*given):
        made = real(*given)
        return made._replace(batch=20, infer=lambda squares: looked.append(len(squares)) or made.infer(squares))

    monkeypatch.setattr(head, "choose_engine", small)
    torch.manual_seed(0)
    network = Network(SmallResnet(16, 8, 1), 64, 2, (0.5,) * 3, (0.2,) * 3)
    result_of(head.start_with_head(network, train, val, "fp32", until=0))  # the time is over from the start
    assert sum(looked) == 60  # validation, and one batch
    result_of(head.start_with_head(network, train, val, "fp32"))
    assert sum(looked) == 440
    wanted = next(
        event for event in start(make_batches(400), make_batches(40, seed=1))[2] if isinstance(event, FeaturesSeen)
    )
    found = result_of(head.extract_features(network, train, 400, 0))
    assert (found == wanted.train).all()


def test_what_has_no_known_content_or_is_rounded_is_not_kept(make_batches, monkeypatch):
    asked = []
    monkeypatch.setattr(head, "cached_features", lambda *given, **more: asked.append(given))
    start(make_batches(240), make_batches(20, seed=1))
    train, val = known_contents(make_batches(240), "t"), known_contents(make_batches(20, seed=1), "v")
    start(train, val, "bf16")
    assert not asked
