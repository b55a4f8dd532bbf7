"""Images in memory: labels that are none, and labels as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.data.sources import read_samples
from sightline.errors import DataError


@pytest.mark.parametrize("labels", [[0, 1, None, 0], [0, 1, float("nan"), 0], ["a", "b", "", "a"]])
def test_a_missing_label_is_no_class(labels):
    images = np.zeros((4, 8, 8), np.uint8)
    with pytest.raises(DataError, match="1 of 4 labels are missing, first that of image 2"):
        read_samples((images, labels))


def test_labels_of_bytes_are_their_text():
    images = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    assert read_samples((images, [b"ant", b"bee", b"ant", b"bee"])).classes == ("ant", "bee")
