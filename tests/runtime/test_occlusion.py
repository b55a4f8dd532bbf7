"""Occlusion: against the loop that it says it is, and where what decides is known."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.evaluation.agreement import map_agreement
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier
from sightline.runtime.occlusion import count_positions, cover, occlusion_map


class Corner(Classifier):
    """Sees class 1 as surely as the top left quarter is bright."""

    def __init__(self):
        preprocess = Preprocess(size=32, resize=32)
        super().__init__(None, Bundle(("dark", "bright"), preprocess, "corner", 1, *["none"] * 5), None)
        self.asked = []

    def run(self, squares):
        self.asked.append(len(squares))
        half = squares.shape[1] // 2
        one = squares[:, :half, :half].mean((1, 2, 3)) / 255
        return np.stack([1 - one, one], 1).astype(np.float32), np.zeros((len(squares), 1)), np.zeros(len(squares))


def bright_corner(side: int) -> np.ndarray:
    square = np.zeros((side, side, 3), np.uint8)
    square[: side // 2, : side // 2] = 240
    return square


@pytest.mark.parametrize(("side", "cells"), [(16, 4), (16, 8), (20, 7), (5, 8)])
def test_it_is_the_mean_fall_of_the_patches_over_a_pixel(side, cells):
    square = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    classifier = Corner()
    found = occlusion_map(classifier, square, 1, cells=cells)
    count = min(cells, side)
    edges = [round(k * side / count) for k in range(count + 1)]
    before, falls = classifier.run(square[None])[0][0, 1], [[[] for _ in range(side)] for _ in range(side)]
    for i in range(-1, count):
        for j in range(-1, count):
            rows = range(edges[max(i, 0)], edges[min(i + 2, count)])
            columns = range(edges[max(j, 0)], edges[min(j + 2, count)])
            changed = square.copy()
            changed[np.ix_(rows, columns)] = square.mean((0, 1)).round()
            fall = before - classifier.run(changed[None])[0][0, 1]
            for y in rows:
                for x in columns:
                    falls[y][x].append(fall)
    assert {len(values) for row in falls for values in row} == {4}
    wanted = np.array([[np.mean(values) for values in row] for row in falls])
    assert found.dtype == np.float32 and found.shape == (side, side)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_only_the_place_that_decides_lowers_the_probability():
    found = occlusion_map(Corner(), bright_corner(32), 1, cells=8)
    assert found[:16, :16].min() > 0
    assert not found[20:].any() and not found[:, 20:].any()  # further than half a patch away
    other = occlusion_map(Corner(), bright_corner(32), 0, cells=8)
    np.testing.assert_allclose(other, -found, atol=1e-7)  # what speaks for one of two speaks against the other


@pytest.mark.parametrize("cells", [3, 7, 14])
def test_it_costs_what_it_says(cells):
    classifier = Corner()
    square = bright_corner(64)
    occlusion_map(classifier, square, 1, cells=cells)
    assert sum(classifier.asked) == count_positions(cells)


def test_large_images_are_asked_in_parts(monkeypatch):
    whole = occlusion_map(Corner(), bright_corner(32), 1)
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 5)
    classifier = Corner()
    assert np.array_equal(occlusion_map(classifier, bright_corner(32), 1), whole)
    assert max(classifier.asked) == 5


def test_patches_have_the_mean_colour_and_leave_the_image_alone():
    square = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    before = square.copy()
    images, _ = cover(square, 4)
    assert np.array_equal(square, before) and len(images) == 25
    assert np.array_equal(np.unique(images[12][3:9, 3:9].reshape(-1, 3), axis=0)[0], square.mean((0, 1)).round())
    assert (images[12] != square).any(-1).sum() <= 36


def test_two_maps_of_one_place_agree():
    found = occlusion_map(Corner(), bright_corner(32), 1, cells=8)
    mask = np.zeros((32, 32), np.float32)
    mask[:16, :16] = 1
    assert map_agreement(mask, found, 8) > 0.7
    assert map_agreement(mask[::-1, ::-1], found, 8) < 0
