"""Images that show nothing: always the same, of any size, each kind what it says."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.pixels.non_images import NON_IMAGES, make_non_images


@pytest.mark.parametrize("kind", NON_IMAGES)
@pytest.mark.parametrize("size", [8, 32, 224])
def test_they_are_squares_of_any_size_and_always_the_same(kind: str, size: int) -> None:
    made = make_non_images(kind, size, 5)
    assert made.shape == (5, size, size, 3)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, make_non_images(kind, size, 5))
    assert len({image.tobytes() for image in made}) == 5


def test_each_kind_is_what_it_says() -> None:
    assert all(image.reshape(-1, 3).std(0).max() == 0 for image in make_non_images("flat colour", 16))
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) == 2 for image in make_non_images("checkerboard", 64))
    assert all(60 < image.std() < 90 for image in make_non_images("noise", 64))
    assert all(np.median(image) > 200 and image.min() < 120 for image in make_non_images("text", 224))
