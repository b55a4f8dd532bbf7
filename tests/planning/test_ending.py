"""What is reserved for the end of a run."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.planning.carried_network import CARRIED
from sightline.planning.ending import COMPARED_FROM, LEAST_REFERENCES, MOST_REFERENCES, EndOfRun, reserve_factor
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe

COUNTS = {"calibrating": 300, "val": 300, "train": 5_000, "measured": 400}


@functools.cache
def end(engine: str = "torch", **options: object) -> EndOfRun:
    data = DataFacts(("ant", "bee"), {"train": 5_000, "val": 300, "test": 400}, 300, 1.0)
    hardware = Hardware("cpu", "x", 2, "x", engine=engine)
    made = make_plan(Recipe(), Recipe(**{"time": 60.0, **options}), data, hardware, CARRIED).settings
    return EndOfRun(made, COUNTS, 0.01, 2.0, 1e-4, 0.6, 1.2)


def test_the_busier_the_machine_the_more_is_reserved_for_the_end():
    factors = [reserve_factor(waited, 2.0) for waited in (-1.0, 0.0, 0.5, 2.0, 1e9)]
    assert factors[0] == factors[1] == pytest.approx(1.2)  # threads that ended take their waiting along
    assert factors == sorted(factors) and factors[-1] == pytest.approx(1.8)
    assert reserve_factor(0.0, 0.0) == pytest.approx(1.2)


def test_a_head_that_is_calibrated_on_its_own_features_looks_at_no_image_for_that():
    there, gone = replace(end("onnxruntime"), has_features=True), end("onnxruntime")
    assert there.calibrating == 0 and "calibration" not in str(there)
    assert gone.calibrating == pytest.approx(0.01 * (300 + LEAST_REFERENCES))  # more than a twentieth of the limit
    assert replace(end("onnxruntime", time=200.0)).calibrating == pytest.approx(10.0)  # a twentieth
    assert gone.seconds - there.seconds == pytest.approx(1.2 * gone.calibrating)
    few = replace(gone, counts={**COUNTS, "val": 0, "calibrating": 0, "train": 50})
    assert few.calibrating == pytest.approx(0.5)  # no more than there are
    assert replace(end(time=1e6), counts=COUNTS).calibrating == pytest.approx(0.01 * (300 + MOST_REFERENCES))


def test_what_torch_alone_does_is_not_reserved_without_it():
    long = {"time": COMPARED_FROM}
    assert end("onnxruntime", **long).evaluating < end(**long).evaluating  # the head beside the fine-tuned network
    assert end("onnxruntime").evaluating == end().evaluating
    assert end("onnxruntime").explaining < end().explaining  # no gradients


@settings(max_examples=20)
@given(st.floats(1e-4, 1), st.floats(0, 60), st.floats(0, 0.01), st.floats(0.1, 3), st.floats(1.2, 1.8))
def test_the_end_is_the_sum_of_its_parts_and_grows_with_each(looking, exporting, shrinking, drawing, margin):
    made = replace(end(), looking=looking, exporting=exporting, shrinking=shrinking, drawing=drawing, margin=margin)
    parts = made.calibrating + made.exporting + made.evaluating + made.explaining + made.reporting
    assert margin * parts < made.seconds < margin * (parts + 2)
    for name in ("looking", "exporting", "shrinking", "drawing", "margin"):
        assert replace(made, **{name: 2 * getattr(made, name)}).seconds >= made.seconds
