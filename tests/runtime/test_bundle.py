"""The bundle: what travels with a network."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import ModelError
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import SCHEMA_VERSION, Bundle

BUNDLE = Bundle(
    classes=("ant", "bee"),
    preprocess=Preprocess(size=24, resize=32, fit="pad", background=(1, 2, 3)),
    model="small",
    feature_size=3,
    weights="none",
    licence="none",
    data_fingerprint="0" * 64,
    sightline="0.1.0",
    created="2026-11-22T00:00:00+00:00",
)


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(BUNDLE.to_json()), **fields})


def without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(BUNDLE.to_json()).items() if key != name})


def test_a_bundle_survives_json() -> None:
    assert Bundle.from_json(BUNDLE.to_json(), source="x") == BUNDLE


@given(st.lists(st.text(min_size=1).filter(lambda text: text.isprintable()), min_size=1))
def test_class_names_survive_in_any_script(names: list[str]) -> None:
    text = changed(classes=names)
    assert list(Bundle.from_json(text, source="x").classes) == names


def test_names_are_written_readably() -> None:
    from dataclasses import replace

    text = replace(BUNDLE, classes=("Käfer", "蜂")).to_json()
    assert "Käfer" in text
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION


def test_a_newer_schema_is_refused_with_both_versions() -> None:
    with pytest.raises(
        ModelError, match=f"model.onnx has schema version 99; this Sightline reads {SCHEMA_VERSION}"
    ) as e:
        Bundle.from_json(changed(schema_version=99), source="model.onnx")
    assert e.value.code == "model.schema"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "null",
        "[]",
        "{}",
        '"text"',
        "3",
        without("schema_version"),
        without("classes"),
        without("preprocess"),
        without("model"),
        changed(surprise=1),
        changed(classes=None),
        changed(preprocess=None),
        BUNDLE.to_json()[:-20],
    ],
)
def test_a_damaged_bundle_is_a_model_error_with_its_source(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        Bundle.from_json(text, source="some/model.onnx")
    assert caught.value.code in ("model.bundle", "model.preprocess")
    assert caught.value.cure


def test_impossible_preprocessing_in_a_bundle_is_refused() -> None:
    with pytest.raises(ModelError, match="preprocessing"):
        Bundle.from_json(changed(preprocess={**BUNDLE.preprocess.to_dict(), "fit": "stretch"}), source="x")
