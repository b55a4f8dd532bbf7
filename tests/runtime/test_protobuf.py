"""The wire format, held against the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, StringStringEntryProto

from sightline.runtime.protobuf import Reader, write_field, write_varint


@given(st.text(), st.text())
def test_texts_are_read_as_the_library_writes_them(key: str, value: str) -> None:
    written = StringStringEntryProto(key=key, value=value).SerializeToString()
    assert [(number, str(text, "utf-8")) for number, text in Reader(9).fields(memoryview(written))] == [
        (1, key),
        (2, value),
    ]
    assert write_field(1, key.encode()) + write_field(2, value.encode()) == written


@given(st.integers(0, 2**63 - 1))
def test_integers_are_read_and_written_as_by_the_library(number: int) -> None:
    written = AttributeProto(i=number).SerializeToString()
    assert list(Reader(9).fields(memoryview(written))) == [(3, number)]
    assert write_varint(3, number) == written


def test_numbers_of_fixed_size_are_passed_over() -> None:
    written = AttributeProto(name="a", f=1.5, i=7).SerializeToString()
    assert [number for number, _ in Reader(9).fields(memoryview(written))] == [1, 2, 3]


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_a_value_error(content: bytes) -> None:
    try:
        found = list(Reader(99).fields(memoryview(content)))
    except ValueError:
        return
    assert sum(len(value) for _, value in found if isinstance(value, memoryview)) <= len(content)


def test_more_fields_than_allowed_are_an_error() -> None:
    with pytest.raises(ValueError, match="too many parts"):
        list(Reader(99).fields(memoryview(bytes([0x08, 0x00] * 100))))
