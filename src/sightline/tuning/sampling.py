"""Optuna's samplers and pruners by the names that ``sightline tune`` takes, and a dial's values in its terms."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sightline.errors import InputError
from sightline.text import did_you_mean
from sightline.tuning.outcome import Outcome
from sightline.tuning.space import Dial

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = [
    "PRUNERS",
    "SAMPLERS",
    "check_sampling",
    "count_points",
    "decoded",
    "draw",
    "encoded",
    "importance_of",
    "make_pruner",
    "make_sampler",
]

SAMPLERS = {
    "tpe": "draws near settings that did well (tree-structured Parzen estimators)",
    "random": "draws from the whole space",
    "grid": "tries every combination, a range without steps at five values",
}
PRUNERS = {
    "hyperband": "successive halving with several lengths of patience",
    "halving": "of the trials that reached an epoch or a fold, the better third goes on (successive halving)",
    "none": "every trial is trained to its end",
}
_GRID = 5  # values of a range without steps
_MOST_POINTS = 100_000
_LEAST_FOR_IMPORTANCE = 8  # complete trials: of fewer, a forest knows nothing


def check_sampling(sampler: str, pruner: str | None) -> None:
    """Raise ``InputError`` for a sampler or a pruner that there is not.

    Example:
        >>> check_sampling("tpe", None)
    """
    for option, name, table in (("--sampler", sampler, SAMPLERS), ("--pruner", pruner, PRUNERS)):
        if name is not None and name not in table:
            cure = did_you_mean(name, table, f"give {', '.join(table)}")
            raise InputError("tune.sampling", f"{option} {name}: there is none of that name", cure)


def make_sampler(name: str, space: Sequence[Dial], seed: int) -> BaseSampler:
    """Return one of ``SAMPLERS``; ``seed`` of what it draws."""
    from optuna.samplers import GridSampler, RandomSampler, TPESampler

    if name == "random":
        return RandomSampler(seed=seed)
    if name == "grid":
        points = {dial.name: _points(dial) for dial in space}
        count = math.prod(map(len, points.values()))
        if count > _MOST_POINTS:
            message = f"the grid has {count:,} combinations"
            raise InputError("tune.space", message, "search fewer settings, give larger steps, or --sampler tpe")

        class Grid(GridSampler):
            def after_trial(self, *_: Any) -> None:
                """Do nothing: Optuna's would stop a loop that is not there, after the last combination."""

        return Grid(points, seed=seed)
    return TPESampler(seed=seed)


def make_pruner(name: str, epochs: int) -> BasePruner:
    """Return one of ``PRUNERS`` for trials of so many epochs, or folds."""
    from optuna.pruners import HyperbandPruner, NopPruner, SuccessiveHalvingPruner

    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(1, epochs), reduction_factor=3)
    return SuccessiveHalvingPruner(reduction_factor=3) if name == "halving" else NopPruner()


def draw(trial: Trial, dial: Dial) -> Any:
    """Return the value of a dial in a trial, as the setting takes it."""
    if dial.choices:
        return decoded(trial.suggest_categorical(dial.name, [encoded(value) for value in dial.choices]), dial)
    assert dial.low is not None and dial.high is not None
    if dial.is_whole:
        step = int(dial.step or 1)
        return trial.suggest_int(dial.name, int(dial.low), int(dial.high), step=step, log=dial.log)
    return trial.suggest_float(dial.name, dial.low, dial.high, step=dial.step, log=dial.log)


def _distribution(dial: Dial) -> BaseDistribution:
    """Return what ``draw`` draws from, as Optuna names it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dial.choices:
        return CategoricalDistribution([encoded(value) for value in dial.choices])
    assert dial.low is not None and dial.high is not None
    if dial.is_whole:
        return IntDistribution(int(dial.low), int(dial.high), log=dial.log, step=int(dial.step or 1))
    return FloatDistribution(dial.low, dial.high, log=dial.log, step=dial.step)


def importance_of(outcomes: Sequence[Outcome], space: Sequence[Dial]) -> dict[str, float]:
    """Return dial -> share of the differences between complete trials that it explains; empty where they are few.

    F. Hutter et al., An efficient approach for assessing hyperparameter importance, ICML 2014.
    """
    import optuna

    names = {dial.name for dial in space}
    complete = [one for one in outcomes if one.score is not None and one.settings.keys() == names]
    if len(complete) < _LEAST_FOR_IMPORTANCE or len({one.score for one in complete}) == 1:
        return {}
    distributions = {dial.name: _distribution(dial) for dial in space}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    try:
        for one in complete:
            params = {name: encoded(value) for name, value in one.settings.items()}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=one.score))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # the trials vary in nothing, or a value is outside of the space
        return {}
    return {name: round(float(share), 4) for name, share in shares.items()}


def encoded(value: Any) -> bool | int | float | str:
    """Return a value as a storage takes it: lists and tables as JSON."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value, sort_keys=True)


def decoded(value: Any, dial: Dial) -> Any:
    """Return the value of a dial that ``encoded`` made into this one."""
    return next((choice for choice in dial.choices if encoded(choice) == value), value)


def count_points(space: Sequence[Dial]) -> float:
    """Return how many combinations a space has; infinite where a range has no steps.

    Example:
        >>> count_points([Dial("flip", choices=(0.0, 0.5)), Dial("depth", 1, 3, is_whole=True)])
        6.0
    """
    count = 1.0
    for dial in space:
        count *= math.inf if not dial.choices and not dial.step and not dial.is_whole else len(_points(dial))
    return count


def _points(dial: Dial) -> list[Any]:
    """Return the values that a grid tries."""
    if dial.choices:
        return [encoded(value) for value in dial.choices]
    assert dial.low is not None and dial.high is not None
    low, high = dial.low, dial.high
    if dial.step or (dial.is_whole and not dial.log):
        step = dial.step or 1
        values = [low + step * place for place in range(int((high - low) / step + 1e-6) + 1)]
    elif dial.log:
        values = [low * (high / low) ** (place / (_GRID - 1)) for place in range(_GRID)]
    else:
        values = [low + (high - low) * place / (_GRID - 1) for place in range(_GRID)]
    kept = [round(value) if dial.is_whole else min(float(value), high) for value in values]
    return list(dict.fromkeys(kept))
