"""Generators that yield how far they are and return a result: how they are driven by those who want the result."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["Steps", "result_of"]

Y = TypeVar("Y")
T = TypeVar("T")


class Steps(Generic[Y, T]):
    """A generator to be looped over with ``for``; what it returned is there after the loop.

    Attributes:
        result: what the generator returned; not there before its end.

    Example:
        >>> def count():
        ...     yield 1
        ...     return "done"
        >>> steps = Steps(count())
        >>> [number for number in steps], steps.result
        ([1], 'done')
    """

    result: T

    def __init__(self, generator: Generator[Y, None, T]) -> None:
        self._generator = generator

    def __iter__(self) -> Iterator[Y]:
        self.result = yield from self._generator


def result_of(generator: Generator[Any, None, T]) -> T:
    """Drive a generator to its end and return its result; what it yields on the way is not shown."""
    steps = Steps(generator)
    for _ in steps:
        pass
    return steps.result
