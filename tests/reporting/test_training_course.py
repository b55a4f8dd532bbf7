"""What the report says of a training's length: each sentence follows from what the run recorded."""

from __future__ import annotations

import pytest

from sightline.events import ALL_EPOCHS_DONE, HEAD_FITTED, TIME_LIMIT_REACHED
from sightline.planning.decisions import Decision
from sightline.planning.plan import Plan
from sightline.reporting.training_course import head_on_validation, more_time

PATIENCE = "the validation loss did not improve for 3 epochs"


@pytest.fixture
def plan(finished_run):
    """Return a function that makes a plan with other decisions: name=(value, origin)."""

    def make(**changes) -> Plan:
        plan = finished_run.plan
        for name, (value, origin) in changes.items():
            plan = plan.replace(Decision(name, value, origin, "x"))
        return plan

    return make


def course(losses, *, rate=0.05, seconds=10.0):
    """Return the history of a training with these validation losses, before the first epoch and after each."""
    count = len(losses)
    return {
        "epoch": [float(k) for k in range(count)],
        "val_loss": list(losses),
        "val_accuracy": [1 - loss for loss in losses],
        "learning_rate": [0.0, *[rate] * (count - 1)],
        "seconds": [seconds] * count,
    }


def test_patience_leaves_epochs_time_and_the_end_of_the_schedule_unused(plan) -> None:
    stopped = plan(
        epochs=(10, "time"),
        time=(300.0, "option"),
        schedule=("cosine", "default"),
        learning_rate=(0.1, "default"),
        patience=(3, "default"),
    )
    words = more_time(course([0.3, 0.1, 0.2, 0.2, 0.2], rate=0.055), stopped, PATIENCE, 115.0)
    assert words.startswith(
        f"It ended after epoch 4 of at most 10: {PATIENCE}. 3 min 5 s of the 5 min 0 s were not used."
    )
    assert "learning rate was at 55 % of its highest" in words and "is not known" in words
    assert "--patience 0" in words
    steady = plan(epochs=(10, "option"), schedule=("constant", "option"), time=(0.0, "default"))
    assert more_time(course([0.3, 0.1]), steady, PATIENCE, 9.0) == (
        f"It ended after epoch 1 of 10: {PATIENCE}. --patience 0 trains all epochs."
    )


@pytest.mark.parametrize(
    ("origin", "whose"),
    [
        ("option", "that you asked for"),
        ("recipe", "the recipe asks for"),
        ("time", "planned at most, whatever the time"),
    ],
)
def test_who_capped_the_epochs_is_told_apart(plan, origin, whose) -> None:
    done = plan(epochs=(4, origin), time=(300.0, "option"), select_by=("loss", "default"))
    falling = more_time(course([0.5, 0.4, 0.3, 0.2, 0.1]), done, ALL_EPOCHS_DONE, 115.0)
    assert f"All 4 epochs were trained {whose}" in falling.replace("that the recipe", "the recipe").replace(
        "that are planned", "planned"
    )
    assert "3 min 5 s of the 5 min 0 s were not used" in falling and "--epochs 8" in falling
    flat = more_time(course([0.5, 0.1, 0.3, 0.3, 0.3]), done, ALL_EPOCHS_DONE, 299.5)
    assert "The best was epoch 1" in flat and "not used" not in flat and "--epochs" not in flat
    head = more_time(course([0.1, 0.2, 0.3, 0.3, 0.3]), done, ALL_EPOCHS_DONE, 299.5)
    assert "The best was the state before the first" in head


def test_a_head_alone_has_no_epochs_to_add(plan) -> None:
    alone = more_time(course([0.1]), plan(epochs=(0, "unused"), time=(60.0, "option")), HEAD_FITTED, 20.0)
    assert (
        alone
        == "A head is fitted once: there are no epochs that more time would add. 40 s of the 1 min 0 s were not used."
    )
    none = more_time(course([0.1]), plan(epochs=(0, "time"), time=(60.0, "option")), ALL_EPOCHS_DONE, 59.5)
    assert none == "There was no time for an epoch of fine-tuning: more time would allow some."
    small = more_time(
        course([0.1]), plan(epochs=(0, "unused"), size=(160, "time"), time=(9.0, "option")), HEAD_FITTED, 9
    )
    assert "a larger input than 160 px" in small
    timed = {"engine": ("onnxruntime", "time"), "size": (288, "time"), "time": (60.0, "option")}
    assert "no time for torch" in more_time(course([0.1]), plan(epochs=(0, "unused"), **timed), HEAD_FITTED, 50)
    for origin in ("option", "recipe"):  # nobody wants epochs, however much time there is
        asked = more_time(course([0.1]), plan(epochs=(0, origin), **timed), HEAD_FITTED, 50)
        assert "torch" not in asked and "a larger input than 288 px" in asked


def test_an_interrupted_training_is_no_finished_one(plan) -> None:
    words = more_time(course([0.5, 0.4]), plan(epochs=(10, "option")), "", 30.0)
    assert words == "The training was interrupted in epoch 2 of 10: --resume continues it."


def test_at_the_limit_the_fall_of_the_error_is_told(plan) -> None:
    limited = plan(epochs=(10, "time"), time=(60.0, "option"))
    falling = more_time(course([0.5, 0.4, 0.4, 0.2, 0.1]), limited, TIME_LIMIT_REACHED, 60.0)
    assert "fell from 40.0 % to 10.0 %" in falling and "about 2.5 %" in falling
    assert more_time(course([0.5, 0.1, 0.2, 0.3, 0.4]), limited, TIME_LIMIT_REACHED, 60.0).startswith("Little")
    assert "too few epochs" in more_time(course([0.5, 0.1]), limited, TIME_LIMIT_REACHED, 60.0)


def test_a_head_that_was_more_often_right_is_named() -> None:
    history = course([0.03, 0.06, 0.2])
    words = head_on_validation(history, 1, "loss")
    assert "97.0 %" in words and "94.0 %" in words and "epoch 1" in words and "chosen by its loss" in words
    assert head_on_validation(history, 0, "loss") == "" == head_on_validation(course([0.2, 0.1]), 1, "loss")
