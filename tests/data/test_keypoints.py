"""Keypoints turn, mirror and grow with the image."""

from __future__ import annotations

import numpy as np
import pytest

from scenes import scene
from sightline.data.keypoints import find_keypoints


def grey(seed: int, side: int = 128) -> np.ndarray:
    return np.asarray(scene(seed, side).convert("L"), np.float32) / 255


@pytest.mark.parametrize("seed", range(3))
def test_mirrored_keypoints_are_those_of_the_mirrored_image(seed):
    pixels = grey(seed)
    ours, theirs = find_keypoints(pixels).mirrored, find_keypoints(np.ascontiguousarray(pixels[:, ::-1]))
    likeness = ours.descriptors @ theirs.descriptors.T
    best = likeness.argmax(1)
    assert np.median(likeness.max(1)) > 0.99
    assert np.median(np.abs(ours.points - theirs.points[best])) < 0.5
    assert np.median(np.abs(np.angle(np.exp(1j * (ours.angles - theirs.angles[best]))))) < 0.02


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turn_changes_places_and_angles_and_no_descriptor(quarters):
    pixels = grey(5)
    ours, theirs = find_keypoints(pixels), find_keypoints(np.ascontiguousarray(np.rot90(pixels, quarters)))
    likeness = ours.descriptors @ theirs.descriptors.T
    best = likeness.argmax(1)
    turn = np.exp(1j * (theirs.angles[best] - ours.angles))
    assert np.median(likeness.max(1)) > 0.98
    assert np.median(np.abs(np.angle(turn * np.exp(1j * quarters * np.pi / 2)))) < 0.05  # y points down


def test_descriptors_have_unit_length_and_a_flat_image_has_none():
    np.testing.assert_allclose(np.linalg.norm(find_keypoints(grey(1)).descriptors, axis=1), 1, rtol=1e-5)
    flat = find_keypoints(np.full((128, 140), 0.5, np.float32))
    assert len(flat) == len(flat.mirrored) == 0
