"""Names and times for people."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.text import (
    as_html,
    did_you_mean,
    duration,
    guarded,
    nearest,
    one_line,
    p_value,
    part_of,
    printable,
    readable_bytes,
    share,
    signed,
    unguarded,
    visible,
)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_printable_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(st.text().filter(str.isprintable))
def test_printable_text_is_not_changed(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m.jpg", "a\\x1b[31m.jpg"),
        ("two\nlines", "two\\nlines"),
        ("caf\udce9", "caf\\udce9"),
        ("right\u202eleft", "right\\u202eleft"),
        ("Käfer 蜂 🐝", "Käfer 蜂 🐝"),
    ],
)
def test_control_characters_and_lone_surrogates_become_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (75, "1 min 15 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7300, "2 h 1 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (999 * 1024, "999.0 KiB"),
        (1000 * 1024, "1.0 MiB"),
        (20 * 2**30, "20.0 GiB"),
        (3 * 2**40, "3,072.0 GiB"),
    ],
)
def test_bytes_are_shown_in_a_unit_that_fits(count: int, shown: str) -> None:
    assert readable_bytes(count) == shown


def test_the_nearest_words_are_asked_for_and_the_rest_is_said_anyway():
    words = ["epochs", "epoch_size", "model"]
    assert nearest("epoch", words, most=2) == ["epochs", "epoch_size"]
    assert did_you_mean("epoch", words, "all are in the plan", most=2) == (
        "did you mean 'epochs' or 'epoch_size'? all are in the plan"
    )
    assert did_you_mean("zzz", words, "all are in the plan") == "all are in the plan"
    assert did_you_mean("zzz", words) == ""


def test_an_error_of_another_library_is_one_line():
    assert one_line(ValueError("bad\n  node\t'x'"), 8) == "bad node"
    assert one_line(ValueError()) == ""


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 2))
def test_only_none_is_0_and_only_all_is_100_percent(part: int, more: int, digits: int) -> None:
    whole = part + more
    assert float(share(part / whole, digits).strip("<> %")) not in (0, 100)
    assert float(share(0, digits).strip(" %")) == 0 and float(share(1, digits).strip(" %")) == 100
    assert abs(float(share(part / whole, 2).strip("<> %")) - 100 * part / whole) <= 0.0101


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_p_value_is_neither_0_nor_1_and_on_its_side_of_the_level(p: float) -> None:
    sign, number = p_value(p).split(" ")[1:]
    shown = float(number)
    assert 0 < shown < 1
    if sign == "=":
        assert (shown < 0.05) == (p < 0.05) or shown == 0.05 == round(p, 6)
        assert shown == pytest.approx(p, rel=0.06)
    else:
        assert (p < shown) if sign == "<" else (p > shown)


@given(st.floats(-1000, 1000), st.integers(0, 3))
def test_a_zero_has_no_sign(value: float, digits: int) -> None:
    text = signed(value, digits)
    assert (text[0] in "+-") == (float(text) != 0)
    assert float(text) == pytest.approx(round(value, digits))


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (322, 323, "322 of 323 steps (99.7 %)"),
        (1, 100_000, "1 of 100,000 steps (<0.1 %)"),
        (0, 5, "0 of 5 steps (0 %)"),
        (1, 1, "1 of 1 step (100 %)"),
        (0, 0, "none of 0 steps"),
    ],
)
def test_a_part_is_told_with_its_count(part: int, whole: int, shown: str) -> None:
    assert part_of(part, whole, "step") == shown


@given(st.text(st.characters(exclude_categories=[])) | st.text("'=+-@\t\r0.1e"))
@example("=1+2")
@example("'=1+2")
@example("-1.5e3")
def test_no_text_is_a_formula_and_every_text_comes_back(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    assert cell[:1] not in tuple("=+-@\t\r") or not cell or _is_plain_number(cell)


def _is_plain_number(text: str) -> bool:
    return text.isascii() and text[:1] in "+-" and not set(text) - set("+-.0123456789eE") and float(text) == float(text)


@given(st.text(st.characters(exclude_categories=[])))
def test_pages_show_no_letter_that_turns_or_hides_others(text: str) -> None:
    shown = visible(text)
    turning = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
    assert not turning & set(shown)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert shown == text or len(shown) > len(text)
    assert html.unescape(as_html(text)) == shown
