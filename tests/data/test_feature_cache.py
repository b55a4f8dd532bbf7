"""The cache of features: what was put comes back bit for bit, under its rules alone, and it stays within its limit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from sightline.data import feature_cache
from sightline.data.feature_cache import FeatureCache

ROWS = np.random.default_rng(0).normal(size=(1_200, 8)).astype(np.float32)
NAMES = [f"{number:064x}" for number in range(1_200)]


def test_what_was_put_comes_back_bit_for_bit_in_another_process_too(tmp_path):
    with FeatureCache(tmp_path, "lite0 224", 8, 10**6) as cache:
        cache.put(NAMES, ROWS)
    with FeatureCache(tmp_path, "lite0 224", 8, 10**6) as cache:
        found = cache.get([*reversed(NAMES), "unknown"])
    assert found[-1] is None and np.array_equal(np.stack(found[:-1]), ROWS[::-1])


def test_known_features_are_counted_under_their_rules(tmp_path):
    with FeatureCache(tmp_path, "lite0 224", 8, 10**6) as cache:
        cache.put(NAMES[:700], ROWS[:700])
        assert cache.count(NAMES) == 700 and cache.count([]) == 0
    with FeatureCache(tmp_path, "lite0 192", 8, 10**6) as cache:
        assert cache.count(NAMES) == 0


def test_without_room_or_a_file_nothing_is_kept(tmp_path, monkeypatch):
    assert feature_cache.keeps_features()
    monkeypatch.setenv("SIGHTLINE_CACHE_LIMIT", "0")
    assert not feature_cache.keeps_features() and feature_cache.count_cached({}, 8, NAMES[:3]) == 0
    monkeypatch.delenv("SIGHTLINE_CACHE_LIMIT")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    assert not feature_cache.keeps_features()


def test_other_rules_find_nothing(tmp_path):
    with FeatureCache(tmp_path, "lite0 224", 8, 10**6) as cache:
        cache.put(NAMES[:3], ROWS[:3])
    with FeatureCache(tmp_path, "lite0 192", 8, 10**6) as cache:
        assert cache.get(NAMES[:3]) == [None] * 3


def test_images_without_content_and_features_that_are_not_finite_are_not_kept(tmp_path):
    rows = ROWS[:3].copy()
    rows[1, 2] = np.nan
    with FeatureCache(tmp_path, "", 8, 10**6) as cache:
        cache.put(["", "b", "c"], rows)
        assert [row is not None for row in cache.get(["", "b", "c"])] == [False, False, True]


def test_beyond_the_limit_goes_what_was_not_used_for_the_longest_time(tmp_path, monkeypatch):
    day = iter([1, 2, 3, 4])
    monkeypatch.setattr(feature_cache.time, "time", lambda: next(day) * 86_400)
    size = ROWS[0].nbytes + 8  # and its checksum
    with FeatureCache(tmp_path, "", 8, 10 * size) as cache:
        cache.put(NAMES[:5], ROWS[:5])  # day 1
        cache.put(NAMES[5:10], ROWS[5:10])  # day 2
        cache.get(NAMES[:2])  # day 3: these are used again
        cache.put(NAMES[10:12], ROWS[10:12])  # day 4: two too many
    with sqlite3.connect(tmp_path / "features.sqlite") as database:
        assert database.execute("SELECT SUM(bytes) FROM features").fetchone()[0] <= 9 * size
    monkeypatch.undo()
    with FeatureCache(tmp_path, "", 8, 10 * size) as cache:
        kept = [row is not None for row in cache.get(NAMES[:12])]
    assert kept[:5] == [True, True, False, False, False] and all(kept[5:])


@pytest.mark.parametrize("damage", [b"no database", b""])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    (tmp_path / "features.sqlite").write_bytes(damage)
    with FeatureCache(tmp_path, "", 8, 10**6) as cache:
        cache.put(NAMES[:1], ROWS[:1])
        assert cache.get(NAMES[:1])[0] is not None


def test_where_nothing_can_be_written_nothing_is_cached_and_nothing_fails(tmp_path):
    (tmp_path / "file").write_text("")
    with FeatureCache(Path(tmp_path / "file" / "below"), "", 8, 10**6) as cache:
        cache.put(NAMES[:1], ROWS[:1])
        assert cache.get(NAMES[:1]) == [None]


def test_rows_that_were_damaged_or_have_another_length_are_not_known(tmp_path):
    with FeatureCache(tmp_path, "", 8, 10**6) as cache:
        cache.put(NAMES[:3], ROWS[:3])
    with sqlite3.connect(tmp_path / "features.sqlite") as database:
        rows = database.execute("SELECT rowid, row FROM features ORDER BY rowid").fetchall()
        database.execute("UPDATE features SET row = ? WHERE rowid = ?", [rows[0][1][4:], rows[0][0]])
        flipped = bytes([rows[1][1][0] ^ 1]) + rows[1][1][1:]
        database.execute("UPDATE features SET row = ? WHERE rowid = ?", [flipped, rows[1][0]])
    with FeatureCache(tmp_path, "", 8, 10**6) as cache:
        assert [row is not None for row in cache.get(NAMES[:3])] == [False, False, True]
    with FeatureCache(tmp_path, "", 4, 10**6) as cache:
        assert cache.get(NAMES[:3]) == [None] * 3


def test_a_file_that_is_damaged_inside_is_made_again_by_the_next_one(tmp_path):
    with FeatureCache(tmp_path, "", 8, 10**6) as cache:
        cache.put(NAMES, ROWS)
    file = tmp_path / "features.sqlite"
    content = bytearray(file.read_bytes())
    content[5_000:-5_000] = np.random.default_rng(0).bytes(len(content) - 10_000)
    file.write_bytes(content)
    for _ in range(2):
        with FeatureCache(tmp_path, "", 8, 10**6) as cache:
            cache.get(NAMES)
            cache.put(NAMES[:5], ROWS[:5])
    with FeatureCache(tmp_path, "", 8, 10**6) as cache:
        assert all(row is not None for row in cache.get(NAMES[:5]))


def test_with_a_limit_of_zero_nothing_is_kept(tmp_path):
    with FeatureCache(tmp_path, "", 8, 0) as cache:
        cache.put(NAMES[:3], ROWS[:3])
        assert cache.get(NAMES[:3]) == [None] * 3
    assert not list(tmp_path.iterdir())
