"""Requirements: what is understood, what is refused, and that the safe end of the interval counts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import GateNotMet, InputError
from sightline.evaluation.gate import Requirement, check_requirement, parse_requirement
from sightline.evaluation.intervals import Interval, wilson
from sightline.evaluation.metrics import METRICS, Metric


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("accuracy>=0.9", "accuracy >= 0.9"),
        ("  accuracy  >=  .9  ", "accuracy >= 0.9"),
        ("accuracy>=90%", "accuracy >= 0.9"),
        ("accuracy >= 87.5 %", "accuracy >= 0.875"),
        ("accuracy>=0", "accuracy >= 0"),
        ("accuracy>=100%", "accuracy >= 1"),
        ("log_loss<=0.3", "log_loss <= 0.3"),
        ("log_loss <= 3e-1", "log_loss <= 0.3"),
        ("log_loss<=7", "log_loss <= 7"),
        ("brier<=1.5", "brier <= 1.5"),
        ("matthews>=-0.5", "matthews >= -0.5"),
        ("macro_recall>=0.8", "balanced_accuracy >= 0.8"),
        *((f"{name}{'>=' if metric.is_higher_better else '<='}0.5", None) for name, metric in METRICS.items()),
    ],
)
def test_a_requirement_is_understood(text: str, wanted: str | None) -> None:
    found = parse_requirement(text)
    assert str(found) == wanted if wanted else found == Requirement(METRICS[re.match(r"\w+", text)[0]], 0.5)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        *(
            ("gate.form", text)
            for text in (
                "",
                "accuracy",
                "accuracy>0.9",
                "accuracy==0.9",
                "accuracy>=",
                "accuracy>=high",
                "accuracy>=nan",
                "accuracy>=inf",
                "accuracy>=1.2.3",
                "accuracy>=.",
                "accuracy>=0.9 macro_f1>=0.8",
                "accuracy>=0.9\nx",
                ">=0.9",
            )
        ),
        ("gate.metric", "acuracy>=0.9"),
        ("gate.metric", "Accuracy>=0.9"),
        ("gate.metric", "macro_recal>=0.9"),
        ("gate.direction", "accuracy<=0.9"),
        ("gate.direction", "log_loss>=0.1"),
        ("gate.range", "accuracy>=90"),
        ("gate.range", "accuracy>=1.01"),
        ("gate.range", "accuracy>=101%"),
        ("gate.range", "accuracy>=-0.1"),
        ("gate.range", "matthews>=-1.01"),
        ("gate.range", "brier<=2.5"),
        ("gate.range", "log_loss<=-1"),
        ("gate.range", "log_loss<=30%"),
        ("gate.range", "roc_auc>=90%"),
    ],
)
def test_anything_else_is_refused_with_a_cure(code: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_requirement(text)
    assert caught.value.code == code and caught.value.cure


def test_the_cure_can_be_typed() -> None:
    for text in ("accuracy<=0.9", "accuracy<=90%", "log_loss>=0.1"):
        with pytest.raises(InputError) as caught:
            parse_requirement(text)
        assert parse_requirement(re.search(r'"(.+)"', caught.value.cure)[1])
    with pytest.raises(InputError, match="there is no metric 'acuracy'") as caught:
        parse_requirement("acuracy>=0.9")
    assert "did you mean 'accuracy'?" in caught.value.cure


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        found = parse_requirement(text)
    except InputError:
        return
    assert found.metric.least <= found.value <= found.metric.most


MEASURED = {"accuracy": wilson(95, 100).to_dict()}  # 0.888 to 0.978


@given(st.sampled_from([*METRICS.values()]), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_safe_end_of_the_interval_counts(metric: Metric, value: float, below: float, above: float) -> None:
    interval = Interval(value, value - below, value + above, 50, "")
    sign, safe = (">=", interval.low) if metric.is_higher_better else ("<=", interval.high)
    required = 0.4
    error = check_requirement(f"{metric.name}{sign}{required}", {metric.name: interval.to_dict()})
    assert (error is None) == (safe >= required if metric.is_higher_better else safe <= required)


def test_the_effective_count_stands_beside_the_count() -> None:
    error = check_requirement("accuracy>=0.9", {"accuracy": Interval(0.8, 0.7, 0.88, 2_487, "", 71).to_dict()})
    assert error is not None and "n=2,487, effective n=71" in error.message


def test_the_upper_end_of_a_loss_is_named() -> None:
    measured = {"log_loss": Interval(0.25, 0.2, 0.31, 80, "").to_dict()}
    error = check_requirement("log_loss<=0.3", measured)
    assert isinstance(error, GateNotMet) and "the upper end of the interval counts" in error.message
    assert check_requirement("log_loss<=0.31", measured) is None


def test_a_metric_that_these_images_do_not_give_is_not_met() -> None:
    error = check_requirement("top_3>=0.9", MEASURED)
    assert isinstance(error, GateNotMet) and error.code == "gate.not-measured"


def test_a_requirement_below_the_lower_end_is_met() -> None:
    assert check_requirement("accuracy>=0.88", MEASURED) is None


def test_a_value_above_the_requirement_is_not_enough() -> None:
    error = check_requirement("accuracy>=0.9", MEASURED)
    assert isinstance(error, GateNotMet) and error.exit_code == 5
    assert "0.9500" in error.message and "the lower end of the interval counts" in error.message


def test_a_requirement_equal_to_the_lower_end_is_met() -> None:
    exact = {"accuracy": {"value": 0.9, "low": 0.75, "high": 1.0, "n": 10, "method": ""}}
    assert check_requirement("accuracy>=75%", exact) is None
