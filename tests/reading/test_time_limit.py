"""What a time limit allows before a training: slow reading is refused early, and a search is given up and told."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scenes import scene
from sightline.data.samples import Samples
from sightline.errors import InputError
from sightline.events import StageStarted, Warned
from sightline.pipeline.job import Job
from sightline.pipeline.look import look
from sightline.pixels.image_facts import FACTS
from sightline.planning.recipe import Recipe
from sightline.reading import source, time_limit
from sightline.reading.source import inspect_source
from sightline.reading.time_limit import TimeLimit, read_in_time, spare_seconds, until
from sightline.steps import Steps, result_of


class Images:
    """Reading that takes a number of seconds for each step, by a clock of its own."""

    def __init__(self, monkeypatch, seconds: float) -> None:
        self.now, self.seconds, self.is_closed = 0.0, seconds, False
        monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: self.now))

    def read(self, total: int):
        try:
            for done in range(100, total + 1, 100):
                self.now += self.seconds
                yield done
            return "read"
        finally:
            self.is_closed = True


def test_reading_that_takes_longer_than_the_limit_is_refused_as_soon_as_its_pace_shows(monkeypatch):
    images = Images(monkeypatch, 0.5)
    with pytest.raises(InputError, match=r"--time 1 min 0 s is too short: this machine needs at least 5 min") as caught:
        result_of(read_in_time(images.read(60_000), 60_000, TimeLimit(60, 0)))
    assert caught.value.code == "plan.time" and "reading 60,000 images takes about 5 min" in caught.value.message
    assert 5 < images.now < 7 and images.is_closed
    assert "give --time 6" in caught.value.cure and "check" in caught.value.cure  # twice of what reading takes


@pytest.mark.parametrize(
    ("seconds", "total", "limit"),
    [
        (0.5, 60_000, None),
        (0.5, 10_000, TimeLimit(60, 0)),
        (0.01, 40_000, TimeLimit(1, 0)),
    ],
    ids=["no limit", "it suffices", "its pace is not known yet"],
)
def test_reading_within_the_limit_is_read_to_its_end(monkeypatch, seconds, total, limit):
    images = Images(monkeypatch, seconds)
    steps = Steps(read_in_time(images.read(total), total, limit))
    assert list(steps)[-1] == total and steps.result == "read"


def test_images_that_are_known_take_no_time_and_are_not_counted_at_the_pace_of_new_ones(monkeypatch):
    """Of 60,000 images, 2,000 new ones come first: the others were read before, by a check."""
    images, asked = Images(monkeypatch, 0.5), []

    def read():
        for done in range(100, 60_001, 100):
            images.now += 0.5 if done <= 2_000 else 0.001
            yield done
        return "read"

    def find_unread(first: int):
        asked.append(first)
        return np.arange(first, 2_000)

    assert result_of(read_in_time(read(), 60_000, TimeLimit(60, 0), find_unread)) == "read"
    assert asked == [1_100]  # 5.5 s, and once
    images.now = 0.0
    with pytest.raises(InputError, match="is too short"):  # and where they are not known, it is refused as before
        result_of(read_in_time(images.read(60_000), 60_000, TimeLimit(60, 0), lambda first: np.arange(first, 60_000)))


def test_a_training_that_goes_on_is_not_refused_for_slow_reading(monkeypatch):
    images = Images(monkeypatch, 0.5)
    limit = TimeLimit(60, 0, is_new=False)
    assert result_of(read_in_time(images.read(60_000), 60_000, limit)) == "read"
    time_limit.refuse_without_time(photos(600), limit)


def photos(count: int) -> Samples:
    """Inspected photos of 300 px, by their facts alone."""
    facts = np.zeros(count, FACTS)
    facts["width"] = facts["height"] = 300
    names = np.array([f"{k}.jpg" for k in range(count)], object)
    return Samples(Path("photos"), "photos", ("a",), names, np.zeros(count, np.int64), facts=facts)


def test_searching_takes_a_third_at_most_of_what_the_end_of_a_training_leaves(monkeypatch):
    """Reading took 40 of 60 seconds, and 1,000 photos need 14 at the end."""
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: 40.0))
    assert spare_seconds(photos(1_000), TimeLimit(60, 0)) == pytest.approx((20 - 14) / 3)
    assert spare_seconds(photos(9_000), TimeLimit(60, 0)) == 0
    asked = {}

    def find(samples, *, value_range, seconds):
        asked["near"] = seconds
        return samples
        yield

    def search(samples, wanted, *, ends, **more):
        asked["both"] = ends
        return samples
        yield

    monkeypatch.setattr(source, "time", SimpleNamespace(monotonic=lambda: 40.0))
    monkeypatch.setattr(source, "find_duplicates", find)
    monkeypatch.setattr(source, "find_versions", search)
    result_of(source._compare(photos(1_000), source.DataChoices(), TimeLimit(60, 0)))
    assert (asked["near"], asked["both"]) == (pytest.approx(1), pytest.approx(42))
    result_of(source._compare(photos(1_000), source.DataChoices(), TimeLimit(600, 0)))
    assert (asked["near"], asked["both"]) == (60, 130)  # a tenth, and 15 %


def test_a_limit_that_leaves_nothing_after_reading_is_refused_before_images_are_compared(tmp_path):
    for k in range(4):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        scene(k, 32).save(tmp_path / "ab"[k % 2] / f"{k}.png")
    begun = []
    with pytest.raises(InputError, match=r"--time 8\.0 s is too short: this machine needs at least 1") as caught:
        for event in inspect_source(tmp_path, limit=TimeLimit(8, time.monotonic())):
            begun += [event.name] if isinstance(event, StageStarted) else []
    assert begun == ["Reading"] and caught.value.code == "plan.time"
    assert "check" not in caught.value.cure  # it would not help: export and report alone take longer


def test_what_is_given_up_is_closed_and_has_no_result(monkeypatch):
    images = Images(monkeypatch, 1.0)
    steps = Steps(until(2.5, images.read(1_000)))
    assert list(steps) == [100, 200, 300] and steps.result is None and images.is_closed
    assert result_of(until(2_000.0, images.read(1_000))) == "read"


def test_pairs_without_time_are_told_and_recorded_and_a_check_before_spares_them(tmp_path, monkeypatch):
    root = tmp_path / "set"
    for k in range(12):
        (root / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        scene(k, 64).save(root / "ab"[k % 2] / f"{k}.png")
        scene(k, 64).resize((60, 60)).save(root / "ab"[k % 2] / f"{k}-again.png")
    job = Job(root, options=Recipe(time=600, versions="off"), out=tmp_path / "runs")

    def looked():
        steps = Steps(look(job))
        events = [event for event in steps if isinstance(event, Warned)]
        return steps.result[0], [event for event in events if event.code == "data.near-unsearched"]

    monkeypatch.setattr("sightline.reading.source.COMPARING_SHARE", 0)
    found, (warned,) = looked()
    assert not len(found.samples.near) and warned.message.startswith("0 of ")
    assert warned.cure.startswith(f"sightline check {root} --versions off first")
    assert "near-unsearched" in {finding.code for finding in found.findings}
    whole = result_of(inspect_source(root))
    found, warnings = looked()
    np.testing.assert_array_equal(found.samples.near, whole.near)
    assert len(whole.near) == 12 and not warnings
    assert "near-unsearched" not in {finding.code for finding in found.findings}
