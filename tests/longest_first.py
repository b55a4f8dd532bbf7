"""Where tests run side by side, those that take longest begin first: none of them is left to one process at the end.

pytest-xdist deals tests out in their order and lets an idle process take over what another has not begun, from the end
of its list. In the order of folders, ``e2e`` and ``examples`` would be in the middle of the lists.
"""

from __future__ import annotations

import pytest

from workers import WORKER

# Parts of their names, about a minute of one core down to ten seconds. One that is missing costs some idle seconds.
# Files whose tests share something dear stand here whole: their tests stay together, and one process makes it.
LONGEST = (
    "test_quickstart.py::",
    "::test_a_training_that_is_killed_and_taken_up_again",
    "::test_every_cell_shows_what_it_should",
    "::test_the_demo_goes_the_whole_way",
    "test_dist.py::",  # makes the environment of those in test_without_torch.py
    "test_without_torch.py::",
    "test_fit_head.py::",
    "::test_a_training_that_is_stopped_leaves_a_run",
    "::test_torchrun_is_joined",
    "::test_a_process_that_is_killed_is_named",
    "pipeline/test_selftest.py::",
    "::test_the_commands_of_a_page_run",
    "::test_closed_pipes_do_not_end_a_training",
    "::test_a_terminal_that_is_closed",
    "test_repeat.py::",
    "test_earlier.py::",
    "pipeline/test_frozen_features.py::",
    "reading/test_check.py::",
    "::test_the_limit_decides_width_and_epochs",
    "test_process_group.py::",
    "::test_a_process_that_lives_on",
)


def _place(item: pytest.Item) -> int:
    return next((place for place, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; all others keep their order."""
    if WORKER:
        items.sort(key=_place)
