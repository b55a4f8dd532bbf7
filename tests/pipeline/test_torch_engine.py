"""What torch's engine does with the memory of its process."""

from __future__ import annotations

import pytest

from sightline import process_settings
from sightline.pipeline.torch_engine import TorchEngine
from sightline.planning.facts import DataFacts
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe

pytestmark = pytest.mark.skipif(process_settings._libc() is None, reason="mallopt is glibc's")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is called on malloc, which is called all the same, by name; and the steps of a training."""
    found: list[str] = []
    libc = process_settings._libc()
    assert libc is not None
    mallopt, trim = libc

    def set_one(name: int, value: int) -> int:
        if name == process_settings._MMAP_MAX:
            found.append("kept" if value == 0 else "as before")
        return mallopt(name, value)

    monkeypatch.setattr(process_settings, "_libc", lambda: (set_one, lambda pad: found.append("trimmed") or trim(pad)))
    as_set = process_settings.ProcessSettings("passive", "passive", "kept")
    monkeypatch.setattr(process_settings, "set_up_process", lambda: as_set)
    return found


def test_memory_is_kept_while_steps_are_measured_and_free_again_for_the_plan(called, monkeypatch) -> None:
    """As in the training, whose time they tell; the memory that is free is asked for afterwards."""
    from sightline.networks.describe import describe_network
    from sightline.training import estimate

    monkeypatch.setattr(estimate, "_time", lambda run, *more: called.append("step") or estimate.Timing(1, 1, 1))
    engine, data = TorchEngine(), DataFacts(("a", "b"), {"train": 8, "val": 4, "test": 0}, 32, 1.0)
    plan = make_plan(Recipe(), Recipe(width=8), data, engine.probe("cpu"), describe_network("small-fast"))
    engine.measure(plan, 2, 8, 4, None)
    assert called[0] == "kept" and called[-2:] == ["as before", "trimmed"] and called.count("step") == len(called) - 3


def test_a_training_that_fails_gives_its_memory_back(called) -> None:
    training = TorchEngine().fit(None, None, None)
    with pytest.raises(AttributeError):
        next(training)
    assert called == ["kept", "as before", "trimmed"]
