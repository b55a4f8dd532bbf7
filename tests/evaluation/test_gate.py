"""Requirements: what is understood, what is refused, and that the lower end counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import GateNotMet, InputError
from sightline.evaluation.gate import check_requirement, parse_requirement
from sightline.evaluation.intervals import wilson
from sightline.evaluation.metrics import COUNT_METRICS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("accuracy>=0.9", ("accuracy", 0.9)),
        ("  accuracy  >=  .9  ", ("accuracy", 0.9)),
        ("accuracy>=90%", ("accuracy", 0.9)),
        ("accuracy >= 87.5 %", ("accuracy", 0.875)),
        ("accuracy>=0", ("accuracy", 0.0)),
        ("accuracy>=1", ("accuracy", 1.0)),
        ("accuracy>=100%", ("accuracy", 1.0)),
        *((f"{name}>=0.5", (name, 0.5)) for name in COUNT_METRICS),
    ],
)
def test_a_requirement_is_understood(text: str, wanted: tuple[str, float]) -> None:
    assert parse_requirement(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "accuracy>0.9",
        "accuracy<=0.9",
        "accuracy==0.9",
        "accuracy>=",
        "accuracy>=high",
        "acuracy>=0.9",
        "accuracy>=90",
        "accuracy>=1.01",
        "accuracy>=101%",
        "accuracy>=-0.1",
        "accuracy>=nan",
        "accuracy>=1.2.3",
        "accuracy>=.",
        "log_loss>=0.1",
        "accuracy>=0.9 macro_f1>=0.8",
        "accuracy>=0.9\nx",
        ">=0.9",
        "Accuracy>=0.9",
    ],
)
def test_anything_else_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_requirement(text)
    assert caught.value.code == "gate.form"
    assert "accuracy>=0.9" in caught.value.cure


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        name, least = parse_requirement(text)
    except InputError:
        return
    assert 0 <= least <= 1
    assert name in ("accuracy", *COUNT_METRICS)


METRICS = {"accuracy": wilson(95, 100).to_dict()}  # 0.888 to 0.978


def test_a_requirement_below_the_lower_end_is_met() -> None:
    assert check_requirement("accuracy>=0.88", METRICS) is None


def test_a_value_above_the_requirement_is_not_enough() -> None:
    error = check_requirement("accuracy>=0.9", METRICS)
    assert isinstance(error, GateNotMet) and error.exit_code == 5
    assert "0.9500" in error.message and "the lower end counts" in error.message


def test_a_requirement_equal_to_the_lower_end_is_met() -> None:
    exact = {"accuracy": {"value": 0.9, "low": 0.75, "high": 1.0, "n": 10}}
    assert check_requirement("accuracy>=75%", exact) is None
