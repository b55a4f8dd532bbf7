"""Slices: planted ones are found, chance is not; corrections against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests

from sightline.evaluation.intervals import effective_count
from sightline.evaluation.slices import LEAST_IMAGES, compare_means, find_slices, terciles


def test_adjusted_values_are_statsmodels() -> None:
    random = np.random.default_rng(0)
    hits = random.random(400) < np.where(np.arange(400) % 5 == 0, 0.5, 0.9)
    columns = {f"c{size}": (np.arange(400) % size).astype(str).astype(object) for size in (2, 3, 5, 7)}
    found = find_slices(hits, columns, rate=1.0)
    p = [
        fisher_exact([[hits[own].sum(), (~hits[own]).sum()], [hits[~own].sum(), (~hits[~own]).sum()]]).pvalue
        for column in columns.values()
        for own in (column == value for value in np.unique(column.astype(str)))
    ]
    wanted = dict(zip(np.round(p, 12), multipletests(p, method="fdr_bh")[1], strict=True))
    assert found.searched == len(p) == 17 and len(found.found) > 4
    assert all(one.adjusted == pytest.approx(wanted[round(one.p, 12)]) for one in found.found)


def test_a_planted_slice_is_found_and_named() -> None:
    random = np.random.default_rng(1)
    night = np.array(["night" if k % 8 == 0 else "day" for k in range(400)], object)
    camera = np.array([f"camera {k % 5}" for k in range(400)], object)
    hits = random.random(400) < np.where(night == "night", 0.6, 0.95)
    told = find_slices(hits, {"camera": camera, "light": night})
    assert [(one.column, one.value) for one in told.found] == [("light", "night")]
    first = told.found[0]
    assert first.n == 50
    assert first.high < 0
    assert told.searched == 7


def test_chance_is_rarely_called_a_slice() -> None:
    false = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        hits = random.random(500) < 0.85
        columns = {f"c{k}": random.integers(0, 6, 500).astype(str).astype(object) for k in range(8)}
        false += bool(find_slices(hits, columns).found)
    assert false <= 0.15 * 60


def test_few_images_are_no_slice_and_an_empty_word_is_none() -> None:
    column = np.array(["small"] * (LEAST_IMAGES - 1) + [""] * 30 + ["large"] * 60, object)
    assert find_slices(np.arange(len(column)) >= 40, {"size": column}).searched == 1


def test_names_of_single_images_are_no_groups() -> None:
    column = np.array([f"name {k}" for k in range(300)], object)
    assert find_slices(np.ones(300, bool), {"name": column}).searched == 0


def test_thirds_of_equal_values_are_none() -> None:
    assert set(terciles(np.full(9, 3.0))) == {""}
    assert [int((terciles(np.arange(90.0)) == name).sum()) for name in ("lowest third", "highest third")] == [30, 30]


def test_groups_are_the_witnesses_where_images_come_in_groups() -> None:
    """Patients of 20 images at four sites that do not differ: by images alone a site is named in half of the sets."""
    patients = np.repeat(np.arange(20), 20)
    site = np.array([f"site {number % 4}" for number in range(20)], object)[patients]
    named = {"images": 0, "patients": 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        hits = random.random(400) < random.beta(4 * 0.85, 4 * 0.15, 20)[patients]
        named["images"] += bool(find_slices(hits, {"site": site}).found)
        named["patients"] += bool(find_slices(hits, {"site": site}, units=patients).found)
    assert named["images"] > 20 and named["patients"] <= 6


def test_a_site_that_is_worse_is_found_by_its_patients() -> None:
    patients = np.repeat(np.arange(60), 10)
    site = np.array([f"site {number % 4}" for number in range(60)], object)[patients]
    random = np.random.default_rng(0)
    hits = random.random(600) < np.where(np.arange(60) % 4 == 0, 0.6, 0.93)[patients]
    told = find_slices(hits, {"site": site}, units=patients)
    assert [one.value for one in told.found] == ["site 0"]
    inside = site == "site 0"
    assert told.found[0].n_effective == effective_count(hits[inside], patients[inside]) <= 150
    assert told.found[0].low < -0.33 < told.found[0].high
    few = np.where(patients % 4 == 0, patients % 3, patients)  # all of site 0 are of three patients
    assert not find_slices(hits, {"site": site}, units=few).found


@pytest.mark.parametrize("count", [5, 20])
def test_a_camera_that_is_always_wrong_is_found_by_its_groups(count: int) -> None:
    """The clearest difference there is: no unit differs from its side, so its p is at most Fisher's for the units."""
    units = np.repeat(np.arange(100), 4)
    camera = np.array(["B"] * 4 * count + ["A"] * (400 - 4 * count), object)
    (found,) = find_slices(camera == "A", {"camera": camera}, units=units).found
    assert (found.value, found.accuracy, found.rest) == ("B", 0, 1)
    exact = fisher_exact([[0, count], [100 - count, 0]]).pvalue
    assert exact <= found.p < 1e-3 and found.high < -0.35
    assert compare_means(np.full(400, 0.1), camera == "A", units)[0] == 1
    assert compare_means((camera == "A") / 3, camera == "A", units)[0] == pytest.approx(2 * exact)
