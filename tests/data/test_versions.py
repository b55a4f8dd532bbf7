"""Versions of one original: which pairs are proposed and confirmed, and what joins units."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from scenes import VERSIONS, scene
from sightline.data.duplicates import find_duplicates
from sightline.data.inspect import inspect_samples
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.data.versions import (
    _without_bridges,
    confirm_versions,
    matchable,
    propose_versions,
    sample_rows,
    screen_versions,
)
from sightline.steps import result_of


def folder_of(root, images: dict[str, Image.Image]) -> Samples:
    for name, image in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name)
    return result_of(inspect_samples(read_samples(root)))


def confirmed(samples: Samples, pairs: list[tuple[int, int]]) -> set[frozenset[str]] | None:
    rows, places = np.arange(len(samples)), np.array(pairs, np.intp)
    found = result_of(confirm_versions(samples, rows, places, np.zeros(len(places), np.intp)))
    return None if found is None else {frozenset(pair) for pair in samples.paths[found].tolist()}


def test_confirmed_are_versions_alone(tmp_path):
    changes = list(VERSIONS.values())[:4]
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k) for k in range(4)}
    images |= {f"{'ab'[k % 2]}/{k}-again.png": change(scene(k)) for k, change in enumerate(changes)}
    samples = folder_of(tmp_path / "set", images)
    every = [(one, other) for one in range(8) for other in range(one)]
    wanted = {frozenset((f"{'ab'[k % 2]}/{k}.png", f"{'ab'[k % 2]}/{k}-again.png")) for k in range(4)}
    assert confirmed(samples, every) == wanted


def forms(count: int) -> dict[str, Image.Image]:
    """One printed form, filled in differently."""
    random, images = np.random.default_rng(0), {}
    for k in range(count):
        form = scene(0).copy()
        ImageDraw.Draw(form).rectangle((10, *random.integers(10, 80, 1), 30, 90), fill=(k * 10, 40, 90))
        images[f"{'ab'[k % 2]}/{k}.png"] = form
    return images


def test_forms_that_are_alike_by_nature_are_no_versions(tmp_path):
    """Any two of one form lie over each other, so that nothing can be told."""
    samples = folder_of(tmp_path / "set", forms(24))
    assert confirmed(samples, [(0, 2), (4, 6), (8, 10)]) is None


@pytest.mark.parametrize("originals", [2, 3])
def test_versions_of_a_few_originals_are_versions_though_random_pairs_agree(tmp_path, originals):
    """Of two originals, every other random pair are versions: that is no sign of one form."""
    random, images = np.random.default_rng(0), {}
    for k in range(24):
        turned = scene(k % originals).rotate(random.uniform(-25, 25), Image.Resampling.BICUBIC)
        images[f"{'ab'[k % originals % 2]}/{k:02d}.png"] = turned
    samples = folder_of(tmp_path / "set", images)
    of = np.array([int(path[2:4]) % originals for path in samples.paths])
    rings = [np.flatnonzero(of == k) for k in range(originals)]
    chains = [(int(one), int(other)) for ring in rings for one, other in pairwise(ring)]
    found = confirmed(samples, chains)
    assert found is not None and len(found) > len(chains) * 3 // 4


def test_a_single_doubtful_pair_joins_no_two_units():
    chains = np.array([(0, 1), (1, 2), (3, 4), (4, 5), (2, 3), (6, 7)])
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.72, 0.72])
    assert (2, 3) not in set(map(tuple, _without_bridges(chains, sure, 8).tolist()))
    assert (6, 7) in set(map(tuple, _without_bridges(chains, sure, 8).tolist()))
    twice = np.concatenate([chains, [(1, 4)]])
    assert len(_without_bridges(twice, np.append(sure, 0.72), 8)) == len(twice)


def test_nearest_neighbours_are_proposed_and_near_duplicates_are_not(table):
    features = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    features[1] = features[0] + 0.01
    features[3] = features[2] + 0.01
    samples = table([0] * 40)
    rows = np.arange(40)
    pairs, ranks = propose_versions(samples, rows, features)
    assert set(map(tuple, pairs[:2].tolist())) == {(0, 1), (2, 3)}
    assert not ranks[:2].any()
    cosines = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = (cosines @ cosines.T - 2 * np.eye(40)).argmax(1)
    wanted = {tuple(sorted(pair)) for pair in enumerate(nearest.tolist())}
    assert {tuple(pair) for pair in pairs[ranks == 0].tolist()} == wanted
    object.__setattr__(samples, "near", np.array([[3, 2]]))
    assert [2, 3] not in propose_versions(samples, rows, features)[0].tolist()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_image_is_no_crash(table, count):
    pairs, ranks = propose_versions(table([0] * 3), np.arange(count), np.ones((count, 4), np.float32))
    assert len(pairs) == len(ranks) == max(0, count - 1)
    assert len(screen_versions(pairs, count)) == len(pairs)


def test_a_sample_is_part_of_the_rows_in_their_order(table):
    samples, rows = table([0] * 1_000), np.arange(0, 1_000, 2)
    some = sample_rows(samples, rows, 200)
    assert len(some) == 200
    assert set(some.tolist()) <= set(rows.tolist())
    assert (np.diff(some) > 0).all()
    assert (np.diff(some) == 2).sum() > 90  # runs of names: half of them
    np.testing.assert_array_equal(sample_rows(samples, rows, 500), rows)


def test_images_under_32_px_and_copies_are_not_compared(tmp_path):
    images = {"a/0.png": scene(0), "a/copy.png": scene(0), "b/1.png": scene(1), "b/small.png": scene(2, 30)}
    samples = folder_of(tmp_path / "set", images)
    assert set(samples.paths[matchable(samples)]) <= {"a/0.png", "a/copy.png", "b/1.png"}
    assert len(matchable(samples)) == 2


@pytest.mark.parametrize("search", ["duplicates", "versions"])
def test_small_products_are_computed_by_one_thread_and_others_as_before(tmp_path, monkeypatch, search):
    """Threads of such products wait for each other longer than they work: it took twice the computing time."""
    from threadpoolctl import threadpool_info, threadpool_limits

    for k in range(6):
        (tmp_path / f"{'ab'[k % 2]}").mkdir(exist_ok=True)
        scene(k // 2, 96).save(tmp_path / "ab"[k % 2] / f"{k}.png")
        scene(k // 2, 96).save(tmp_path / "ab"[k % 2] / f"{k}.jpg")
    samples = result_of(inspect_samples(read_samples(tmp_path)))
    seen: list[int] = []

    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    name = {"duplicates": "compare", "versions": "agreement"}[search]
    real = getattr(sys.modules[f"sightline.data.{search}"], name)
    monkeypatch.setattr(f"sightline.data.{search}.{name}", lambda *some: seen.extend(threads()) or real(*some))
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        if search == "duplicates":
            assert len(result_of(find_duplicates(samples, folder=tmp_path / "cache")).near)
        else:
            confirmed(samples, [(0, 1), (2, 3)])
        assert threads() == before
    assert set(seen) == {1}
