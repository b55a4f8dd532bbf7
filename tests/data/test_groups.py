"""Groups: by column or expression; patterns are suggested from names in ten styles, and from none that are plain."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from sightline.data.groups import assign_groups, suggest_groups
from sightline.errors import InputError

STYLES = [
    "patient{g}_{k}.png",
    "p{g:03d}-{k:02d}.jpg",
    "scan_{g}_slice_{k}.png",
    "video{g}_frame{k:05d}.jpg",
    "S{g}R{k}.png",
    "2024-01-{g:02d}_{k:04d}.jpg",
    "case {g} ({k}).jpg",
    "{g:04d}_{k}.tif",
    "clip{g}/frame{k:04d}.jpg",
    "IMG_202401{g:02d}_{k:06d}.jpg",
]
PLAIN = [
    "{k:05d}.jpg",
    "IMG_{k:04d}.jpg",
    "cat.{k}.jpg",
    "aeroplane_s_{k:06d}.png",
    "{h}.jpg",
    "{h:.8}-{h:.4}-{h:.12}.png",
    "n02085620_{k}.jpg",
    "{h:.10}_o.jpg",
    "photo ({k}).jpg",
    "{k}_{h}.jpg",
]


def hexes(k: int) -> str:
    return np.random.default_rng(k).bytes(16).hex()


@pytest.mark.parametrize("style", STYLES)
def test_planted_groups_are_found(style):
    paths = [f"c{g % 2}/" + style.format(g=g, k=k) for g in range(1, 25) for k in range(6)]
    found = suggest_groups(paths)
    assert found is not None
    groups = [re.search(found.pattern, path).group(1) for path in paths]
    assert found.groups == len(set(groups)) == 24
    assert all(len(set(groups[start : start + 6])) == 1 for start in range(0, 144, 6))


@pytest.mark.parametrize("style", PLAIN)
def test_names_without_groups_suggest_none(style):
    assert suggest_groups([f"c{k % 2}/" + style.format(k=k, h=hexes(k)) for k in range(200)]) is None


def test_groups_of_which_one_holds_most_are_classes_in_another_word():
    sizes = {1: 80, 2: 10, 3: 10}
    assert suggest_groups([f"a/site{g}_{k}.png" for g, size in sizes.items() for k in range(size)]) is None


def test_names_of_thousands_of_digits_take_no_time():
    assert suggest_groups([f"{'1' * 3000}/{'2' * 3000}/{k}.png" for k in range(3)]) is None


def test_a_rule_is_a_column_or_an_expression(table):
    samples = table([0, 1, 0], paths=["a/p1_1.png", "a/p2_1.png", "a/x.png"])
    assert assign_groups(samples, r"(p\d)_").groups.tolist() == ["p1", "p2", ""]
    assert assign_groups(samples, r"p\d").groups.tolist() == ["p1", "p2", ""]
    with_column = replace(samples, extra={"place": np.array(["north", "south", "north"], object)})
    assert assign_groups(with_column, "place").groups.tolist() == ["north", "south", "north"]
    assert assign_groups(samples, "") is samples


@pytest.mark.parametrize("rule", ["(", "nowhere", "patient"])
def test_a_rule_that_names_nothing_is_refused(table, rule):
    with pytest.raises(InputError) as caught:
        assign_groups(table([0, 1]), rule)
    assert caught.value.code == "split.group"
