"""What no network can answer."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.runtime.answers import find_wrong_answer


def outputs(**changes: object) -> list[np.ndarray]:
    """Right answers to four images of three classes and two features, with changes."""
    right: dict[str, object] = {
        "probabilities": np.full((4, 3), 1 / 3, np.float32),
        "features": np.ones((4, 2), np.float32),
        "novelty": np.zeros(4, np.float32),
    }
    return [np.asarray(value) for value in {**right, **changes}.values()]


def with_row(shape: tuple[int, ...], value: object, fill: float = 1 / 3) -> np.ndarray:
    """Right values but for image 2."""
    array = np.full(shape, fill, np.float32)
    array[2] = value
    return array


def test_right_answers_pass() -> None:
    assert find_wrong_answer(outputs(), 4, 3, 2) == ""


def test_rounding_of_many_classes_passes() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (4, 20_000)).astype(np.float32)
    raised = np.exp(logits)
    said = raised / raised.sum(1, keepdims=True)
    assert find_wrong_answer(outputs(probabilities=said), 4, 20_000, 2) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probabilities": with_row((4, 3), np.nan)}, "not finite"),
        ({"probabilities": with_row((4, 3), [0.5, np.inf, 0.5])}, "not finite"),
        ({"probabilities": with_row((4, 3), [1.2, -0.1, -0.1])}, "below 0 or above 1"),
        ({"probabilities": with_row((4, 3), [0.5, 0.5, 0.5])}, "sum to 1.5"),
        ({"probabilities": with_row((4, 3), 0)}, "sum to 0"),
        ({"features": with_row((4, 2), np.nan, 1)}, "features"),
        ({"novelty": with_row((4,), np.nan, 0)}, "novelty"),
        ({"novelty": with_row((4,), np.inf, 0)}, "novelty"),
        ({"novelty": with_row((4,), -0.5, 0)}, "novelty"),
    ],
)
def test_a_wrong_answer_is_named(changes: dict[str, object], words: str) -> None:
    assert words in find_wrong_answer(outputs(**changes), 4, 3, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": np.full((3, 3), 1 / 3, np.float32)},
        {"probabilities": np.full((4, 3), 1 / 3)},
        {"features": np.ones((4, 3), np.float32)},
        {"novelty": np.zeros((4, 1), np.float32)},
    ],
)
def test_outputs_of_another_shape_or_type_are_wrong(changes: dict[str, object]) -> None:
    assert "must be" in find_wrong_answer(outputs(**changes), 4, 3, 2)
