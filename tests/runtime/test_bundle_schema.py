"""The fields of a bundle."""

from __future__ import annotations

from dataclasses import fields

from sightline.runtime.bundle import Bundle
from sightline.runtime.bundle_schema import FIELDS


def test_each_field_of_a_bundle_has_a_check_and_no_other() -> None:
    assert set(FIELDS) == {field.name for field in fields(Bundle)}
