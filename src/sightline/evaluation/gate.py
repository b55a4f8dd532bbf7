"""Requirements on metrics: ``accuracy>=0.9`` or ``log_loss<=0.3``, compared with the safe end of the interval."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sightline.errors import GateNotMet, InputError
from sightline.evaluation.intervals import Interval
from sightline.evaluation.metrics import ALIASES, METRICS, Metric, find_metric
from sightline.text import did_you_mean

__all__ = ["Requirement", "check_requirement", "parse_requirement"]

_FORM = re.compile(r"\s*(\w+)\s*(>=|<=)\s*(-?(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A metric, and the value that it must reach: from above where higher is better, from below where lower is."""

    metric: Metric
    value: float

    def __str__(self) -> str:
        return f"{self.metric.name} {'>=' if self.metric.is_higher_better else '<='} {self.value:g}"

    def is_met(self, measured: Interval) -> bool:
        """Return whether the safe end of the interval reaches the value."""
        return measured.low >= self.value if self.metric.is_higher_better else measured.high <= self.value


def parse_requirement(text: str) -> Requirement:
    """Return the requirement that a person typed.

    Raises:
        InputError: if it can't be read, names no metric, asks for the wrong direction or for a value that the metric
            can't have.

    Example:
        >>> str(parse_requirement("accuracy >= 90%")), str(parse_requirement("log_loss<=0.3"))
        ('accuracy >= 0.9', 'log_loss <= 0.3')
    """
    match = _FORM.fullmatch(text)
    if not match:
        cure = f'write METRIC>=VALUE or METRIC<=VALUE, for example "accuracy>=0.9" or "log_loss<=0.3"; {_known()}'
        raise InputError("gate.form", f"--require {text!r} can't be read", cure)
    name, sign, number, percent = match.groups()
    metric = find_metric(name)
    if metric is None:
        cure = did_you_mean(name, [*METRICS, *ALIASES], _known())
        raise InputError("gate.metric", f"--require {text!r}: there is no metric {name!r}", cure)
    value = float(number) / (100 if percent else 1)
    right = ">=" if metric.is_higher_better else "<="
    if sign != right:
        better = "higher" if metric.is_higher_better else "lower"
        message = f"--require {text!r}: {better} values of {metric.name} are better"
        raise InputError("gate.direction", message, f'write "{metric.name}{right}{number}{percent}"')
    if percent and metric.unit != "share":
        message = f"--require {text!r}: {metric.name} is not a share, so it has no value in percent"
        raise InputError("gate.range", message, f'leave out the per-cent sign: "{metric.name}{sign}VALUE"')
    if not metric.least <= value <= metric.most:
        limits = f"{metric.least:g} to {metric.most:g}" if metric.most < float("inf") else f"{metric.least:g} upwards"
        message = f"--require {text!r}: {metric.name} has values from {limits}"
        cure = "write a share from 0 to 1, or in percent: 0.9 or 90%" if metric.unit == "share" else "choose one"
        raise InputError("gate.range", message, cure)
    return Requirement(metric, value)


def _known() -> str:
    return f"metrics: {', '.join(METRICS)}"


def check_requirement(text: str, metrics: dict[str, Any]) -> GateNotMet | None:
    """Return None if the safe end of the metric's interval reaches the required value, else the error to raise.

    Args:
        text: as for :func:`parse_requirement`.
        metrics: of ``metrics.json``.
    """
    required = parse_requirement(text)
    name = required.metric.name
    if name not in metrics:
        message = f"required {required}, but {name} is not computed for these images"
        cure = "require another metric; docs/evaluate.md says for which classes and how many images each is computed"
        return GateNotMet("gate.not-measured", message, cure)
    measured = Interval(**metrics[name])
    if required.is_met(measured):
        return None
    end = "lower" if required.metric.is_higher_better else "upper"
    found = f"{name} is {measured.value:.4f} ({measured.low:.4f} to {measured.high:.4f}, {measured.counted})"
    return GateNotMet(
        "gate.not-met",
        f"required {required}, but {found}: the {end} end of the interval counts",
        "more test images narrow the interval; more or better training images improve the metric",
    )
