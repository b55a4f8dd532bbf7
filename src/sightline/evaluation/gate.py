"""Requirements on figures: ``accuracy>=0.9``, compared with the safe end of the interval."""

from __future__ import annotations

import re
from typing import Any

from sightline.errors import GateNotMet, InputError
from sightline.evaluation.metrics import COUNT_METRICS

__all__ = ["check_requirement", "parse_requirement"]

_NAMES = ("accuracy", *COUNT_METRICS)


def parse_requirement(text: str) -> tuple[str, float]:
    """Return (figure, least value) of ``accuracy>=0.9``.

    Raises:
        InputError: if it is of another form or names no figure.

    Example:
        >>> parse_requirement("accuracy >= 0.9")
        ('accuracy', 0.9)
    """
    match = re.fullmatch(r"\s*(\w+)\s*>=\s*([0-9.]+)\s*(%?)\s*", text)
    try:
        name, least = (match[1], float(match[2]) / (100 if match[3] else 1)) if match else ("", -1.0)
    except ValueError:
        name, least = "", -1.0
    if name not in _NAMES or not 0 <= least <= 1:
        raise InputError(
            "gate.form",
            f"--require {text!r} can't be read",
            f'write FIGURE>=VALUE with a value from 0 to 1, for example "accuracy>=0.9"; figures: {", ".join(_NAMES)}',
        )
    return name, least


def check_requirement(text: str, metrics: dict[str, Any]) -> GateNotMet | None:
    """Return None if the lower end of the figure's interval reaches the required value, else the error to raise."""
    name, least = parse_requirement(text)
    figure = metrics[name]
    if figure["low"] >= least:
        return None
    measured = f"{name} is {figure['value']:.4f} ({figure['low']:.4f} to {figure['high']:.4f}, n={figure['n']:,})"
    return GateNotMet(
        "gate.not-met",
        f"required {name} >= {least:g}, but {measured}: the lower end counts",
        "more test images narrow the interval; more or better training images raise the figure",
    )
