"""Expressions of a person: found as ``re`` finds them, and never for ever."""

from __future__ import annotations

import re

import pytest

from sightline.data import patterns
from sightline.data.patterns import search_all
from sightline.errors import InputError

PATHS = ["cat/patient12_03.png", "dog/scan-7-slice-031.png", "x.png", "odd\udcff_\n9.png", ""]


@pytest.mark.parametrize(
    "rule", [r"(patient[0-9]+)_", r"(?:^|/)([^/]*\d+)[-_].*\d+\.\w+$", r"(\w)?(\d)*", r"\d+", r"(odd.)", r"(a(b)?)?$"]
)
def test_what_is_found_is_what_re_finds(rule: str) -> None:
    pattern = re.compile(rule)
    found = [pattern.search(path) for path in PATHS]
    wanted = [one and ((one.group(1) if pattern.groups else one.group()) or "") for one in found]
    assert search_all(pattern, PATHS, "--group") == wanted


@pytest.mark.parametrize("rule", [r"(a+)+b", r"(a|aa)+b", r"(a|a)*b", "a?" * 40 + "a" * 40 + "b", r"(?:(a*)*)*b"])
def test_an_expression_that_never_ends_is_refused_with_its_cure(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_SECONDS", 0.3)
    with pytest.raises(InputError) as caught:
        search_all(re.compile(rule), ["a" * 60 + "/1.png"], "--group")
    assert caught.value.code == "split.group-time"
    assert rule in caught.value.message
    assert "[0-9]+" in caught.value.cure
