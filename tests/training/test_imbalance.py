"""Answers to uneven classes beside scikit-learn's, and what a balanced order promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from sightline.training.imbalance import balanced_order, class_weights

Labels = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array)


@given(Labels)
def test_weights_are_scikit_learns(labels):
    counts = np.bincount(labels, minlength=6)
    present = np.unique(labels)
    mine = np.array(class_weights(counts.tolist()))
    assert mine[present] == pytest.approx(compute_class_weight("balanced", classes=present, y=labels))
    assert mine[labels].mean() == pytest.approx(1)
    assert (mine[counts == 0] == 1).all()


@given(Labels, st.integers(0, 5), st.integers(1, 5))
def test_each_class_comes_as_often_as_any_other_and_no_image_twice_before_its_class_is_through(labels, seed, epoch):
    order = balanced_order(labels, seed, epoch)
    assert len(order) == len(labels)
    drawn = np.bincount(labels[order], minlength=5)[np.unique(labels)]
    assert drawn.max() - drawn.min() <= 1
    for wanted in np.unique(labels):
        times = np.bincount(order, minlength=len(labels))[labels == wanted]
        assert times.max() - times.min() <= 1


def test_the_order_is_a_function_of_seed_and_epoch():
    labels = np.arange(60) % 3
    first, again = balanced_order(labels, 1, 1), balanced_order(labels, 1, 1)
    assert (first == again).all()
    assert (first != balanced_order(labels, 1, 2)).any() and (first != balanced_order(labels, 2, 1)).any()


def test_over_the_epochs_every_image_of_a_large_class_comes():
    labels = np.array([0] * 30 + [1] * 4)
    seen = {int(k) for epoch in range(1, 12) for k in balanced_order(labels, 0, epoch)}
    assert seen == set(range(34))
