"""The space of a search: what a file may say, and each thing that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import InputError
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings
from sightline.tuning.space import Dial, check_space, read_space, resolve


def test_a_file_becomes_dials(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        "learning_rate = {low = 1e-4, high = 1, log = true}\nwidth = [16, 32]\n[depth]\nlow = 1\nhigh = 3\n"
        '[loss]\nchoices = ["focal", {cross_entropy = 1.0}]\n[augmentation]\nlow = 0\nhigh = 2\nstep = 0.5\n'
    )
    rate, width, depth, loss, strength = read_space(file)
    assert rate == Dial("learning_rate", 1e-4, 1.0, log=True)
    assert width.choices == (16, 32)
    assert depth == Dial("depth", 1, 3, is_whole=True)
    assert loss.choices == ("focal", {"cross_entropy": 1.0})
    assert strength.step == 0.5


@pytest.mark.parametrize(
    ("tables", "code", "words"),
    [
        ({"learning_rat": [0.1, 0.2]}, "tune.unknown-setting", "did you mean 'learning_rate'"),
        ({"learning_rate": {"min": 0.1, "high": 0.2}}, "tune.space", "has no 'min'"),
        ({"learning_rate": {"low": 0.2, "high": 0.1}}, "tune.empty-range", "0.2 to 0.1 is empty"),
        ({"learning_rate": {"low": 0.2, "high": 0.2}}, "tune.empty-range", "is empty"),
        ({"learning_rate": {"low": 0.1}}, "tune.space", "no high"),
        ({"learning_rate": {"low": 0.0, "high": 0.1}}, "plan.bad-value", "learning_rate"),
        ({"learning_rate": {"low": 0.0, "high": 0.1, "log": True}}, "tune.space", "no logarithm"),
        ({"learning_rate": {"low": 0.1, "high": 1000.0}}, "plan.bad-value", "at most 100"),
        ({"learning_rate": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, "tune.space", "log and step"),
        ({"learning_rate": {"low": 0.1, "high": 0.2, "step": 0.3}}, "tune.empty-range", "step = 0.3"),
        ({"learning_rate": {"low": "0.1", "high": 0.2}}, "tune.space", "is not a number"),
        ({"learning_rate": {"low": 0.1, "high": float("inf")}}, "tune.space", "is not a number"),
        ({"learning_rate": 0.1}, "tune.space", "nothing to search"),
        ({"width": {"low": 1.5, "high": 3}}, "tune.space", "whole numbers"),
        ({"width": [16]}, "tune.empty-range", "leaves nothing to choose"),
        ({"width": [16, 16]}, "tune.empty-range", "twice"),
        ({"width": [16, 5000]}, "plan.bad-value", "5000"),
        ({"width": {"choices": [16, 32], "low": 1}}, "tune.space", "choices and a range"),
        ({"optimizer": {"low": 0, "high": 1}}, "tune.space", "certain values alone"),
        ({"kernel_size": {"low": 3, "high": 5}}, "tune.space", "give kernel_size = [first, second ...]"),
        ({"kernel_size": [3, 4]}, "plan.bad-value", "kernel_size = 4: input should be 0, 3, 5, 7, 9 or 11"),
        ({"optimizer": ["adam", "adamm"]}, "plan.bad-value", "adamm"),
        ({"flip": [0.5, "x"]}, "plan.bad-value", "flip"),
        ({"seed": [1, 2]}, "tune.fixed", "luckiest"),
        ({"val_share": [0.1, 0.2]}, "tune.fixed", "which images"),
        ({"time": [60, 90]}, "tune.fixed", "--time"),
        ({"augmentation": {"low": -1, "high": 2}}, "tune.space", "factor"),
        ({}, "tune.space", "empty"),
    ],
)
def test_what_is_wrong_is_named(tables: dict[str, object], code: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_space(tables)
    assert caught.value.code == code
    assert words in f"{caught.value.message} {caught.value.cure}"


def test_the_whole_file_is_checked_and_not_only_its_first_line() -> None:
    with pytest.raises(InputError, match="widht"):
        check_space({"width": [16, 32], "widht": [1, 2]})


@pytest.mark.parametrize("text", ["width = [", "\xff"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "space.toml").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="not valid TOML"):
        read_space(tmp_path / "space.toml")
    with pytest.raises(InputError, match="can't read the space"):
        read_space(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("dial", "inside", "outside"),
    [
        (Dial("flip", 0.0, 1.0, 0.25), (0.0, 0.75, 1), (0.3, -0.25, "a", True)),
        (Dial("flip", 0.0, 1.0), (0.123,), (1.001,)),
        (Dial("depth", 1, 3, is_whole=True), (1, 3, 2.0), (2.5, 4)),
        (Dial("fit", choices=("crop", "pad")), ("crop",), ("squash", 1)),
    ],
)
def test_which_values_a_dial_has(dial: Dial, inside: tuple[object, ...], outside: tuple[object, ...]) -> None:
    assert all(dial.contains(value) for value in inside)
    assert not any(dial.contains(value) for value in outside)


def test_a_space_read_again_is_the_same() -> None:
    space = check_space(
        {
            "width": [16, 32],
            "flip": {"low": 0, "high": 1, "step": 0.5},
            "learning_rate": {"low": 1e-3, "high": 1, "log": True},
        }
    )
    assert check_space({dial.name: dial.to_dict() for dial in space}) == space


def test_augmentation_is_a_factor_on_what_the_recipe_changes() -> None:
    plain = Settings.model_construct(**dict.fromkeys(Settings.model_fields, 0.0) | {"zoom": 0.5, "rotate": 10.0})
    found = resolve({"augmentation": 2.0, "flip": 0.1}, plain)
    assert found == {"flip": 0.1, "zoom": 0.9, "rotate": 20.0}  # zoom at its greatest value
    assert Recipe(**found)
    assert resolve({"augmentation": 0.5, "zoom": 0.2}, plain) == {"zoom": 0.2, "rotate": 5.0}  # its own dial wins
