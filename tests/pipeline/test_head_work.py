"""What a head alone takes here and now, and when a time limit leaves torch out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finished import write_colours
from sightline.errors import DeviceError
from sightline.events import Event, Planned, StageStarted
from sightline.networks.carried import carried_file
from sightline.networks.frozen import build_frozen
from sightline.pipeline import head_work
from sightline.pipeline.decide import decide
from sightline.pipeline.frozen_engine import FrozenEngine
from sightline.pipeline.head_work import find_work, judge_time
from sightline.pipeline.job import Job
from sightline.pipeline.look import Looked, look
from sightline.pipeline.torch_engine import TorchEngine
from sightline.planning.budget import Costs
from sightline.planning.carried_network import CARRIED
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.reading.decode import decode_images
from sightline.reading.frozen_features import extract_frozen
from sightline.steps import result_of

SECONDS = Costs(0.0, 0.01, 0.01, 1.0, (224, 96))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Looked:
    """What is found in class folders of 24 images of 80 px."""
    folder = write_colours(tmp_path_factory.mktemp("data") / "photos", 8, side=80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return result_of(look(Job(folder, options=Recipe(versions="off"))))[0]


@pytest.fixture(autouse=True)
def machine(monkeypatch) -> None:
    """A machine without a GPU, on which an image's features take 10 ms."""
    monkeypatch.setattr(head_work, "may_have_gpu", lambda: False)
    monkeypatch.setattr(FrozenEngine, "measure", lambda self, *more: SECONDS)
    monkeypatch.setattr(head_work, "time_drawing", lambda: 0.6)


def job(found: Looked, devices: str = "", **chosen: object) -> Job:
    return Job(found.samples.root, options=Recipe(**chosen), devices=devices)


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"time": 60.0, "engine": "torch"},
        {"time": 60.0, "epochs": 2},
        {"time": 60.0, "flip": 0.5},
        {"time": 60.0, "model": "small-fast"},
        {"time": 60.0, "pretrained": False},
        {"time": 3600.0},
    ],
)
def test_torch_is_not_left_out_where_it_was_asked_for_or_has_time(found, chosen):
    assert judge_time(job(found, **chosen), found)[0] == ""


def test_torch_is_left_out_under_a_limit_that_is_too_short_for_more_than_a_head(found):
    why, work = judge_time(job(found, time=15.0, seed=1, threads=1, device="cpu"), found)
    assert "too short for torch" in why and work is not None and work.costs is SECONDS
    for devices in ("2", "all"):
        assert judge_time(job(found, devices, time=15.0), found) == ("", None)
    small = replace(found, data=replace(found.data, median_short_side=32))
    assert judge_time(job(found, time=15.0), small) == ("", None)


def test_torch_is_loaded_where_there_may_be_a_gpu_or_other_processes_train_too(found, monkeypatch):
    assert judge_time(job(found, time=15.0), found)[0]
    monkeypatch.setattr(head_work, "may_have_gpu", lambda: True)
    assert judge_time(job(found, time=15.0), found) == ("", None)
    assert judge_time(job(found, time=15.0, device="cpu"), found)[0]
    monkeypatch.setattr(head_work, "is_launched", lambda: True)
    assert judge_time(job(found, time=15.0, device="cpu"), found) == ("", None)


def test_the_plan_says_why_torch_is_left_out_and_nothing_asks_torch(found, monkeypatch):
    def refuse(*given: object) -> None:
        raise AssertionError("torch was asked")

    monkeypatch.setattr(TorchEngine, "probe", refuse)
    monkeypatch.setattr(head_work, "why_head_alone", lambda *given: "too short for torch")
    events: list[Event] = list(decide(job(found, time=900.0), found))
    (planned,) = (event for event in events if isinstance(event, Planned))
    rows = {name: (value, origin, reason) for name, value, origin, reason in planned.rows}
    assert rows["engine"] == ("onnxruntime", "time", "too short for torch")
    assert rows["size"][:2] == ("224", "time") and rows["epochs"][0] == "0"
    assert "Probing" not in [event.name for event in events if isinstance(event, StageStarted)]


def test_a_preview_is_of_what_torch_would_train_whatever_the_limit(found, monkeypatch):
    def probe(*given: object) -> None:
        raise DeviceError("device.missing", "torch was asked", "")

    monkeypatch.setattr(TorchEngine, "probe", probe)
    with pytest.raises(DeviceError, match="torch was asked"):
        list(decide(job(found, time=15.0), found, is_trained=False))


def test_what_the_caches_have_is_found_at_its_side_alone(found):
    hardware = FrozenEngine().probe(None)

    def plan(side: int):
        return make_plan(Recipe(), Recipe(time=600.0, size=side), found.data, hardware, CARRIED)

    none, train = find_work(plan(224), SECONDS, found), found.split.rows("train")
    assert none.known == {} and none.stored == () and none.has_cache and none.decoding > 0
    assert (none.counts["all"], none.counts["train"]) == (24, len(train))
    assert none.counts["train"] + none.counts["val"] + none.counts["measured"] == 24
    small = plan(96)
    samples, store = result_of(decode_images(found.samples, small))
    network = build_frozen(small.settings, 3, carried_file(), is_run=False)
    result_of(extract_frozen(network, samples, store, small.preprocess, train, threads=1))
    some = find_work(plan(224), SECONDS, found)
    assert some.stored == (96,) and some.known == {96: len(train)}
    assert some.head(96) < none.head(96) and some.head(224) == none.head(224)


def test_a_cache_that_keeps_nothing_is_noticed(found, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE_LIMIT", "0")
    plan = make_plan(Recipe(), Recipe(time=600.0), found.data, FrozenEngine().probe(None), CARRIED)
    assert not find_work(plan, SECONDS, found).has_cache


def test_a_chosen_short_side_bounds_the_side_that_is_cropped_from_it(found, monkeypatch):
    """A crop of 288 px can't be cut from images whose short side is scaled to 232."""
    monkeypatch.setattr(FrozenEngine, "measure", lambda self, *more: replace(SECONDS, sides=(288, 256, 224, 96)))
    chosen = {"time": 3600.0, "engine": "onnxruntime", "fit": "crop", "resize": 232}
    (planned,) = (event for event in decide(job(found, **chosen), found) if isinstance(event, Planned))
    values = {name: value for name, value, _, _ in planned.rows}
    assert (values["size"], values["resize"]) == ("224", "232")
    plan = make_plan(Recipe(), Recipe(**chosen), found.data, FrozenEngine().probe(None), CARRIED)
    folders: list[object] = []
    monkeypatch.setattr(head_work, "has_store", lambda digests, preprocess, folder: folders.append(preprocess))
    find_work(plan, replace(SECONDS, sides=(224, 96)), found)
    assert [(made.size, made.resize) for made in folders] == [(224, 232), (96, 232)]
