"""The search for versions of one original: what is found, kept together, bounded, remembered, and told."""

from __future__ import annotations

import time

import numpy as np
import pytest

from scenes import VERSIONS, scene
from sightline.data.split import find_units, make_split
from sightline.errors import InputError
from sightline.events import Noted, StageEnded, Warned
from sightline.planning.budget import closing_seconds
from sightline.reading import time_limit, versions
from sightline.reading.source import DataChoices, inspect_source
from sightline.reading.time_limit import TimeLimit

_ORIGINALS = 10


@pytest.fixture(scope="module")
def augmented(tmp_path_factory):
    """Ten originals, of four of which there are three versions each instead; names say nothing."""
    root, random, of = tmp_path_factory.mktemp("augmented"), np.random.default_rng(0), {}
    changes = list(VERSIONS.values())
    for k in range(_ORIGINALS):
        for change in changes[3 * (k % 2) : 3 * (k % 2) + 3] if k < 4 else [lambda image: image]:
            path = root / "ab"[k % 2] / f"{random.integers(1 << 40):x}.png"
            path.parent.mkdir(exist_ok=True)
            change(scene(k)).save(path)
            of[str(path.relative_to(root))] = k
    return root, of


def looked(root, choices=None, **options):
    events, steps = [], inspect_source(root, choices or DataChoices(), **options)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return stop.value, events


@pytest.fixture(scope="module")
def known(augmented, tmp_path_factory):
    """What one search of them finds, its events, and the cache folder that it left."""
    folder = tmp_path_factory.mktemp("known")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(folder))
        return *looked(augmented[0]), folder


def test_versions_are_one_unit_and_stand_on_one_side_of_the_split(augmented, known):
    (_, of), (samples, events, _) = augmented, known
    original = np.array([of[path] for path in samples.paths])
    units = find_units(samples, np.arange(len(samples)))
    assert sorted(original[unit].tolist() for unit in units) == sorted([k] * (3 if k < 4 else 1) for k in range(10))
    for seed in range(20):
        parts = make_split(samples, seed=seed).parts
        assert all(len(set(parts[original == k])) == 1 for k in range(10))
    (ended,) = [event for event in events if isinstance(event, StageEnded) and event.name == "Searching"]
    assert ended.detail.startswith("12 of 18 images are versions")


def test_a_second_search_is_remembered(augmented, known, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", str(known[2]))
    monkeypatch.setattr(versions, "_search", lambda *_: 1 / 0)
    np.testing.assert_array_equal(looked(augmented[0])[0].versions, known[0].versions)


def test_off_is_off(augmented):
    samples, events = looked(augmented[0], DataChoices(versions="off"))
    assert len(samples.versions) == 0
    assert not [event for event in events if getattr(event, "name", "") == "Searching"]
    with pytest.raises(InputError, match="auto, all, off"):
        DataChoices(versions="some")


def test_what_a_bound_leaves_out_is_told(augmented, known, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", str(known[2]))
    monkeypatch.setattr(versions, "_LOOKED_AT", 16)
    monkeypatch.setattr(versions, "_ALL", 17)
    samples, events = looked(augmented[0])
    (warned,) = [event for event in events if isinstance(event, Warned)]
    assert warned.code == "data.versions-unsearched"
    assert "16 of 18" in warned.message
    assert 0 < len(samples.versions) < len(known[0].versions)


def test_a_few_versions_in_a_large_set_are_kept_and_no_reason_to_search_all(augmented, known, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", str(known[2]))
    monkeypatch.setattr(versions, "_LOOKED_AT", 17)  # another bound, so that nothing is remembered
    monkeypatch.setattr(versions, "_COMMON", 99)
    monkeypatch.setattr(versions, "_COMMON_SHARE", 10)
    samples, events = looked(augmented[0])
    (ended,) = [event for event in events if isinstance(event, StageEnded) and event.name == "Searching"]
    assert "in the likeliest pairs of a sample of 17 images" in ended.detail
    assert 0 < len(samples.versions) < len(known[0].versions)
    assert not [event for event in events if isinstance(event, Warned)]


def test_small_images_are_told_not_to_be_searched(photos):
    samples, events = looked(photos)
    assert any("32 px" in event.message for event in events if isinstance(event, Noted))
    assert len(samples.versions) == 0


def test_where_most_images_lie_over_each_other_it_is_not_said_that_there_are_none(tmp_path):
    random = np.random.default_rng(0)
    for k in range(24):
        form = scene(0, 64)
        form.paste((k * 10, 40, 90), (10, int(random.integers(10, 50)), 26, 62))
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        form.save(tmp_path / "ab"[k % 2] / f"{k}.png")
    for _ in range(2):  # the second time from the cache
        samples, events = looked(tmp_path)
        said = [event.detail for event in events if isinstance(event, StageEnded) and event.name == "Searching"]
        assert len(samples.versions) == 0
        assert said[0].startswith("can't be told among 24 images")


def test_unreadable_since_inspection_is_no_crash(augmented, tmp_path):
    for k in range(6):
        path = tmp_path / "set" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(k).save(path)
    steps, events = inspect_source(tmp_path / "set"), []
    for event in steps:
        events.append(event)
        if getattr(event, "name", "") == "Searching" and not isinstance(event, StageEnded):
            (tmp_path / "set/a/0.png").unlink()
            (tmp_path / "set/b/1.png").write_bytes(b"")
    assert events[-1].detail.startswith("none")


@pytest.mark.parametrize(
    ("wanted", "limit", "bounds"),
    [
        ("auto", 0, (2_000, 20_000)),
        ("auto", 60, (300, 75)),
        ("auto", 3_600, (2_000, 4_500)),
        ("all", 60, (50_000,) * 2),
    ],
)
def test_a_time_limit_bounds_the_search(wanted, limit, bounds):
    assert versions._bounds(wanted, 50_000, limit) == bounds


def test_a_search_that_is_late_is_told_and_not_kept_and_a_check_spares_it(augmented, monkeypatch):
    root, _ = augmented
    late = TimeLimit(600, time.monotonic())
    monkeypatch.setattr("sightline.reading.source.SEARCH_SHARE", -1.0)
    samples, events = looked(root, limit=late)
    (warned,) = [event for event in events if isinstance(event, Warned) and event.code == "data.versions-unsearched"]
    assert "were not searched" in warned.message and warned.cure.startswith(f"sightline check {root} first")
    assert not len(samples.versions)
    _, events = looked(root, DataChoices(value_range=(0, 255), skip=("c",)), limit=late)  # another set, found elsewhere
    cures = [event.cure for event in events if isinstance(event, Warned) and event.code == "data.versions-unsearched"]
    assert cures[0].startswith(f"sightline check {root} --range 0,255 --skip c first")
    whole, _ = looked(root)
    again, events = looked(root, limit=late)
    np.testing.assert_array_equal(again.versions, whole.versions)
    assert len(whole.versions) and not [event for event in events if isinstance(event, Warned)]


def test_all_is_an_order_that_a_time_limit_refuses_before_it_is_over(augmented, monkeypatch):
    root, _ = augmented
    monkeypatch.setattr(versions, "_METHOD", -2)  # nothing is known of it
    limit = TimeLimit(600, time.monotonic())
    monkeypatch.setattr("sightline.reading.source.latest_end", lambda samples, limit: time.monotonic() - 1)
    with pytest.raises(InputError) as caught:
        looked(root, DataChoices(versions="all"), limit=limit)
    assert caught.value.code == "plan.time" and "--versions all" in caught.value.message
    assert caught.value.cure.startswith(f"sightline check {root} --versions all first")
    monkeypatch.undo()
    monkeypatch.setattr(versions, "_METHOD", -2)
    whole, _ = looked(root, DataChoices(versions="all"))  # as the cure says: what it finds is kept
    monkeypatch.setattr("sightline.reading.source.latest_end", lambda samples, limit: time.monotonic() - 1)
    again, _ = looked(root, DataChoices(versions="all"), limit=limit)
    np.testing.assert_array_equal(again.versions, whole.versions)


def test_what_every_training_ends_with_bounds_an_ordered_search(augmented):
    samples, _ = looked(augmented[0], DataChoices(versions="off"))
    limit = TimeLimit(600, 1_000.0)
    closing = closing_seconds(len(samples), int(np.median(np.minimum(samples.widths, samples.heights))))
    assert time_limit.latest_end(samples, limit) == pytest.approx(1_600 - closing)
    assert time_limit.latest_end(samples, TimeLimit(600, 1_000.0, is_new=False)) == float("inf")


def test_without_time_for_all_images_what_the_likeliest_show_is_kept(augmented, monkeypatch):
    root, _ = augmented
    monkeypatch.setattr(versions, "_LOOKED_AT", 14)
    whole, _ = looked(root)
    monkeypatch.setattr(versions, "_METHOD", -1)  # nothing is known of it
    searches = []

    def until(ends, steps):
        searches.append(ends)
        return time_limit.until(-1.0 if len(searches) == 2 else ends, steps)

    monkeypatch.setattr(versions, "until", until)
    samples, events = looked(root, limit=TimeLimit(600, time.monotonic()))
    assert len(searches) == 2 and 0 < len(samples.versions) < len(whole.versions)
    (warned,) = [event for event in events if isinstance(event, Warned)]
    assert warned.code == "data.versions-unsearched" and "14 of 18" in warned.message and "check" in warned.cure


def test_where_no_image_can_be_read_the_size_is_not_the_reason(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image" + name.encode())
    said = [event.message for event in looked(tmp_path)[1] if isinstance(event, Noted)]
    assert "Versions of one original are not searched: fewer than two images can be read." in said
