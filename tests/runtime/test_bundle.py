"""The bundle: what travels with a network."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

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


@given(st.lists(st.text().filter(lambda text: text.isprintable() and text.strip()), min_size=1, unique=True))
def test_class_names_survive_in_any_script(names: list[str]) -> None:
    text = changed(classes=names)
    assert list(Bundle.from_json(text, source="x").classes) == names


def test_names_are_written_readably() -> None:
    text = replace(BUNDLE, classes=("Käfer", "蜂")).to_json()
    assert "Käfer" in text
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION


# The fields that each version has. Who adds one here has to count the version up: older ones can't read it.
_FIELDS_OF_2 = {
    *("classes", "preprocess", "model", "feature_size", "weights", "licence", "data_fingerprint", "sightline"),
    *("created", "temperature", "min_confidence", "target_error", "set_mass", "set_coverage"),
}
_FIELDS = {2: _FIELDS_OF_2, 3: _FIELDS_OF_2 | {"max_novelty"}}


def test_a_version_has_its_own_fields() -> None:
    assert set(json.loads(BUNDLE.to_json())) == {"schema_version", *_FIELDS[SCHEMA_VERSION]}
    assert max(_FIELDS) == SCHEMA_VERSION


def test_a_classifier_of_the_version_before_is_read() -> None:
    fields = json.loads(changed(schema_version=2))
    older = {name: value for name, value in fields.items() if name in {"schema_version", *_FIELDS[2]}}
    assert Bundle.from_json(json.dumps(older), source="model.onnx") == replace(BUNDLE, max_novelty=1.0)


def test_a_newer_schema_is_refused_with_both_versions() -> None:
    with pytest.raises(
        ModelError, match=f"model.onnx has schema version 99; this Sightline reads 2 and {SCHEMA_VERSION}"
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


@pytest.mark.parametrize(
    "fields",
    [
        {"classes": "ab"},
        {"classes": {"a": 1, "b": 2}},
        {"classes": [1, None]},
        {"classes": ["a", "a"]},
        {"classes": ["a", ""]},
        {"classes": ["a", " "]},
        {"classes": ["a", "b" * 1001]},
        {"classes": ["a", "\x1b[31mred"]},
        {"classes": []},
        {"model": 5},
        {"model": "x" * 10_001},
        {"licence": "MIT\x1b]0;t\x07"},
        {"data_fingerprint": 7},
        {"created": 5},
        {"created": None},
        {"created": "yesterday"},
        {"feature_size": "3"},
        {"feature_size": 3.0},
        {"feature_size": True},
        {"feature_size": 0},
        {"feature_size": 10**9},
        {"temperature": "x"},
        {"temperature": 0},
        {"temperature": 10**400},
        {"min_confidence": "abc"},
        {"min_confidence": 1.5},
        {"target_error": None},
        {"set_mass": [1]},
        {"set_coverage": -1},
        {"preprocess": [1]},
        {"preprocess": {**BUNDLE.preprocess.to_dict(), "size": "24"}},
        {"preprocess": {**BUNDLE.preprocess.to_dict(), "draft": 10**30}},
        {"preprocess": {**BUNDLE.preprocess.to_dict(), "value_range": [0, 10**400]}},
        {"schema_version": "2"},
        {"schema_version": [2]},
        {"schema_version": 2.0},
    ],
    ids=str,
)
def test_a_value_that_no_classifier_can_have_is_an_error_of_one_short_line(fields: dict[str, object]) -> None:
    with pytest.raises(ModelError) as caught:
        Bundle.from_json(changed(**fields), source="some/model.onnx")
    assert caught.value.code in ("model.bundle", "model.preprocess", "model.schema")
    assert "some/model.onnx" in caught.value.message
    assert len(caught.value.message) < 700 and caught.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        BUNDLE.to_json().replace('"temperature": 1.0', '"temperature": NaN'),
        BUNDLE.to_json().replace('"temperature": 1.0', '"temperature": 1e999'),
        BUNDLE.to_json().replace('"min_confidence": null', '"min_confidence": Infinity'),
        BUNDLE.to_json().replace('"model"', '"classes": ["x", "y"], "model"'),
        "[" * 200_000,
        '{"schema_version": 2, "classes": ' * 50_000,
        '{"schema_version": 2, "classes": ' + "9" * 5000 + "}",
    ],
    ids=["nan", "overflow", "infinity", "twice", "nested", "objects", "digits"],
)
def test_json_that_says_no_bundle_is_a_model_error(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        Bundle.from_json(text, source="x")
    assert caught.value.code == "model.bundle" and len(caught.value.message) < 500


def test_a_bundle_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "classifier.json").write_text(BUNDLE.to_json())
    assert Bundle.read(tmp_path / "classifier.json") == BUNDLE


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x", 3 << 30], ids=["missing", "latin", "text", "huge"])
def test_a_file_that_holds_none_is_a_model_error(content: bytes | int | None, tmp_path: Path) -> None:
    file = tmp_path / "classifier.json"
    if isinstance(content, int):
        os.truncate(os.open(file, os.O_CREAT | os.O_WRONLY), content)  # a hole: it takes no space
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match=r"classifier\.json") as caught:
        Bundle.read(file)
    assert caught.value.code == "model.bundle"
