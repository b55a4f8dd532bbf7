"""Samplers and pruners by name, and what a dial becomes for them."""

from __future__ import annotations

import math

import optuna
import pytest

from sightline.errors import InputError
from sightline.tuning.sampling import check_sampling, count_points, draw, make_pruner, make_sampler
from sightline.tuning.space import check_space

TABLES = {
    "learning_rate": {"low": 1e-3, "high": 1.0, "log": True},
    "flip": {"low": 0.0, "high": 1.0, "step": 0.25},
    "depth": {"low": 1, "high": 3},
    "optimizer": ["adam", "sgd"],
    "early_sizes": [[], [16, 24]],
}


@pytest.mark.parametrize("name", ["tpe", "random", "grid"])
def test_what_is_drawn_lies_in_the_space(name: str) -> None:
    space = check_space(TABLES)
    study = optuna.create_study(sampler=make_sampler(name, space, 1), pruner=make_pruner("none", 3))
    drawn = []
    for _ in range(30):
        trial = study.ask()
        drawn.append({dial.name: draw(trial, dial) for dial in space})
        study.tell(trial, 0.5)
    assert all(dial.contains(values[dial.name]) for values in drawn for dial in space)
    assert {tuple(values["early_sizes"]) for values in drawn} == {(), (16, 24)}


def test_a_grid_has_every_combination_once() -> None:
    space = check_space({name: TABLES[name] for name in ("flip", "depth", "optimizer")})
    study = optuna.create_study(sampler=make_sampler("grid", space, 0))
    seen = []
    while not study.sampler.is_exhausted(study):
        trial = study.ask()
        seen.append(tuple(draw(trial, dial) for dial in space))
        study.tell(trial, 0.0)
    assert len(seen) == len(set(seen)) == count_points(space) == 5 * 3 * 2


def test_a_range_without_steps_has_no_end() -> None:
    assert math.isinf(count_points(check_space(TABLES)))


@pytest.mark.parametrize(("sampler", "pruner"), [("tpee", None), ("tpe", "half")])
def test_another_name_is_refused_with_the_nearest(sampler: str, pruner: str | None) -> None:
    with pytest.raises(InputError, match="there is none of that name") as caught:
        check_sampling(sampler, pruner)
    assert "did you mean" in caught.value.cure


def test_a_grid_that_is_too_large_is_refused() -> None:
    tables = {name: {"low": 0.0, "high": 1.0, "step": 0.01} for name in ("flip", "blur", "erasing")}
    with pytest.raises(InputError, match="1,030,301 combinations"):
        make_sampler("grid", check_space(tables), 0)


@pytest.mark.parametrize("name", ["halving", "hyperband"])
def test_pruners_stop_what_is_behind(name: str) -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, 9))
    pruned = 0
    for number in range(30):
        trial = study.ask()
        for epoch in range(1, 10):
            trial.report(0.9 - 0.02 * number + 0.001 * epoch, epoch)
            if trial.should_prune():
                pruned += 1
                break
        study.tell(trial, 0.9 - 0.02 * number)
    assert pruned > 10
