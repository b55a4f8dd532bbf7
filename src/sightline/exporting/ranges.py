"""Which range of each result int8 must cover: the one in which rounding and cutting off cost least together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.exporting.body import read_graph
from sightline.runtime.onnx_session import INPUT, open_session

if TYPE_CHECKING:
    import onnx

__all__ = ["Range", "best_range", "find_ranges"]

Range = tuple[float, float]
Floats = npt.NDArray[np.float32]

_LEVELS = 255
_SHARES = np.linspace(0.2, 1, 33)  # of the whole range that is seen
_VALUES = 40_000  # of each result, drawn evenly
_AT_ONCE = 2  # images: all results of the network are there together


def find_ranges(body: bytes, names: Sequence[str], squares: npt.NDArray[np.uint8]) -> dict[str, Range]:
    """Return for each named result the range that represents its values best in 256 levels.

    Args:
        body: ONNX model from ``pixels`` to ``features``.
        names: of float results of its steps.
        squares: ``[N, size, size, 3] uint8``, training images.
    """
    model = read_graph(body)
    _show(model, names)
    session = open_session(model.SerializeToString())
    values: dict[str, list[Floats]] = {name: [] for name in names}
    ends = dict.fromkeys(names, (0.0, 0.0))
    each = max(1, _VALUES * _AT_ONCE // len(squares))
    for start in range(0, len(squares), _AT_ONCE):
        results = session.run(list(names), {INPUT: squares[start : start + _AT_ONCE]})
        for name, result in zip(names, results, strict=True):
            ends[name] = min(ends[name][0], float(result.min())), max(ends[name][1], float(result.max()))
            step = 1 + (result.size - 1) // each
            values[name].append(result.ravel()[start % step :: step].copy())
    return {name: best_range(np.concatenate(values[name]), ends[name]) for name in names}


def best_range(values: Floats, ends: Range) -> Range:
    """Return the range, within the ends, in which 256 levels represent values with the least squared error.

    Zero is in it, and is a level: padding is zero.

    Args:
        values: a sample.
        ends: (0 or less, 0 or more), of all values.

    Example:
        >>> best_range(np.array([0.0, 1.0, 2.0], np.float32), (0.0, 2.0))
        (0.0, 2.0)
    """
    if ends[0] == ends[1]:
        return 0.0, 1.0  # nothing but zeros
    tried = [(float(ends[0] * share), float(ends[1] * share)) for share in _SHARES[::-1]]
    return min(tried, key=lambda one: _error(values, one))


def _error(values: Floats, ends: Range) -> float:
    scale = (ends[1] - ends[0]) / _LEVELS
    zero = round(-ends[0] / scale)
    said = (np.clip(np.round(values / scale) + zero, 0, _LEVELS) - zero) * scale
    return float(np.square(said - values).mean())


def _show(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Make results of a graph its outputs."""
    from onnx import TensorProto, helper

    known = {output.name for output in model.graph.output}
    for name in names:
        if name not in known:
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
