"""Class names in figures: drawn where an installed font has their letters, else by number, and the key is said once."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from matplotlib import font_manager, rc_context, rcParams

from sightline.events import Noted
from sightline.reporting.canvas import empty_figure
from sightline.reporting.figures import draw_matrix
from sightline.reporting.letters import _absent, absent_letters, drawable, drawable_text, key_of_numbers
from sightline.reporting.page import write_page
from sightline.runs.safe_files import write_json


@pytest.fixture(autouse=True)
def own_fonts():
    """The fonts of matplotlib are those of before after each test."""
    _absent.cache_clear()
    with rc_context():
        yield
    _absent.cache_clear()


def letters_of(family: str) -> set[str]:
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=[family])))
    return {chr(code) for code in font.get_charmap()}


def missing_glyphs(text: str) -> list[str]:
    """Return what matplotlib says of letters that it has no glyph for."""
    figure = empty_figure((3, 1))
    figure.text(0, 0.5, text, parse_math=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure.savefig(io.BytesIO(), format="svg")
    return [str(one.message) for one in said if "missing from font" in str(one.message)]


def test_letters_that_another_installed_font_has_are_drawn_with_it() -> None:
    elsewhere = sorted(one for one in letters_of("STIXGeneral") - letters_of("DejaVu Sans") if one.isprintable())
    name = f"x{elsewhere[0]}"
    assert missing_glyphs(name)
    assert drawable([name]) == [name] and key_of_numbers([name]) == ""
    assert not missing_glyphs(name)
    assert rcParams["font.family"][0] == "sans-serif"  # what was drawn before looks as before


def test_a_name_of_absent_letters_is_its_number_and_said_once() -> None:
    absent = next((one for one in "猫ꙮ𓀀𒀀\ua9c1𐀀𝠀" if absent_letters([one])), None)
    if absent is None:
        pytest.skip("a font for each of these scripts is installed")
    names = ["ant", f"{absent}{absent}", "Käfer"]
    assert drawable(names) == ["ant", "class 2", "Käfer"]
    key = f"No installed font has the letters of 1 class name: figures show numbers. 2 = {absent}{absent}"
    assert key_of_numbers(names) == key
    assert drawable_text(f"a{absent}") == "a" + absent.encode("unicode_escape").decode()
    figure = draw_matrix(np.eye(3, dtype=np.int64), names)
    assert figure is not None
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == drawable(names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")


@pytest.mark.usefixtures("no_figures")
def test_the_report_says_the_key_once(copied_run) -> None:
    assert not [event for event in write_page(copied_run) if isinstance(event, Noted)]
    names = ["猫", "犬", "red"]
    if not absent_letters(names):
        pytest.skip("a font for Chinese is installed")
    for file in (copied_run.samples_file, copied_run.split_file, copied_run.predictions_file):
        text = file.read_text().replace("blue,", "猫,").replace(",blue", ",猫").replace(",green", ",犬")
        file.write_text(text, encoding="utf-8")
    metrics = copied_run.metrics
    for row, name in zip(metrics["classes"], names, strict=True):
        row["class"] = name
    write_json(copied_run.metrics_file, metrics)
    write_json(copied_run.facts_file, {**copied_run.facts, "classes": names})
    (said,) = [event.message for event in write_page(copied_run) if isinstance(event, Noted)]
    assert "1 = 猫, 2 = 犬" in said
    assert copied_run.report_file.read_text(encoding="utf-8").count("1 = 猫, 2 = 犬") == 1
