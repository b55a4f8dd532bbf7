"""The fitted head beside scikit-learn's own answer."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from sightline.steps import Steps
from sightline.training import logistic
from sightline.training.logistic import STRENGTHS, FittedHead, HeadFit, fit_head, fit_part, mixed_order


def blobs(classes: int, seed: int = 0):
    """Return features that lie far from zero, as those behind a ReLU do, and overlap."""
    x, y = make_blobs(240, 6, centers=classes, cluster_std=4.0, random_state=seed)
    return x.astype(np.float32) + 20, y.astype(np.int64)


def predicted_by(head: FittedHead, x) -> np.ndarray:
    return softmax(head.logits(x), 1)


def optimum(x, y, strength: float) -> LogisticRegression:
    """Return the exact fit on the features as they are: centring changes nothing, the scale is in the strength."""
    square = ((x - x.mean(0)) ** 2).mean()
    with threadpool_limits(1):  # two threads of a busy core wait for each other
        return LogisticRegression(C=strength / square, max_iter=20_000, tol=1e-9).fit(x.astype(np.float64), y)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_head_is_at_the_optimum_of_logistic_regression(classes):
    x, y = blobs(classes)
    head = fit_head(x[:160], y[:160], x[160:], y[160:], classes)
    wanted = optimum(x[:160], y[:160], head.strength).predict_proba(x[160:].astype(np.float64))
    assert np.allclose(predicted_by(head, x[160:]), wanted, atol=0.02)
    rows = np.arange(80), y[160:]
    assert -np.log(predicted_by(head, x[160:])[rows]).mean() == pytest.approx(-np.log(wanted[rows]).mean(), abs=0.002)


def test_many_validation_images_choose_alone_and_choose_the_best_strength(monkeypatch):
    monkeypatch.setattr(logistic, "_ENOUGH_TO_CHOOSE", 80)
    x, y = blobs(5)
    head = fit_head(x[:160], y[:160], x[160:], y[160:], 5)
    rows = np.arange(80), y[160:]
    wanted = {
        each: -np.log(optimum(x[:160], y[:160], each).predict_proba(x[160:].astype(np.float64))[rows]).mean()
        for each in STRENGTHS
    }
    assert head.loss == pytest.approx(min(wanted.values()), abs=0.002)
    assert wanted[head.strength] == pytest.approx(min(wanted.values()), abs=0.002)


def test_few_validation_images_do_not_choose_alone():
    """Twelve images whose labels are luck speak for no strength; the folds of the training images know better."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 8)).astype(np.float32)
    y = (x @ random.normal(size=8) > 0).astype(np.int64)
    val, val_labels = x[:12], random.integers(0, 2, 12)
    head = fit_head(x[100:], y[100:], val, val_labels, 2)
    alone = min(STRENGTHS, key=lambda each: -optimum(x[100:], y[100:], each).score(val, val_labels))
    assert head.strength >= 0.1 > alone
    folds = list(logistic._folds(y[100:]))
    fitted = [optimum(x[100:][kept], y[100:][kept], head.strength) for kept, _ in folds]
    held = [
        -np.log(fit.predict_proba(x[100:][out])[np.arange(len(out)), y[100:][out]])
        for fit, (_, out) in zip(fitted, folds, strict=True)
    ]
    whole = optimum(x[100:], y[100:], head.strength).predict_proba(val)[np.arange(12), val_labels]
    assert head.loss == pytest.approx(np.concatenate([*held, -np.log(whole)]).mean(), abs=0.01)


def test_folds_hold_out_every_image_once_in_blocks_and_keep_every_class():
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 3], [1, 2, 13, 50]))
    held_out = []
    for kept, held in logistic._folds(labels):
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
    head = fit_head(x[:160], y[:160], x[160:], y[160:], 4)
    assert set(predicted_by(head, x).argmax(1).tolist()) == {0, 1, 3}


def test_features_that_are_all_equal_are_no_trouble():
    x, y = np.ones((20, 4), np.float32), np.arange(20) % 2
    head = fit_head(x, y, x, y, 2)
    assert np.allclose(predicted_by(head, x), 0.5, atol=1e-3)


def test_an_even_head_is_the_optimum_of_the_loss_in_which_classes_weigh_the_same():
    x, y = blobs(3)
    keep = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:20], np.flatnonzero(y == 2)[:8]])
    x, y = x[keep], y[keep]
    head = fit_head(x, y, x, y, 3, even=True)
    square = ((x - x.mean(0)) ** 2).mean()
    wanted = LogisticRegression(C=head.strength / square, max_iter=20_000, tol=1e-9, class_weight="balanced")
    with threadpool_limits(1):
        wanted.fit(x.astype(np.float64), y)
    assert np.allclose(predicted_by(head, x), wanted.predict_proba(x.astype(np.float64)), atol=0.02)
    plain = predicted_by(fit_head(x, y, x, y, 3), x)
    assert predicted_by(head, x)[:, 2].mean() > plain[:, 2].mean()


def groups_of(informative: int, n: int = 400, seed: int = 0):
    """Return (features, labels, sizes of groups): one group tells the classes apart, and each has another size."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    parts = [random.normal(5, spread, (n, size)) for spread, size in ((1e-3, 6), (40.0, 4), (2.0, 8))]
    parts[informative] += parts[informative].std() * y[:, None]
    return np.concatenate(parts, 1).astype(np.float32), y.astype(np.int64), (6, 4, 8)


@pytest.mark.parametrize("informative", [0, 1])
def test_a_group_that_tells_more_is_used_however_small_or_large_its_numbers_are(informative):
    x, y, groups = groups_of(informative)
    head = fit_head(x[:160], y[:160], x[160:], y[160:], 2, groups=groups)
    spreads = [part.std(0) for part in np.split(x[:160] * head.scale, (6, 10), axis=1)]
    wanted = np.sqrt((x[:160, 10:].std(0) ** 2).mean())
    assert all(np.sqrt((spread**2).mean()) == pytest.approx(wanted, rel=1e-3) for spread in spreads)
    assert (head.scale[10:] == 1).all() and head.loss < head.rejected - 0.1 and head.strength > 0.003
    seen = (x * head.scale - (x[:160] * head.scale).mean(0)).astype(np.float64)  # the oracle would take days without
    probabilities = optimum(seen[:160], y[:160], head.strength).predict_proba(seen[160:])
    assert np.allclose(predicted_by(head, x[160:]), probabilities, atol=0.02)
    loss = -np.log(probabilities[np.arange(240), y[160:]]).mean()
    assert head.loss == pytest.approx(loss, abs=0.01)


@pytest.mark.parametrize("few", [False, True])
def test_groups_that_tell_nothing_leave_the_head_of_the_last_one_as_it_is(few):
    x, y, groups = groups_of(2)
    val = slice(160, 180) if few else slice(160, 400)  # then folds are held out too, the same for both
    head = fit_head(x[:160], y[:160], x[val], y[val], 2, groups=groups)
    alone = fit_head(x[:160, 10:], y[:160], x[val, 10:], y[val], 2)
    assert not head.scale[:10].any() and not head.weight[:, :10].any() and head.loss == alone.loss < head.rejected
    assert np.array_equal(head.weight[:, 10:], alone.weight) and np.array_equal(head.bias, alone.bias)
    assert np.allclose(head.logits(x), alone.logits(x[:, 10:]), atol=1e-4)


def test_a_group_without_differences_counts_nothing():
    x, y, groups = groups_of(2)
    x[:, :6] = 3
    head = fit_head(x[:160], y[:160], x[160:], y[160:], 2, groups=groups)
    assert not head.scale[:6].any() and np.isfinite(head.weight).all() and np.isfinite(head.logits(x)).all()


@pytest.mark.parametrize(
    ("informative", "words"), [(0, "features of 3 stages, held"), (2, "the last stage alone, held")]
)
def test_what_was_chosen_is_said_with_both_losses_and_later_stages_get_the_features_that_the_head_takes(
    informative, words
):
    x, y, groups = groups_of(informative)
    steps = Steps(fit_part(x[:160], y[:160], np.arange(160), x[160:], y[160:], HeadFit(2, groups=groups)))
    noted, seen = list(steps)
    head, metrics = steps.result
    assert words in noted.message and f"{head.loss:.3f}" in noted.message and f"{head.rejected:.3f}" in noted.message
    assert np.array_equal(seen.train, x[:160] * head.scale) and np.array_equal(seen.val, x[160:] * head.scale)
    assert metrics[3] == (head.logits(x[160:]).argmax(1) == y[160:]).mean()


def test_a_small_fit_runs_on_one_thread_in_a_fresh_process_too():
    """scikit-learn brings libraries of its own, which a limit that was set before does not reach."""
    code = """
import threadpoolctl
from sightline.training.logistic import _threads_for
with _threads_for(1):
    import sklearn.linear_model, scipy.linalg
    print({each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"})
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "{1}"


@pytest.mark.parametrize(("processors", "threads"), [(2, {1}), (3, {3})])
def test_a_large_fit_runs_on_one_thread_where_there_are_few_processors(processors, threads, monkeypatch):
    monkeypatch.setattr(logistic, "usable_threads", lambda: processors)
    with threadpool_limits(3, user_api="blas"), logistic._threads_for(10**12):
        found = {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}
    assert found == threads


def test_some_of_every_class_come_first_and_all_come_once():
    labels = np.repeat([0, 1, 2], [95, 4, 1])
    order = mixed_order(labels, 3)
    assert set(labels[order[:3]]) == {0, 1, 2} and sorted(order) == list(range(100))
    assert (labels[order[3:50]] == 0).sum() > 40 and not np.array_equal(order, mixed_order(labels, 4))
