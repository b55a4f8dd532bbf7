"""The confusion matrix in JSON: what is read is what was written; its size is that of its cells that have images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from sightline.evaluation.confusion import confusion_from, confusion_to
from sightline.evaluation.metrics import evaluate_predictions

ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(ANSWERS)
def test_it_is_read_back_in_both_forms(answers: list[tuple[int, int]]) -> None:
    matrix = confusion_matrix(*zip(*answers, strict=True), labels=range(5))
    assert (confusion_from(json.loads(json.dumps(confusion_to(matrix))), 5) == matrix).all()
    assert (confusion_from(matrix.tolist(), 5) == matrix).all()


def test_metrics_of_4_000_classes_grow_with_the_classes_not_with_their_square() -> None:
    sizes = []
    for classes in (1_000, 4_000):
        labels = np.arange(300) * (classes // 300)
        probabilities = np.full((300, classes), 0.5 / classes, np.float32)
        probabilities[np.arange(300), (labels + np.arange(300) % 2) % classes] += 0.5
        names = tuple(f"class {k}" for k in range(classes))
        sizes.append(len(json.dumps(evaluate_predictions(labels, probabilities, names))))
    assert sizes[1] < 4.2 * sizes[0] and sizes[1] < 2_000_000


@pytest.mark.parametrize(
    "written",
    [
        {"classes": 10**9, "cells": []},
        {"classes": 3, "cells": [[0, 3, 1]]},
        {"classes": 3, "cells": [[-1, 0, 1]]},
        {"classes": 3, "cells": [[0, 1]]},
        {"classes": 3, "cells": [["a", 0, 1]]},
        {"classes": 3},
        [[1, 2], [3, 4]],
        [1],
    ],
)
def test_what_is_no_matrix_of_these_classes_is_refused(written: object) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        confusion_from(written, 3)
