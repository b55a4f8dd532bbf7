"""Whether other processes train beside this one."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.launch import is_follower, is_launched, refuse_launched


@pytest.mark.parametrize(
    ("rank", "size", "launched", "follower"),
    [(None, None, False, False), ("0", "1", False, False), ("0", "2", True, False), ("1", "2", True, True)],
)
def test_the_environment_tells_which_process_this_is(monkeypatch, rank, size, launched, follower):
    for name, value in (("RANK", rank), ("WORLD_SIZE", size)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert (is_launched(), is_follower()) == (launched, follower)
    if launched:
        with pytest.raises(InputError, match="--folds is for a single process") as caught:
            refuse_launched("--folds")
        assert caught.value.code == "plan.devices"
    else:
        refuse_launched("--folds")
