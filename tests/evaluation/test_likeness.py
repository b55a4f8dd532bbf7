"""Whether groups are alike: seldom by chance, and where they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sightline.evaluation.likeness import compare_groups


def draw(seed: int, alike: float):
    """Return 120 features of 2 classes, with groups of three that share a part of them."""
    random = np.random.default_rng(seed)
    groups, labels = np.arange(120) // 3, np.arange(120) // 3 % 2
    features = random.normal(size=(120, 16)) + alike * random.normal(size=(40, 16))[groups] + labels[:, None]
    return features.astype(np.float32), groups, labels


def test_groups_that_say_nothing_are_seldom_called_alike() -> None:
    chances = [compare_groups(*draw(seed, 0.0)).p for seed in range(60)]
    assert sum(p <= 0.01 for p in chances) <= 3 and sum(p <= 0.5 for p in chances) == pytest.approx(30, abs=12)


def test_groups_that_share_something_are_called_alike() -> None:
    assert all(compare_groups(*draw(seed, 0.7)).is_clear for seed in range(10))


def test_a_group_in_one_class_is_not_alike_by_its_class_alone() -> None:
    features, groups, labels = draw(0, 0.0)
    assert not compare_groups(features + 9 * labels[:, None].astype(np.float32), groups, labels).is_clear


def test_the_means_are_scipys_cosines_of_pairs_of_one_class() -> None:
    features, groups, labels = draw(1, 0.5)
    found = compare_groups(features, groups, labels)
    cosines = 1 - cdist(features, features, "cosine")
    one, other = np.triu_indices(120, 1)
    same = labels[one] == labels[other]
    inside = (groups[one] == groups[other])[same]
    values = cosines[one, other][same]
    assert (found.within, found.between) == pytest.approx((values[inside].mean(), values[~inside].mean()), abs=1e-5)


def test_without_pairs_there_is_no_answer() -> None:
    features, _, labels = draw(0, 0.0)
    assert compare_groups(features, np.arange(120), labels) is None
    assert compare_groups(np.zeros_like(features), np.arange(120) // 3, labels) is None
