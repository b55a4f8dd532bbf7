"""Candidates for near-duplicates: those of the plain definition, whatever part of the cosines is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.data import similar_signatures
from sightline.data.samples import Samples
from sightline.data.similar_signatures import SIMILAR, SIMILAR_INNER, find_candidates
from sightline.pixels.image_facts import FACTS, MIRROR

NEAR = 1e-5  # of cosines that are computed with 24 bits


def samples_of(signatures: np.ndarray, inner: np.ndarray) -> Samples:
    facts = np.zeros(len(signatures), FACTS)
    facts["signature"], facts["inner"] = signatures, inner
    paths = np.array([f"{k}.png" for k in range(len(facts))], object)
    return Samples(Path("set"), "set", ("a",), paths, np.zeros(len(facts), np.int64), facts=facts)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def signatures(count: int, originals: int, spread: float, seed: int = 0) -> Samples:
    """Images that are each like one of some originals, or its mirror; their inner signatures differ more or less."""
    random = np.random.default_rng(seed)
    drawn = unit(random.normal(size=(originals, 64)))[random.integers(0, originals, count)]
    drawn[::2] *= MIRROR
    whole = unit(drawn + spread * unit(random.normal(size=(count, 64))) * random.uniform(0, 1, (count, 1)))
    inner = unit(whole + 0.9 * unit(random.normal(size=(count, 64))) * random.uniform(0, 1, (count, 1)) ** 2)
    whole[:2], inner[2:4] = 0, 0  # flat images, and images that are flat inside
    return samples_of(whole, inner)


def plain_cosines(samples: Samples) -> np.ndarray:
    """The largest of the three cosines that reaches its bar; 0 where none does."""
    whole, inner = (samples.facts[name].astype(np.float64) for name in ("signature", "inner"))
    has_structure = np.abs(whole).sum(1) > 0
    largest = np.zeros((len(whole), len(whole)))
    for ones, others, bar in ((whole, whole, SIMILAR), (whole, inner, SIMILAR_INNER), (inner, whole, SIMILAR_INNER)):
        found = np.maximum(ones @ others.T, (ones * MIRROR) @ others.T)
        largest = np.maximum(largest, np.where(found > bar, found, 0))
    largest[~has_structure] = largest[:, ~has_structure] = 0
    np.fill_diagonal(largest, 0)
    return largest


@pytest.mark.parametrize(
    "count, originals, spread",
    [(700, 500, 0.9), (700, 60, 0.6), (700, 20, 0.9), (600, 1, 0.3), (3, 1, 0.1), (2, 1, 0.1)],
    ids=["few pairs", "several", "some classes alike", "one film", "one", "flat"],
)
def test_candidates_are_the_dozen_most_similar_of_each_image(monkeypatch, count, originals, spread):
    samples = signatures(count, originals, spread)
    cosines = plain_cosines(samples)
    monkeypatch.setattr(similar_signatures, "_MOST_EACH", 1_000)
    monkeypatch.setattr(similar_signatures, "_PENDING", 3_000)
    found = find_candidates(samples, np.arange(count))
    twelfth = np.sort(cosines, axis=1)[:, -min(12, count)]
    least = np.minimum(twelfth[:, None], twelfth)  # in either list
    assert (found[:, 0] < found[:, 1]).all() and len(np.unique(found, axis=0)) == len(found)
    is_found = np.zeros(cosines.shape, bool)
    is_found[found[:, 0], found[:, 1]] = is_found[found[:, 1], found[:, 0]] = True
    assert (cosines[is_found] > 0).all()
    assert (cosines[is_found] >= least[is_found] - NEAR).all()
    assert is_found[(cosines > 0) & (cosines > least + NEAR)].all()
    values = cosines[found[:, 0], found[:, 1]]
    assert (np.diff(values) <= NEAR).all()  # the most similar first


def test_images_have_four_candidates_on_average_at_most_and_each_its_most_similar(monkeypatch):
    samples = signatures(300, 1, 0.3)
    found = find_candidates(samples, np.arange(300))
    cosines = plain_cosines(samples)
    assert len(found) == 4 * 300
    pairs = set(map(tuple, found.tolist()))
    assert all(tuple(sorted((k, int(cosines[k].argmax())))) in pairs for k in range(2, 300))


def test_candidates_within_cells_contain_the_copies_that_all_pairs_contain(monkeypatch):
    random = np.random.default_rng(0)
    whole = unit(random.normal(size=(120, 64)))
    whole[60:70] = unit(whole[:10] * np.where(np.arange(10)[:, None] % 2, MIRROR, 1) + random.normal(0, 0.01, (10, 64)))
    samples = samples_of(whole, whole)
    monkeypatch.setattr(similar_signatures, "_CELL", 20)
    assert {(k, 60 + k) for k in range(10)} <= set(map(tuple, find_candidates(samples, np.arange(120)).tolist()))


def test_positions_are_those_in_the_rows_that_are_asked_for():
    samples = signatures(60, 30, 0.2)
    rows = np.arange(59, -1, -1)
    whole = {frozenset(pair) for pair in find_candidates(samples, np.arange(60)).tolist()}
    assert {frozenset(rows[pair].tolist()) for pair in find_candidates(samples, rows)} == whole
