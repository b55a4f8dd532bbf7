"""The fitted head beside scikit-learn's own answer."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from sightline.networks.network import Network
from sightline.networks.small_resnet import SmallResnet
from sightline.training import engines, head
from sightline.training.head import STRENGTHS, fit_head, start_with_head
from sightline.training.loop import measure


def blobs(classes: int, seed: int = 0):
    """Return features that lie far from zero, as those behind a ReLU do, and overlap."""
    x, y = make_blobs(240, 6, centers=classes, cluster_std=4.0, random_state=seed)
    return x.astype(np.float32) + 20, y.astype(np.int64)


def make_network(features: int, classes: int) -> Network:
    return Network(torch.nn.Identity(), features, classes, (0.0,) * 3, (1.0,) * 3)


def said_by(network: Network, x) -> np.ndarray:
    with torch.inference_mode():
        return torch.softmax(network.head(torch.from_numpy(x)), 1).numpy()


def optimum(x, y, strength: float) -> LogisticRegression:
    """Return the exact fit on the features as they are: centring changes nothing, the scale is in the strength."""
    square = ((x - x.mean(0)) ** 2).mean()
    with threadpool_limits(1):  # two threads of a busy core wait for each other
        return LogisticRegression(C=strength / square, max_iter=20_000, tol=1e-9).fit(x.astype(np.float64), y)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_head_is_at_the_optimum_of_logistic_regression(classes):
    x, y = blobs(classes)
    network = make_network(6, classes)
    strength, _ = fit_head(network, x[:160], y[:160], x[160:], y[160:])
    wanted = optimum(x[:160], y[:160], strength).predict_proba(x[160:].astype(np.float64))
    assert np.allclose(said_by(network, x[160:]), wanted, atol=0.02)
    rows = np.arange(80), y[160:]
    assert -np.log(said_by(network, x[160:])[rows]).mean() == pytest.approx(-np.log(wanted[rows]).mean(), abs=0.002)


def test_many_validation_images_choose_alone_and_choose_the_best_strength(monkeypatch):
    monkeypatch.setattr(head, "_ENOUGH_TO_CHOOSE", 80)
    x, y = blobs(5)
    strength, loss = fit_head(make_network(6, 5), x[:160], y[:160], x[160:], y[160:])
    rows = np.arange(80), y[160:]
    wanted = {
        each: -np.log(optimum(x[:160], y[:160], each).predict_proba(x[160:].astype(np.float64))[rows]).mean()
        for each in STRENGTHS
    }
    assert loss == pytest.approx(min(wanted.values()), abs=0.002)
    assert wanted[strength] == pytest.approx(min(wanted.values()), abs=0.002)


def test_few_validation_images_do_not_choose_alone():
    """Twelve images whose labels are luck speak for no strength; the folds of the training images know better."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 8)).astype(np.float32)
    y = (x @ random.normal(size=8) > 0).astype(np.int64)
    val, val_labels = x[:12], random.integers(0, 2, 12)
    strength, loss = fit_head(make_network(8, 2), x[100:], y[100:], val, val_labels)
    alone = min(STRENGTHS, key=lambda each: -optimum(x[100:], y[100:], each).score(val, val_labels))
    assert strength >= 0.1 > alone
    folds = list(head._folds(y[100:]))
    fitted = [optimum(x[100:][kept], y[100:][kept], strength) for kept, _ in folds]
    held = [
        -np.log(fit.predict_proba(x[100:][out])[np.arange(len(out)), y[100:][out]])
        for fit, (_, out) in zip(fitted, folds, strict=True)
    ]
    whole = optimum(x[100:], y[100:], strength).predict_proba(val)[np.arange(12), val_labels]
    assert loss == pytest.approx(np.concatenate([*held, -np.log(whole)]).mean(), abs=0.01)


def test_folds_hold_out_every_image_once_in_blocks_and_keep_every_class():
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 3], [1, 2, 13, 50]))
    held_out = []
    for kept, held in head._folds(labels):
        assert not set(kept) & set(held) and len(kept) + len(held) == len(labels)
        assert set(labels[kept]) == {0, 1, 2, 3}
        for label in range(4):
            place = np.searchsorted(np.flatnonzero(labels == label), held[labels[held] == label])
            assert (np.diff(place) == 1).all()  # neighbours among their class
        held_out += held.tolist()
    assert sorted(held_out) == np.flatnonzero(labels > 0).tolist()


def test_a_class_without_training_images_is_never_said():
    x, y = blobs(3)
    y = np.array([0, 1, 3])[y]  # class 2 is missing
    network = make_network(6, 4)
    fit_head(network, x[:160], y[:160], x[160:], y[160:])
    assert set(said_by(network, x).argmax(1).tolist()) == {0, 1, 3}


def test_features_that_are_all_equal_are_no_trouble():
    x, y = np.ones((20, 4), np.float32), np.arange(20) % 2
    network = make_network(4, 2)
    fit_head(network, x, y, x, y)
    assert np.allclose(said_by(network, x), 0.5, atol=1e-3)


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


def test_a_small_fit_runs_on_one_thread_in_a_fresh_process_too():
    """scikit-learn brings libraries of its own, which a limit that was set before does not reach."""
    code = """
import threadpoolctl
from sightline.training.head import _threads_for
with _threads_for(1):
    import sklearn.linear_model, scipy.linalg
    print({each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"})
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "{1}"


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
