"""What needs no learning, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import NearestCentroid

from sightline.evaluation.baselines import majority_class, nearest_class_mean
from sightline.evaluation.intervals import wilson


@given(st.lists(st.integers(0, 4), min_size=1), st.lists(st.integers(0, 4), min_size=1))
def test_majority_class_is_scikit_learns_dummy(train: list[int], test: list[int]) -> None:
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train), 1)), train)
    wanted = dummy.score(np.zeros((len(test), 1)), test)
    assert majority_class(np.array(train), np.array(test)).value == pytest.approx(wanted)


@given(st.integers(0, 2**31))
def test_nearest_class_mean_is_scikit_learns_nearest_centroid(seed: int) -> None:
    random = np.random.default_rng(seed)
    train_labels = np.r_[0, 2, random.choice([0, 2, 3], 30)]  # class 1 has no image
    test_labels = random.choice([0, 1, 2, 3], 40)
    train = (random.normal(size=(32, 6)) + train_labels[:, None]).astype(np.float32)
    test = (random.normal(size=(40, 6)) + test_labels[:, None]).astype(np.float32)
    wanted = NearestCentroid().fit(train, train_labels).score(test, test_labels)
    assert nearest_class_mean(train, train_labels, test, test_labels).value == pytest.approx(wanted)


def test_baselines_have_intervals_and_counts() -> None:
    assert majority_class(np.array([1, 1, 0]), np.array([1, 0, 1, 1])) == wilson(3, 4)
    points = np.array([[0.0], [1.0]], np.float32)
    assert nearest_class_mean(points, np.array([0, 1]), points + 0.1, np.array([0, 1])) == wilson(2, 2)
