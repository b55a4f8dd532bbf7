"""A training that is stopped anywhere and taken up again ends with the same weights, bit for bit."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.errors import RunError, StopRequested, TrainingError
from sightline.events import EpochEnded, Resumed, StateSaving, StepEnded, StepFailed, TrainingStopped, Warned
from sightline.networks.build import build_network
from sightline.pixels.preprocess import Preprocess
from sightline.training import loop, state
from sightline.training.checkpoint import keep_best_of, load_checkpoint, save_checkpoint
from sightline.training.loop import train_network
from sightline.training.pace import Pace

STEPS = 12  # of three epochs


@pytest.fixture
def start(plan_settings, make_batches, tmp_path):
    """Return a function that starts a training, or goes on with it: (network, generator of events)."""
    torch.set_num_threads(1)
    random_cuts = {"side": (20, 18), "preprocess": Preprocess(size=16, resize=18)}

    def begin(folder: str, resume: bool = False, **chosen: object):
        settings = plan_settings(**{"width": 4, "patience": 0, "dropout": 0.1, **chosen})
        network = build_network(settings, 2, None)
        parts = make_batches(64, **random_cuts), make_batches(16, seed=1, **random_cuts)
        return network, train_network(network, *parts, settings, tmp_path / folder, resume=resume)

    return begin


def bits(network: torch.nn.Module) -> list[bytes]:
    return [value.numpy().tobytes() for value in network.state_dict().values()]


def stop_after(events, step: int) -> None:
    """Drive a training until a step is made, and ask it to stop there."""
    for event in events:
        if isinstance(event, StepEnded) and event.step == step:
            with pytest.raises(StopRequested):
                events.throw(StopRequested(15))
            return
    raise AssertionError(f"there was no step {step}")


WHOLE: dict[str, tuple[list, list[bytes]]] = {}
PLANS = (
    {"flip": 0.5, "translate": 0.1},
    {"mixup": 0.4, "cutmix": 1.0, "erasing": 0.5, "policy": "trivialaugment"},
)


@pytest.mark.parametrize(
    ("point", "ema", "accumulate", "augmentation"),
    list(itertools.product((0, 2, 3, 5, 8, 11), (0.0, 0.9), (1, 3), PLANS)),
)
def test_the_weights_are_those_of_an_uninterrupted_training(start, point, ema, accumulate, augmentation):
    chosen = {"ema": ema, "accumulate": accumulate, **augmentation}
    if repr(chosen) not in WHOLE:  # the uninterrupted training is the same for every point
        whole, events = start("whole", **chosen)
        known = [event for event in events if isinstance(event, StepEnded | EpochEnded)]
        WHOLE[repr(chosen)] = known, bits(whole)
    known, wanted = WHOLE[repr(chosen)]
    stop_after(start("cut", **chosen)[1], point)
    again, events = start("cut", resume=True, **chosen)
    events = list(events)
    assert events[0] == Resumed(point // 4 + 1, point + 1)
    assert bits(again) == wanted
    rest = [event for event in events if isinstance(event, StepEnded)]
    assert rest == [event for event in known if isinstance(event, StepEnded) and event.step > point]
    figures = [
        [(e.epoch, e.train_loss, e.val_loss, e.learning_rate, e.is_best) for e in found if isinstance(e, EpochEnded)]
        for found in (known, events)
    ]
    assert figures[1] == figures[0][-len(figures[1]) :]


@pytest.mark.parametrize(
    "chosen",
    [
        {"optimizer": "adamw"},
        {"optimizer": "muon", "model": "small-fast"},
        {"optimizer": "rmsprop", "schedule": "plateau", "select_by": "accuracy"},
        {"optimizer": "sgd", "schedule": "one-cycle", "unfreeze_every": 1.0},
        {"imbalance": "balanced_sampling", "clip_norm": 0.1},
        {"freeze_body": True},
        {"head_first": True, "patience": 1},
        {"precision": "bf16", "flip_mode": "alternating", "flip": 0.5},
        {"early_sizes": (8,), "early_share": 0.5},
    ],
)
def test_nothing_that_a_plan_can_ask_for_is_forgotten(start, chosen):
    whole, events = start("whole", **chosen)
    last = [event for event in events if isinstance(event, TrainingStopped)]
    for point in (1, 6):
        stop_after(start(f"cut{point}", **chosen)[1], point)
        again, events = start(f"cut{point}", resume=True, **chosen)
        stopped = [event for event in events if isinstance(event, TrainingStopped)]
        assert bits(again) == bits(whole)
        assert (stopped[0].reason, stopped[0].best_epoch) == (last[0].reason, last[0].best_epoch)


@pytest.mark.parametrize("point", [1, 5, 8])
def test_a_training_whose_length_changed_goes_on_where_its_schedule_was(start, monkeypatch, point):
    lengths = [6] * 3 + [12] * 4 + [9] * 5  # by the clock of a machine that becomes faster, and slower again
    monkeypatch.setattr(Pace, "steps", lambda self, course: lengths[course.step])
    monkeypatch.setattr(Pace, "is_over", lambda self, course: course.step >= 9)
    chosen = {"early_sizes": (8,), "early_share": 0.5, "schedule": "cosine", "warmup": 0.2, "time": 600}
    whole, events = start("whole", **chosen)
    known = [event for event in events if isinstance(event, StepEnded)]
    stop_after(start("cut", **chosen)[1], point)
    again, events = start("cut", resume=True, **chosen)
    assert [event for event in events if isinstance(event, StepEnded)] == known[point + 1 :]
    assert bits(again) == bits(whole)


def test_stopping_at_any_event_of_an_epoch_loses_nothing(start):
    whole, events = start("whole", ema=0.9)
    known = list(events)
    made = [isinstance(event, StepEnded) for event in known]
    steps = np.cumsum(made).tolist()  # updates made when each event was yielded
    for place in range(0, len(known) - 1, 5):
        _, events = start(f"cut{place}", ema=0.9)
        for _ in range(place + 1):
            next(events)
        with pytest.raises(StopRequested):
            events.throw(StopRequested(2))
        again, events = start(f"cut{place}", resume=True, ema=0.9)
        resumed = next(event for event in events if isinstance(event, Resumed))
        assert resumed.step == steps[place]
        list(events)
        assert bits(again) == bits(whole)


def test_a_training_that_dies_goes_on_from_what_it_saved_before(start, monkeypatch):
    whole, events = start("whole")
    list(events)
    monkeypatch.setattr(state.TrainingState, "is_due", property(lambda self: self.progress.step % 5 == 0))
    _, events = start("cut")
    saved = 0
    for event in events:
        saved = event.step if isinstance(event, StateSaving) else saved
        if isinstance(event, StepEnded) and event.step == 8:
            break  # as if it was killed: nothing more is done
    assert saved == 5
    again, events = start("cut", resume=True)
    assert next(events) == Resumed(2, 5)
    list(events)
    assert bits(again) == bits(whole)


def test_a_training_that_was_over_is_not_made_again(start):
    whole, events = start("run")
    list(events)
    again, events = start("run", resume=True)
    assert [type(event) for event in events] == [Resumed, TrainingStopped]
    assert bits(again) == bits(whole)


def test_without_a_saved_state_it_starts_anew(start):
    whole, events = start("whole")
    list(events)
    again, events = start("none", resume=True)
    assert next(events) == Resumed(0, 0)
    list(events)
    assert bits(again) == bits(whole)


def test_a_damaged_state_is_said_and_the_one_before_it_is_used(start, tmp_path, monkeypatch):
    whole, events = start("whole")
    list(events)
    monkeypatch.setattr(state.TrainingState, "is_due", property(lambda self: True))
    stop_after(start("cut")[1], 6)
    file = tmp_path / "cut" / "last" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    again, events = start("cut", resume=True)
    first, second, *_ = events
    assert isinstance(first, Warned) and "sha256" in first.message
    assert second == Resumed(2, 6)
    assert bits(again) == bits(whole)


def test_when_all_states_are_damaged_it_says_so(start, tmp_path):
    stop_after(start("cut")[1], 6)
    for folder in ("last", "last.previous"):
        (tmp_path / "cut" / folder / "facts.json").write_bytes(b"{}")
    with pytest.raises(RunError, match="damaged"):
        list(start("cut", resume=True)[1])


class Spoiler:
    """Makes the images of some calls no numbers."""

    def __init__(self, monkeypatch, *calls: int) -> None:
        self._real, self._calls, self.count = loop.prepare_batch, calls, 0
        monkeypatch.setattr(loop, "prepare_batch", self)

    def __call__(self, *arguments):
        images, targets = self._real(*arguments)
        self.count += 1
        return (images * float("nan") if self.count - 1 in self._calls else images), targets


def test_a_loss_that_is_no_number_once_goes_back_and_on_at_half_the_rate(start, monkeypatch):
    chosen = {"schedule": "constant", "warmup": 0.0, "learning_rate": 0.01, "ema": 0.9}
    Spoiler(monkeypatch, 6)
    network, events = start("run", **chosen)
    events = list(events)
    (failed,) = (event for event in events if isinstance(event, StepFailed))
    assert failed.step == 6 and failed.epoch == 2 and len(failed.positions) == 16
    (warned,) = (event for event in events if isinstance(event, Warned))
    assert "step 6" in warned.message and "0.5 times the planned" in warned.message
    place = events.index(Resumed(2, 4))  # saved with the first epoch, which was the best
    rates = [event.learning_rate for event in events[place:] if isinstance(event, StepEnded)]
    assert rates == [0.005] * (STEPS - 4)
    assert all(torch.isfinite(value.float()).all() for value in network.state_dict().values())


def test_a_loss_that_stays_no_number_stops_after_three_times_and_reaches_nothing(start, monkeypatch, tmp_path):
    Spoiler(monkeypatch, *range(6, 1000))
    _, events = start("run", epochs=5)
    seen = []
    with pytest.raises(TrainingError, match=r"the loss is nan at step \d"):
        for event in events:
            seen.append(event)
    assert len([event for event in seen if isinstance(event, Warned)]) == 3
    assert len([event for event in seen if isinstance(event, StepFailed)]) == 4
    for kind in ("best", "last"):
        tensors, _ = load_checkpoint(tmp_path / "run" / kind)
        for named in tensors.values():
            assert all(torch.isfinite(value.float()).all() for value in named.values())


def test_weights_that_are_no_numbers_are_never_saved(start, monkeypatch, tmp_path):
    monkeypatch.setattr(state.TrainingState, "is_due", property(lambda self: True))
    network, events = start("run")
    done = 0
    with pytest.raises(TrainingError, match="not a finite number"):
        for event in events:
            if isinstance(event, StepEnded) and event.step >= 6:
                done += 1
                with torch.no_grad():
                    network.head.bias.fill_(float("inf"))
    assert done == 4  # three times back
    tensors, facts = load_checkpoint(tmp_path / "run" / "last")
    assert np.isfinite(tensors["model"]["head.bias"].numpy()).all()
    assert facts["progress"]["step"] == 6


def test_every_changed_byte_of_a_state_is_noticed(start, tmp_path):
    stop_after(start("run", width=2)[1], 2)
    folder = tmp_path / "run" / "last"
    shutil.rmtree(tmp_path / "run" / "last.previous", ignore_errors=True)
    random = np.random.default_rng(0)
    loaded = 0
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        header = min(len(data), 200)
        for place in {*range(header), *random.integers(0, len(data), 60).tolist()}:
            file.write_bytes(data[:place] + bytes([data[place] ^ (1 << int(random.integers(8)))]) + data[place + 1 :])
            try:
                found = load_checkpoint(folder)
            except RunError:
                continue
            finally:
                file.write_bytes(data)
            loaded += 1
            same = load_checkpoint(folder)  # white space of the manifest says nothing
            assert file.name == "manifest.json" and found[1] == same[1]
            assert all(torch.equal(found[0][g][n], same[0][g][n]) for g in same[0] for n in same[0][g])
    assert loaded < 40


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_the_state_before_is_there_whatever_write_fails(start, monkeypatch, call):
    monkeypatch.setattr(state.TrainingState, "is_due", property(lambda self: True))
    chosen = {"epochs": 2, "width": 2}
    whole, events = start("whole", **chosen)
    list(events)
    place = {"fsync": (os, "fsync"), "rename": (Path, "rename")}[call]
    real = getattr(*place)
    for failing in range(2, 60, 7):
        calls = itertools.count(1)

        def fail(*arguments, calls=calls, failing=failing):
            if next(calls) == failing:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        monkeypatch.setattr(*place, fail)
        saved, error = -1, None
        try:
            for event in start(f"cut{failing}", **chosen)[1]:
                saved = event.step if isinstance(event, StateSaving) else saved
        except RunError as raised:
            error = raised
        monkeypatch.setattr(*place, real)
        if error is None:  # there were not so many
            break
        assert "No space" in error.message
        again, events = start(f"cut{failing}", resume=True, **chosen)
        events = list(events)
        resumed = next(event for event in events if isinstance(event, Resumed))
        assert resumed.step >= saved - 1
        assert bits(again) == bits(whole)
    assert failing > 20


def test_the_best_epoch_is_that_of_the_state_that_is_taken_up(start, tmp_path, monkeypatch):
    """What a training reached after the state that another one takes up from did not happen."""
    whole, events = start("whole", epochs=2, schedule="constant")
    list(events)
    monkeypatch.setattr(state.TrainingState, "save", lambda self, seconds: None)
    _, events = start("cut", epochs=3, schedule="constant")
    reached = [event.epoch for event in events if isinstance(event, EpochEnded) and event.is_best]
    monkeypatch.undo()
    assert reached and not (tmp_path / "cut" / "last").exists()
    again, events = start("cut", resume=True, epochs=2, schedule="constant")
    stopped = [event for event in events if isinstance(event, TrainingStopped)]
    assert bits(again) == bits(whole)
    assert load_checkpoint(tmp_path / "cut" / "best")[1]["epoch"] == stopped[0].best_epoch


def test_a_best_epoch_that_the_state_does_not_know_gives_way_to_the_one_before(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "best", {"model": {"weight": torch.full((2,), epoch)}}, {"epoch": epoch}, keep=True)
    keep_best_of(tmp_path / "best", 2)
    assert load_checkpoint(tmp_path / "best")[1]["epoch"] == 2
    keep_best_of(tmp_path / "best", 1)
    tensors, facts = load_checkpoint(tmp_path / "best")
    assert facts["epoch"] == 1 and tensors["model"]["weight"].tolist() == [1, 1]
    keep_best_of(tmp_path / "best", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("select_by", ["loss", "accuracy"])
def test_a_validation_loss_that_is_no_number_is_never_the_best_and_stops_nothing(start, monkeypatch, wrong, select_by):
    said = (np.zeros(16, np.int64), np.full(16, 0.5, np.float32))
    losses = iter([0.5, wrong, 0.6])
    monkeypatch.setattr(loop, "measure", lambda *arguments: (next(losses), 0.5, said))
    _, events = start("run", select_by=select_by, schedule="plateau")
    assert [event.is_best for event in events if isinstance(event, EpochEnded)] == [False, True, False, False]


def test_a_training_without_any_finite_validation_loss_is_named(start, monkeypatch):
    said = (np.zeros(16, np.int64), np.full(16, 0.5, np.float32))
    monkeypatch.setattr(loop, "measure", lambda *arguments: (float("nan"), 0.5, said))
    with pytest.raises(TrainingError, match="no epoch had a finite validation loss"):
        list(start("run")[1])
