"""Units: which images are one witness, and that a run's table keeps it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sightline.data.units import number_units, with_units


def test_groups_copies_and_near_duplicates_are_one_unit(table) -> None:
    samples = table(
        [0] * 8, digests=["a", "a", "b", "c", "d", "e", "f", "g"], groups=["", "", "", "", "p", "p", "", ""]
    )
    samples = replace(samples, near=np.array([[1, 2], [5, 6]]))
    names = with_units(samples).units
    assert names.tolist() == ["00000.png"] * 3 + [""] + ["00004.png"] * 3 + [""]
    numbers = number_units(samples, np.arange(8))
    assert [len(set(numbers[part])) for part in ([0, 1, 2], [4, 5, 6])] == [1, 1]
    assert len(set(numbers.tolist())) == 4


def test_images_linked_through_another_part_are_one_unit_too(table) -> None:
    samples = replace(table([0] * 4), near=np.array([[0, 1], [1, 2]]))
    numbers = number_units(samples, np.array([0, 2, 3]))  # 1 is in training
    assert numbers[0] == numbers[1] != numbers[2]
    assert number_units(samples, np.array([0, 3])) is None


def test_recorded_units_stand_for_what_they_were_made_of(table) -> None:
    samples = replace(table([0] * 6, groups=["", "", "", "p", "p", ""]), near=np.array([[0, 1]]))
    kept = replace(table([0] * 6), units=with_units(samples).units)  # neither groups nor near-duplicates are known
    assert np.array_equal(number_units(kept, np.arange(6)), number_units(samples, np.arange(6)))
    assert kept.take(np.array([4, 3])).units.tolist() == ["00003.png"] * 2


def test_versions_of_one_original_are_one_witness(table):
    """Linked through an image outside of the measured ones, or through a chain; a copy follows its content."""
    samples = replace(
        table([0] * 8, digests=["a", "b", "c", "d", "e", "f", "g", "c"]), versions=np.array([(0, 1), (1, 2), (4, 5)])
    )
    rows = np.array([0, 2, 3, 4, 5, 6, 7])
    numbers = number_units(samples, rows)
    assert numbers is not None
    assert [numbers[0]] * 3 == [numbers[k] for k in (0, 1, 6)]
    assert numbers[3] == numbers[4]
    assert len(set(numbers.tolist())) == 4
    kept = samples.take(np.array([5, 4, 0]))
    assert kept.versions.tolist() == [[1, 0]]
