"""The files of a store: what was written comes back, or nothing does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.pixels import storage
from sightline.pixels.storage import NoRoom, Stored, StoreWriter, discard, make_room, read_store, sweep


def finish(steps) -> tuple[Stored | None, list[int]]:
    yielded = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as stop:
            return stop.value, yielded


def written(target: Path, images: list[np.ndarray], errors: dict[int, str] | None = None) -> Path:
    target.parent.mkdir(exist_ok=True)
    with StoreWriter(target, 10**9) as writer:
        writer.commit(np.array([(writer.write(p), *p.shape[:2]) for p in images]).reshape(-1, 3), errors or {})
    return target


def noise(count: int, side: int = 7) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, side + k % 3, 3), dtype=np.uint8) for k in range(count)]


@given(count=st.integers(0, 12), block=st.integers(1, 700), threads=st.integers(1, 3))
def test_what_was_written_comes_back(tmp_path_factory, count: int, block: int, threads: int) -> None:
    """Whatever the size of a block: images end within one, at its end, or lie in several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "_BLOCK", block)
        images = noise(count)
        target = written(tmp_path_factory.mktemp("stores") / "a", images, {3: "ünreadable"})
        stored, _ = finish(read_store(target, threads))
        assert stored is not None
        assert stored.errors == {3: "ünreadable"}
        for image, (offset, height, width) in zip(images, stored.index, strict=True):
            flat = stored.flat[offset : offset + image.size]
            np.testing.assert_array_equal(flat.reshape(height, width, 3), image)


def test_a_large_store_says_how_far_its_check_is(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_BLOCK", 16)
    target = written(tmp_path / "a", noise(40))
    _, yielded = finish(read_store(target, 2))
    assert len(yielded) > 2
    assert yielded == sorted(yielded)
    assert yielded[-1] <= 40


def test_damage_in_any_block_is_found_without_reading_the_rest(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_BLOCK", 64)
    target = written(tmp_path / "a", noise(30))
    content = (target / "pixels.bin").read_bytes()
    for place in range(0, len(content), 64):
        damaged = bytearray(content)
        damaged[place] ^= 255
        (target / "pixels.bin").write_bytes(damaged)
        assert finish(read_store(target, 2))[0] is None
    (target / "pixels.bin").write_bytes(content)
    assert finish(read_store(target, 2))[0] is not None


def test_leaving_without_a_commit_leaves_nothing(tmp_path) -> None:
    with StoreWriter(tmp_path / "a", 10**9) as writer:
        writer.write(noise(1)[0])
    with pytest.raises(ZeroDivisionError), StoreWriter(tmp_path / "a", 10**9):
        _ = 1 // 0
    assert list(tmp_path.iterdir()) == []


def test_more_than_allowed_is_refused_before_it_is_written(tmp_path) -> None:
    with StoreWriter(tmp_path / "a", 300) as writer:
        writer.write(noise(1)[0])
        writer.write(noise(1)[0])
        with pytest.raises(NoRoom, match="300 bytes"):
            writer.write(noise(1)[0])


def test_a_store_replaces_one_that_is_damaged(tmp_path) -> None:
    target = written(tmp_path / "a", noise(2))
    (target / "store.json").write_text("{")
    written(target, noise(3))
    stored, _ = finish(read_store(target, 1))
    assert stored is not None and len(stored.index) == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_of_two_that_write_the_same_store_one_stays(tmp_path) -> None:
    target = written(tmp_path / "a", noise(2))
    before = (target / "pixels.bin").stat().st_ino
    written(target, noise(2))
    assert (target / "pixels.bin").stat().st_ino == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_oldest_are_swept_first_and_no_more_than_needed(tmp_path) -> None:
    for age, name in enumerate("abcd"):
        os.utime(written(tmp_path / name, noise(1)) / "store.json", (age, age))
    one = (tmp_path / "a" / "pixels.bin").stat().st_size
    sweep(tmp_path, 3 * one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "d"]
    sweep(tmp_path, one, keep=tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_room_is_made_for_what_is_needed(tmp_path) -> None:
    for age, name in enumerate("abcd"):
        os.utime(written(tmp_path / name, noise(1)) / "store.json", (age, age))
    one = (tmp_path / "a" / "pixels.bin").stat().st_size
    with pytest.raises(NoRoom):
        make_room(tmp_path, 5 * one, 4 * one)
    assert len(list(tmp_path.iterdir())) == 4
    assert make_room(tmp_path, 2 * one, 4 * one) == 4 * one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]


def test_removing_what_is_not_there_is_no_error(tmp_path) -> None:
    assert discard(tmp_path / "a") is False
    assert discard(tmp_path / "no-folder" / "a") is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such links")
def test_removing_a_store_follows_no_link(tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("x")
    target = written(tmp_path / "stores" / "a", noise(1))
    (target / "link").symlink_to(other)
    assert discard(target)
    assert (other / "precious.txt").exists()
