"""Generators with a result, driven by those who want it."""

from __future__ import annotations

import pytest

from sightline.steps import Steps, result_of


def counting(most: int):
    yield from range(most)
    return f"{most} counted"


@pytest.mark.parametrize("most", [0, 3])
def test_the_result_is_there_after_the_loop(most):
    steps = Steps(counting(most))
    assert list(steps) == list(range(most))
    assert steps.result == result_of(counting(most)) == f"{most} counted"


def test_there_is_no_result_before_the_end():
    steps = Steps(counting(3))
    for _ in steps:
        break
    with pytest.raises(AttributeError):
        _ = steps.result


def test_errors_come_through():
    def failing():
        yield 1
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        result_of(failing())
