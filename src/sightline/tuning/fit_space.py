"""The space that is searched where none is given: a few dials, from the recipe and what the data are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sightline.planning.carried_network import is_carried
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.settings import Chosen, Settings
from sightline.tuning.space import STRENGTH, STRENGTHENED, Space, check_space

__all__ = ["suggest_space"]

_RATES, _DECAYS = 5.0, 10.0  # factors below and above the plain value
_SIDES = (1.0, 8 / 7, 9 / 7)  # of the input, in a head's space: 224, 256 and 288 px
_MOST_SIDE = 288


def suggest_space(plain: Settings, typed: Chosen, networks: Sequence[str] = ()) -> Space:
    """Return the dials for a recipe; what a person typed as an option is not searched.

    Args:
        plain: settings of the plain recipe.
        typed: options, by setting.
        networks: pretrained ones that may be tried, of :func:`comparable_networks`.

    Example:
        ``[dial.name for dial in suggest_space(plan.settings, {})]``
    """
    suggest = _of_head if plain.engine == "onnxruntime" or not plain.epochs or plain.freeze_body else _of_network
    tables = {**({"model": list(networks)} if networks else {}), **dict(suggest(plain))}
    return check_space({name: table for name, table in tables.items() if name not in typed})


def _of_head(plain: Settings) -> Iterator[tuple[str, Any]]:
    """Yield the dials of a head on frozen features."""
    if is_carried(plain.model):
        yield "features", ["last", "stages"]
        sides = sorted({min(_MOST_SIDE, round(plain.size * factor / 32) * 32) for factor in _SIDES} | {plain.size})
        yield "size", sides if len(sides) > 1 else [plain.size, plain.size + 32]
    yield "head_strength", {"low": 1e-4, "high": 10.0, "log": True}
    yield "imbalance", ["none", "class_weights"]


def _of_network(plain: Settings) -> Iterator[tuple[str, Any]]:
    """Yield the dials of a training of more than the head."""
    yield "learning_rate", _around(plain.learning_rate, _RATES, 100.0)
    if plain.weight_decay:
        yield "weight_decay", _around(plain.weight_decay, _DECAYS, 10.0)
    own = OWN_NETWORKS.get(plain.model)
    if own is not None:
        widths = {max(8, round(plain.width * factor / 8) * 8) for factor in (0.5, 1.0, 1.5, 2.0)}
        yield "width", sorted(widths | {plain.width})
        yield "depth", sorted({max(1, plain.depth - 1), plain.depth, plain.depth + 1})
        yield "kernel_size", sorted({3, 5, plain.kernel_size or own.kernel_size})
        if own.dense_units:
            units = plain.dense_units or own.dense_units * plain.width
            yield "dense_units", sorted({max(8, units // 2), units, 2 * units, 4 * units})
        yield "dropout", {"low": 0.0, "high": 0.6, "step": 0.1}
        if "stage_dropout" not in own.lacks:
            yield "stage_dropout", {"low": 0.0, "high": 0.5, "step": 0.1}
    elif not plain.freeze_body and not plain.unfreeze_every:
        yield "thaw", sorted({0, 1, 2, plain.thaw})
    if any(getattr(plain, name) for name in STRENGTHENED):
        yield STRENGTH, {"low": 0.0, "high": 2.0, "step": 0.25}
    yield "label_smoothing", {"low": 0.0, "high": 0.2, "step": 0.05}


def _around(value: float, factor: float, most: float) -> dict[str, Any]:
    """Return the range around a value, of two digits at its ends."""
    low, high = float(f"{value / factor:.2g}"), float(f"{min(most, value * factor):.2g}")
    return {"low": low, "high": high, "log": True}
