"""Groups: patterns in names, and groups that a given split tears."""

from __future__ import annotations

import re
import shlex

from sightline.checks.torn_groups import find_group_patterns, find_torn_groups

LABELS = [k // 5 % 2 for k in range(100)]
PATHS = [f"c{label}/patient{k // 5:02d}_{k % 5}.png" for k, label in enumerate(LABELS)]


def test_a_pattern_in_names_is_suggested_as_an_option_that_works(subject):
    (finding,) = find_group_patterns(subject(LABELS, paths=PATHS))
    assert finding.severity == "warning"  # the drawn split tore some of them
    words = shlex.split(finding.cure.partition(": ")[2])
    pattern = words[words.index("--group") + 1]
    assert {re.search(pattern, path).group(1) for path in PATHS} == {f"patient{k:02d}" for k in range(20)}


def test_given_groups_need_no_suggestion(subject):
    groups = [f"g{k // 5}" for k in range(100)]
    assert find_group_patterns(subject(LABELS, paths=PATHS, groups=groups)) == []


def test_plain_names_make_no_groups(subject):
    assert find_group_patterns(subject(LABELS, paths=[f"c/{k:05d}.jpg" for k in range(100)])) == []


def test_a_given_split_that_tears_groups_is_an_error(subject):
    groups = [f"g{k // 5}" for k in range(100)]
    given = ["train"] * 58 + ["val"] * 22 + ["test"] * 20  # g11 and no other has both
    (finding,) = find_torn_groups(subject(LABELS, groups=groups, given=given))
    assert "1 of 20 groups" in finding.message
    assert [case.note for case in finding.cases] == ["g11"]


def test_a_drawn_split_tears_no_group(subject):
    assert find_torn_groups(subject(LABELS, groups=[f"g{k // 5}" for k in range(100)])) == []
