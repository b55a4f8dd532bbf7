"""The data doctor: each finding where it belongs, and nothing on clean data."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sightline.checks.checkup import CHECKS, check_subject
from sightline.checks.finding import SEVERITIES, Finding
from sightline.checks.subject import Subject
from sightline.data.samples import Samples
from sightline.data.split import make_split

Table = Callable[..., Samples]
LABELS = [0, 1] * 50
GIVEN = ["train"] * 60 + ["val"] * 20 + ["test"] * 20


def findings(samples: Samples) -> list[Finding]:
    return list(check_subject(Subject(samples, make_split(samples))))


def found(samples: Samples, code: str) -> Finding:
    """The one finding of a code."""
    (finding,) = [finding for finding in findings(samples) if finding.code == code]
    assert finding.message
    assert finding.cure
    return finding


def shown(finding: Finding) -> tuple[str, ...]:
    """What is written for each case."""
    return tuple(str(case) for case in finding.cases)


def codes(samples: Samples) -> list[str]:
    return [finding.code for finding in findings(samples)]


def digests(**same: int) -> list[str]:
    """A hundred contents; ``r90=3`` makes row 90 a copy of row 3."""
    contents = [f"d{k:03d}" for k in range(100)]
    for row, other in same.items():
        contents[int(row[1:])] = contents[other]
    return contents


def test_clean_data_have_no_findings(table: Table) -> None:
    assert codes(table(LABELS)) == []
    assert codes(table(LABELS, given=GIVEN)) == []


def test_unreadable_images_are_an_error_with_reasons(table: Table) -> None:
    finding = found(table(LABELS, errors={7: "the file is empty", 3: "no such file"}), "unreadable")
    assert finding.severity == "error"
    assert shown(finding) == ("00003.png: no such file", "00007.png: the file is empty")
    assert finding.message.startswith("2 images")


@pytest.mark.parametrize("other", [2, 62], ids=["train", "val"])
def test_a_test_image_that_was_trained_on_is_a_leak(table: Table, other: int) -> None:
    finding = found(table(LABELS, given=GIVEN, digests=digests(r90=other)), "leak")
    assert finding.severity == "error"
    assert shown(finding)[0].startswith(f"00090.png = {other:05d}.png")
    assert [fix.path for fix in finding.fixes] == ["00090.png"]


def test_a_validation_image_that_was_trained_on_is_a_leak_too(table: Table) -> None:
    """The design: leaks between given parts are reported; here validation chooses on what training has seen."""
    assert "leak" in codes(table(LABELS, given=GIVEN, digests=digests(r62=2)))


def test_a_file_under_two_labels_is_a_conflict(table: Table) -> None:
    samples = table(LABELS, digests=digests(r11=2))
    finding = found(samples, "label-conflict")
    assert finding.severity == "error"
    assert shown(finding) == ("00002.png = 00011.png: class000 and class001",)
    assert "copies" not in codes(samples)


def test_copies_of_one_class_are_a_note_that_counts_the_surplus(table: Table) -> None:
    samples = table(LABELS, digests=digests(r12=2, r14=2, r33=31))
    finding = found(samples, "copies")
    assert finding.severity == "note"
    assert finding.message.startswith("3 images")
    assert set(shown(finding)) == {"00002.png = 00012.png = 00014.png", "00031.png = 00033.png"}
    assert "label-conflict" not in codes(samples)


def test_files_that_could_not_be_read_are_no_copies_of_each_other(table: Table) -> None:
    contents = digests()
    contents[4] = contents[6] = contents[7] = ""
    samples = table(LABELS, digests=contents, errors=dict.fromkeys((4, 6, 7), "the file is empty"))
    assert codes(samples) == ["unreadable"]


def test_tables_that_were_not_inspected_have_no_copies(table: Table) -> None:
    assert codes(table(LABELS, digests=[""] * 100)) == []


def test_a_tiny_class_is_named_with_its_images(table: Table) -> None:
    finding = found(table([0] * 20 + [1] * 4 + [2] * 5), "tiny-class")
    assert finding.severity == "warning"
    assert "'class001' has 4" in finding.message
    assert "class002" not in finding.message
    assert shown(finding) == tuple(f"{k:05d}.png" for k in range(20, 24))


def test_many_tiny_classes_are_not_all_named_but_all_listed(table: Table) -> None:
    finding = found(table([0] * 20 + [k for k in range(1, 9) for _ in range(2)]), "tiny-class")
    assert finding.message.endswith("...")
    assert len(shown(finding)) == 16


@pytest.mark.parametrize(("large", "warns"), [(99, False), (100, True), (500, True)])
def test_classes_ten_times_apart_are_uneven(table: Table, large: int, warns: bool) -> None:
    assert ("uneven-classes" in codes(table([0] * large + [1] * 10))) is warns


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_given_part_without_a_class_is_named(table: Table, part: str) -> None:
    labels = [0, 1] * 50
    labels[60 : 80 if part == "val" else 60] = [0] * (20 if part == "val" else 0)
    labels[80:] = [0] * 20 if part == "test" else labels[80:]
    finding = found(table(labels, given=GIVEN), "missing-class")
    assert f"without an image in {part}: 'class001'" in finding.message
    assert finding.severity == "warning"


@pytest.mark.parametrize("names", [("Cat", "cat"), ("black cat", "Black  Cat"), ("STRASSE", "straße"), ("a b", "ab")])
def test_class_names_that_look_alike_are_a_clash(table: Table, names: tuple[str, str]) -> None:
    finding = found(table(LABELS, classes=names), "class-name-clash")
    assert all(repr(name) in finding.message for name in names)


@pytest.mark.parametrize(("rare", "common"), [("shoess", "shoes"), ("shos", "shoes"), ("shoex", "shoes")])
def test_a_rare_name_one_letter_from_a_common_one_is_a_clash(table: Table, rare: str, common: str) -> None:
    samples = table([0] * 60 + [1] * 6, classes=(common, rare))
    assert repr(rare) in found(samples, "class-name-clash").message
    assert "class-name-clash" not in codes(table([0] * 60 + [1] * 40, classes=(common, rare)))


def test_class_names_that_differ_are_no_clash(table: Table) -> None:
    assert codes(table(LABELS, classes=("cat", "cats"))) == []


@pytest.mark.parametrize(
    ("reason", "severity"),
    [
        ("hidden", "note"),
        ("not an image (.txt)", "note"),
        ("outside the class folders", "warning"),
        ("can't be read: Permission denied", "warning"),
        ("a folder without images", "warning"),
    ],
)
def test_skipped_paths_are_listed_by_reason(table: Table, reason: str, severity: str) -> None:
    samples = table(LABELS, skipped=[("x", reason), ("y", reason), ("z", "something else")])
    by_message = {finding.message: finding for finding in findings(samples)}
    assert set(by_message) == {f"2 skipped: {reason} (x, y)", "1 skipped: something else (z)"}
    finding = by_message[f"2 skipped: {reason} (x, y)"]
    assert (shown(finding), finding.severity) == (("x", "y"), severity)


def test_errors_come_first_and_notes_last(table: Table) -> None:
    samples = table(
        LABELS, digests=digests(r12=2, r21=40), errors={9: "broken"}, skipped=[("a", "hidden"), ("b", "outside")]
    )
    order = [SEVERITIES.index(finding.severity) for finding in findings(samples)]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}


def test_findings_are_json(table: Table) -> None:
    for finding in findings(table([0] * 50 + [1] * 4, errors={0: "broken"}, skipped=[("a", "hidden")])):
        assert json.loads(json.dumps(finding.to_dict()))["code"] == finding.code
        assert finding.severity in SEVERITIES


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_alone_is_silent_on_clean_data(table: Table, check: Callable[..., list[Finding]]) -> None:
    samples = table(LABELS)
    assert check(Subject(samples, make_split(samples))) == []
