"""Threads that work ahead: in order, bounded, and stopped when nobody listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import UnreadableImage
from sightline.pixels import stream
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.stream import in_tasks, run_ahead


@given(st.integers(0, 300), st.integers(1, 9))
def test_tasks_are_all_positions_in_order_and_none_is_large(count: int, threads: int) -> None:
    tasks = in_tasks(range(count), threads)
    assert [position for task in tasks for position in task] == list(range(count))
    assert all(1 <= len(task) <= 32 for task in tasks)
    assert len(tasks) >= min(count, threads)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4), st.integers(1, 9))
def test_results_come_in_the_order_of_the_tasks(tasks: list[int], threads: int, ahead: int) -> None:
    assert list(run_ahead(str, tasks, threads, ahead)) == [str(task) for task in tasks]


def test_no_task_is_begun_before_its_time() -> None:
    begun: list[int] = []
    running = run_ahead(begun.append, range(20), threads=3, ahead=4)
    for done in range(1, 10):
        next(running)
        time.sleep(0.01)
        assert len(begun) <= done + 4
    running.close()
    assert len(begun) <= 9 + 4


def test_who_stops_listening_stops_the_threads() -> None:
    running = run_ahead(lambda _: time.sleep(0.01), range(100), threads=2, ahead=2)
    next(running)
    running.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixels")]


def test_an_error_of_the_work_arrives_at_its_place() -> None:
    running = run_ahead(lambda k: 1 // k, [1, 1, 0, 1], threads=2, ahead=3)
    assert [next(running), next(running)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(running)


@pytest.mark.parametrize("quick", [0.0, 10.0])
def test_squares_come_in_order_however_many_are_decoded_in_a_task(
    tmp_path: Path, write_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, quick: float
) -> None:
    """And are taken as they are needed: no more ahead than is asked for, rounded up to tasks."""
    monkeypatch.setattr(stream, "_QUICK", quick)
    monkeypatch.setattr(stream, "_TASK", 3)
    preprocess = Preprocess(size=6, resize=8)
    files = [write_image(tmp_path / f"{number}.png", seed=number) for number in range(20)]
    wanted = [preprocess.apply(preprocess.decode(file)) for file in files]
    files[5].write_bytes(b"")
    taken: list[Path] = []

    def named() -> Iterator[Path]:
        for file in files:
            taken.append(file)
            yield file

    found = stream.squares_of(preprocess, named(), ahead=6)
    first = list(islice(found, 5))
    assert len(taken) <= 5 + max(6, 2 * stream.usable_threads()) + 3
    squares = [*first, *found]
    assert len(squares) == 20 and isinstance(squares[5], UnreadableImage)
    pairs = [pair for number, pair in enumerate(zip(squares, wanted, strict=True)) if number != 5]
    assert all(np.array_equal(*pair) for pair in pairs)
