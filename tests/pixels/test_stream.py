"""Threads that work ahead: in order, bounded, and stopped when nobody listens."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
