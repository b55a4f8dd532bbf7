"""A device that this machine lacks: a recipe's is a wish, an option's an order.

And how long a training is expected to take.
"""

from __future__ import annotations

import pytest

from finished import write_colours
from sightline.errors import DeviceError
from sightline.events import Event, Planned, Warned
from sightline.pipeline.decide import plan_job
from sightline.pipeline.job import Job
from sightline.pipeline.torch_engine import TorchEngine
from sightline.planning.budget import Costs
from sightline.planning.recipe import Recipe
from sightline.training import hardware

ELSEWHERE = Recipe(device="cuda:7", precision="fp16", compile=True, threads=64, epochs=2)


@pytest.fixture
def job(tmp_path, monkeypatch) -> Job:
    monkeypatch.setattr(hardware, "_try_cuda", lambda device: ("", ""))  # no GPU, whatever is here
    return Job(write_colours(tmp_path / "colours", 8), ELSEWHERE, out=tmp_path)


def test_a_recipe_from_another_machine_is_planned_for_this_one(job):
    events: list[Event] = list(plan_job(job))
    said = [event for event in events if isinstance(event, Warned) and event.code.startswith("device.")]
    assert [event.code for event in said] == ["device.recipe"] and "cuda:7" in said[0].message
    (planned,) = (event for event in events if isinstance(event, Planned))
    values = {name: value for name, value, _, _ in planned.rows}
    assert values["device"] == hardware.probe_hardware().device and values["precision"] != "fp16"
    assert (values["compile"], values["epochs"]) == ("False", "2") and values["threads"] != "64"


def test_a_device_that_is_typed_is_an_order(job):
    with pytest.raises(DeviceError) as caught:
        list(plan_job(Job(job.source, options=Recipe(device="cuda:7"), out=job.out)))
    assert caught.value.code == "device.missing"


@pytest.mark.parametrize("limit", [0, 600])
def test_a_time_limit_is_used_whole_however_unsure_the_steps_are(job, monkeypatch, limit):
    """Without one, 40 epochs of steps of 100 s take from a tenth to twice as long as measured."""
    costs = Costs(100.0, 0.0, 0.0, sure=(0.1, 2.0), waited=0.7)
    monkeypatch.setattr(TorchEngine, "measure", lambda self, *more: costs)
    chosen = Recipe(time=limit, model="small-fast", width=64, early_sizes=(), early_share=0.0)
    events: list[Event] = list(plan_job(Job(job.source, options=chosen, out=job.out)))
    (planned,) = (event for event in events if isinstance(event, Planned))
    assert planned.waited == 0.7 and planned.seconds
    if limit:
        assert planned.least == planned.most == planned.seconds < 600
    else:
        assert (planned.least, planned.most) == pytest.approx((planned.seconds / 10, 2 * planned.seconds))
