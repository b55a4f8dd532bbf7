"""``fixes.csv``: applied to the table, undone by deleting a line, refused where it says nothing that can be done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.fixes import Fix, apply_fixes, fixes_text, read_fixes
from sightline.errors import DataError, InputError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00") | st.just("\udcff"), min_size=1)


@given(st.lists(st.builds(Fix, TEXT, st.just("relabel"), TEXT, TEXT)))
def test_a_list_comes_back_as_it_was_written(tmp_path, fixes):
    path = tmp_path / "fixes.csv"
    path.write_bytes(fixes_text(fixes).encode("utf-8", "surrogateescape"))
    assert read_fixes(path) == fixes


def test_each_action_changes_its_image_and_no_other(table):
    samples = table([0, 1, 0, 1], classes=("ant", "bee"))
    fixed = apply_fixes(
        samples, [Fix("00001.png", "exclude"), Fix("00002.png", "relabel", "bee"), Fix("00003.png", "group", "g")]
    )
    assert fixed.paths.tolist() == ["00000.png", "00002.png", "00003.png"]
    assert fixed.labels.tolist() == [0, 1, 1]
    assert fixed.groups.tolist() == ["", "", "g"]
    assert ("00001.png", "excluded by the list of fixes") in fixed.skipped
    assert samples.labels.tolist() == [0, 1, 0, 1]


def test_errors_and_pairs_keep_their_images(table):
    from dataclasses import replace

    samples = replace(table([0, 1] * 3, errors={4: "broken"}), near=np.array([[0, 5], [1, 2]], np.intp))
    fixed = apply_fixes(samples, [Fix("00001.png", "exclude")])
    assert fixed.errors == {3: "broken"}
    assert fixed.near.tolist() == [[0, 4]]
    assert fixed.paths[3] == "00004.png"


def test_one_image_may_be_relabelled_and_grouped(table):
    fixed = apply_fixes(table([0, 1]), [Fix("00000.png", "relabel", "class001"), Fix("00000.png", "group", "g")])
    assert (fixed.labels[0], fixed.groups[0]) == (1, "g")


@pytest.mark.parametrize(
    ("fixes", "code", "cure"),
    [
        ([Fix("other/00001.png", "exclude")], "fixes.unknown-image", "did you mean '00001.png'?"),
        ([Fix("00000.png", "relabel", "clas001")], "fixes.unknown-class", "did you mean 'class001'?"),
        ([Fix("00000.png", "exclude"), Fix("00000.png", "relabel", "class001")], "fixes.contradiction", "one of the"),
        ([Fix("00000.png", "group", "a"), Fix("00000.png", "group", "b")], "fixes.contradiction", "one of the"),
    ],
)
def test_what_can_not_be_done_is_refused(table, fixes, code, cure):
    with pytest.raises(DataError) as caught:
        apply_fixes(table([0, 1]), fixes)
    assert caught.value.code == code
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "fixes.form"),
        ("a,b,c\n", "fixes.form"),
        ("path,action,value\nx.png,delete,\n", "fixes.form"),
        ("path,action,value\nx.png,relabel,\n", "fixes.form"),
        ("path,action,value\nx.png,exclude,cat\n", "fixes.form"),
        ("path,action,value\n,exclude,\n", "fixes.form"),
        ('path,action,value\n"x.png,exclude,\n', "fixes.unreadable"),
    ],
)
def test_a_list_that_says_nothing_is_refused_with_its_line(tmp_path, text, code):
    path = tmp_path / "fixes.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_fixes(path)
    assert caught.value.code == code


def test_a_missing_list_is_an_error(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_fixes(tmp_path / "none.csv")


def test_semicolons_of_a_spreadsheet_are_read(tmp_path):
    path = tmp_path / "fixes.csv"
    path.write_text("path;action;value;reason\nx.png;relabel;cat;\n")
    assert read_fixes(path) == [Fix("x.png", "relabel", "cat")]


def test_a_list_that_leaves_nothing_is_refused(table):
    with pytest.raises(DataError) as caught:
        apply_fixes(table([0, 1]), [Fix("00000.png", "exclude"), Fix("00001.png", "exclude")])
    assert caught.value.code == "fixes.nothing-left"


def test_empty_lines_a_mark_of_order_and_a_missing_reason_are_fine(tmp_path):
    path = tmp_path / "fixes.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,action,value\r\n\r\nx.png,exclude,\r\n")
    assert read_fixes(path) == [Fix("x.png", "exclude")]
