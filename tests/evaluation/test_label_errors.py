"""Label errors on arrays: planted ones are found, at better precision than confident learning alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from sightline.evaluation.label_errors import cross_validate, find_label_errors, find_neighbours


def planted(seed: int, classes: int = 5, share: float = 0.05):
    random = np.random.default_rng(seed)
    truth = np.arange(500) % classes
    features = random.normal(0, 1, (classes, 24))[truth] + random.normal(0, 1, (500, 24))
    labels = truth.copy()
    wrong = random.choice(500, int(500 * share), replace=False)
    labels[wrong] = (labels[wrong] + random.integers(1, classes, len(wrong))) % classes
    return features.astype(np.float32), labels, truth, set(wrong.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_found(seed):
    features, labels, truth, wrong = planted(seed)
    units = np.arange(len(labels))
    votes = find_neighbours(features, labels, units).votes
    found = find_label_errors(cross_validate(features, labels, units), votes, labels)
    hits = wrong & set(found.rows.tolist())
    assert len(hits) / len(wrong) > 0.7
    assert len(hits) / len(found.rows) > 0.7
    right = found.suggested[np.isin(found.rows, list(wrong))] == truth[found.rows[np.isin(found.rows, list(wrong))]]
    assert right.mean() > 0.9
    assert (np.diff(found.scores) <= 0).all()


def test_right_labels_are_left_alone():
    features, _, truth, _ = planted(0)
    units = np.arange(len(truth))
    votes = find_neighbours(features * 10, truth, units).votes
    assert len(find_label_errors(cross_validate(features * 10, truth, units), votes, truth).rows) <= 5


def test_one_witness_is_not_enough():
    labels = np.array([0, 0, 1, 1])
    against = np.array([[0.01, 0.99], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], np.float32)
    with_it = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert len(find_label_errors(against, with_it, labels).rows) == 0
    assert len(find_label_errors(with_it, against, labels).rows) == 0
    assert find_label_errors(against, against, labels).rows.tolist() == [0]


def test_votes_are_those_of_the_nearest_by_cosine():
    features, labels, _, _ = planted(1)
    near = find_neighbours(features, labels, np.arange(500))
    oracle = NearestNeighbors(n_neighbors=11, metric="cosine").fit(features)
    distances, rows = oracle.kneighbors(features)
    for row in range(500):
        others = [other for other in rows[row] if other != row][:10]
        np.testing.assert_allclose(near.votes[row], np.bincount(labels[others], minlength=5) / 10, atol=1e-6)
    np.testing.assert_allclose(near.likeness, 1 - distances[:, 1:].mean(1), atol=1e-4)
    np.testing.assert_allclose(near.cosine, 1 - distances[:, 1], atol=1e-4)
    assert (near.nearest == rows[:, 1]).mean() > 0.99


def test_images_of_one_unit_neither_vote_nor_train_for_each_other():
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (60, 2_000)).astype(np.float32)
    labels = random.integers(0, 2, 60)
    doubled, twice = np.concatenate([features] * 2), np.concatenate([labels] * 2)
    units = np.concatenate([np.arange(60)] * 2)
    probabilities = cross_validate(doubled, twice, units)
    right = (probabilities.argmax(1) == twice).mean()
    assert right < 0.75  # noise: a copy seen in training would make it 1
    near = find_neighbours(doubled, twice, units)
    assert near.cosine.max() < 0.999
