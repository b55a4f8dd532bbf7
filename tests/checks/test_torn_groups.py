"""Groups: patterns in names, and groups that a given split tears."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sightline.checks.subject import Subject
from sightline.checks.torn_groups import find_coarse_groups, find_group_patterns, find_torn_groups
from sightline.data.inspect import inspect_samples
from sightline.data.sources import read_samples
from sightline.data.split import make_split
from sightline.pixels.image_facts import SIGNATURE
from sightline.steps import result_of

LABELS = [k // 5 % 2 for k in range(100)]
PATHS = [f"c{label}/patient{k // 5:02d}_{k % 5}.png" for k, label in enumerate(LABELS)]


def alike_within(groups) -> dict[str, np.ndarray]:
    """Return signatures that are alike within groups."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(len(set(groups)), SIGNATURE))
    return {"signature": centres[groups] + random.normal(0, 0.5, (len(groups), SIGNATURE))}


def test_a_pattern_in_names_is_suggested_as_an_option_that_works(subject):
    (finding,) = find_group_patterns(subject(LABELS, paths=PATHS, facts=alike_within(np.arange(100) // 5)))
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


def test_a_cure_keeps_the_options_that_were_typed(subject):
    groups = [f"g{k // 5}" for k in range(100)]
    given = ["train"] * 58 + ["val"] * 22 + ["test"] * 20
    found = replace(subject(LABELS, groups=groups, given=given), options=" --group patient")
    assert f"sightline train {found.samples.source} --group patient --resplit;" in find_torn_groups(found)[0].cure


def test_a_drawn_split_tears_no_group(subject):
    assert find_torn_groups(subject(LABELS, groups=[f"g{k // 5}" for k in range(100)])) == []


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Return a function that cuts two photos into tiles, one class each, named by ``name(number)``."""
    from sklearn.datasets import load_sample_images

    photos = dict(zip(("china", "flower"), load_sample_images().images, strict=True))

    def cut(name, place) -> Subject:
        root = tmp_path_factory.mktemp("tiles")
        for label, photo in photos.items():
            (root / label).mkdir()
            for number in range(60):
                left, top = place(number)
                tile = Image.fromarray(photo[top : top + 80, left : left + 80])
                tile.save(root / label / name(number), quality=90)
        samples = result_of(inspect_samples(read_samples(root)))
        return Subject(samples, make_split(samples))

    return cut


def test_a_place_in_a_batch_is_no_group_and_is_asked_about_alone(tiles):
    """Names such as _12_3456.jpeg, of which the first number counts within a batch, not an original."""
    random = np.random.default_rng(0)
    made = tiles(lambda number: f"_{random.integers(13)}_{1000 + number}.jpeg", lambda n: (n % 12 * 50, n // 12 * 80))
    (finding,) = find_group_patterns(made)
    assert finding.severity == "note" and finding.message.startswith("do file names tell")
    assert finding.cure.startswith("only if such images show the same")


def test_bursts_in_names_whose_images_are_alike_are_suggested(tiles):
    """Five images of each place, moved by some pixels."""
    place = lambda n: (n // 5 * 45 + n % 5 * 6, 120)  # noqa: E731
    (finding,) = find_group_patterns(tiles(lambda number: f"place{number // 5:02d}_{number:03d}.jpeg", place))
    assert finding.severity == "warning" and "more alike than others" in finding.message


def test_every_member_of_the_example_is_counted(subject):
    (finding,) = find_group_patterns(subject(LABELS * 2, paths=[f"p{k // 50}_{k}.png" for k in range(200)]))
    (case,) = finding.cases
    assert len(case.paths) == 50 and str(case).endswith("= 46 more")
    given = ["train"] * 100 + ["test"] * 100
    groups = [f"g{k % 4}" for k in range(200)]
    (torn,) = find_torn_groups(subject(LABELS * 2, groups=groups, given=given))
    assert {str(case) for case in torn.cases} == {
        f"{' = '.join(f'{k:05d}.png' for k in range(g, 16, 4))} = 46 more: g{g}" for g in range(4)
    }
    assert "--resplit" in torn.cure


def test_groups_that_leave_a_class_unmeasured_are_an_error_with_the_sizes(subject):
    labels = [0] * 100 + [1] * 60
    groups = [f"a{k // 5}" for k in range(100)] + [f"b{k // 30}" for k in range(60)]
    found = find_coarse_groups(subject(labels, groups=groups))
    errors = [finding.message for finding in found if finding.severity == "error"]
    assert errors and all("'class001' has 60 images in 2 groups" in message for message in errors)
    assert not any("class000" in message for message in errors)


def test_a_group_that_is_more_than_a_fifth_of_a_part_is_warned_of_with_the_sizes(subject):
    groups = ["one"] * 30 + [f"g{k}" for k in range(170)]
    labels, given = [k % 2 for k in range(200)], ["test"] * 100 + ["train"] * 100
    (finding,) = find_coarse_groups(subject(labels, groups=groups, given=given))
    assert finding.severity == "warning" and "'one' is 30 of its 100 images" in finding.message
    small = ["one"] * 20 + groups[30:] + ["g170"] * 10
    assert find_coarse_groups(subject(labels, groups=small, given=given)) == []


def test_groups_of_a_few_images_each_are_fine(subject):
    assert find_coarse_groups(subject(LABELS, groups=[f"g{k // 2}" for k in range(100)])) == []
    assert find_coarse_groups(subject(LABELS)) == []
