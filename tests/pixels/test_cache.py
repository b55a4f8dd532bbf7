"""The store of decoded pictures: whole, keyed by content, shared, and never wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import UnreadableImage
from sightline.pixels import cache
from sightline.pixels.cache import PixelStore, open_store
from sightline.pixels.decode import decode_image
from sightline.pixels.preprocess import Preprocess

SMALL = Preprocess(size=6, resize=8)


def finish(steps: Generator[int, None, PixelStore]) -> tuple[PixelStore, list[int]]:
    yielded = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as stop:
            return stop.value, yielded


def digests_of(paths: Sequence[Path]) -> list[str]:
    """Like ``inspect_samples``: what can't be read, or is empty, has no digest."""
    contents = [path.read_bytes() if path.is_file() else b"" for path in paths]
    return [hashlib.sha256(data).hexdigest() if data else "" for data in contents]


def opened(paths: Sequence[Path], folder: Path, preprocess: Preprocess = SMALL, **options: int) -> PixelStore:
    return finish(open_store(paths, digests_of(paths), preprocess, folder, **options))[0]


def check_pixels(store: PixelStore, paths: Sequence[Path], preprocess: Preprocess = SMALL) -> None:
    assert len(store) == len(paths)
    for position, path in enumerate(paths):
        if position not in store.errors:
            np.testing.assert_array_equal(store[position], preprocess.shrink(decode_image(path)))


@pytest.fixture
def pictures(tmp_path: Path, write_image: Callable[..., Path]) -> list[Path]:
    """Ten different pictures of different shapes."""
    return [write_image(tmp_path / "in" / f"{k}.png", seed=k, size=(9 + k, 20 - k)) for k in range(10)]


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    return tmp_path / "stores"


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("again", [False, True], ids=["filled", "found"])
def test_the_store_has_the_pixels_of_decode_and_shrink(pictures, stores, fit: str, again: bool) -> None:
    preprocess = Preprocess(size=6, resize=8, fit=fit)
    store = opened(pictures, stores, preprocess)
    if again:
        store = opened(pictures, stores, preprocess)
    assert store.was_cached is again
    assert not store.fallback
    check_pixels(store, pictures, preprocess)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_order_is_kept_with_threads(tmp_path: Path, stores: Path, write_image, threads: int) -> None:
    paths = [write_image(tmp_path / f"{k}.png", (k, 255 - k, 0), size=(8, 8)) for k in range(0, 255, 3)]
    store, yielded = finish(open_store(paths, digests_of(paths), SMALL, stores, threads=threads))
    check_pixels(store, paths)
    assert yielded == sorted(yielded)
    assert yielded[-1] == len(paths)


def test_a_found_store_decodes_nothing(pictures, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(pictures, stores)
    monkeypatch.setattr(cache, "decode_image", lambda path: pytest.fail("decoded again"))
    _, yielded = finish(open_store(pictures, digests_of(pictures), SMALL, stores))
    assert yielded == []


def test_the_store_is_read_only(pictures, stores) -> None:
    store = opened(pictures, stores)
    with pytest.raises(ValueError, match="read-only"):
        store[0][:] = 0


def test_changed_content_makes_a_new_store(pictures, stores, write_image) -> None:
    opened(pictures, stores)
    write_image(pictures[3], (255, 0, 0), seed=99, size=(12, 17))
    store = opened(pictures, stores)
    assert not store.was_cached
    check_pixels(store, pictures)


def test_another_order_makes_a_new_store(pictures, stores) -> None:
    opened(pictures, stores)
    store = opened(pictures[::-1], stores)
    check_pixels(store, pictures[::-1])


@pytest.mark.parametrize(
    "other",
    [
        Preprocess(size=6, resize=9),
        Preprocess(size=6, resize=8, interpolation="bicubic"),
        Preprocess(size=6, resize=8, fit="pad"),
        Preprocess(size=6, resize=8, fit="squash"),
    ],
)
def test_another_preprocess_makes_a_new_store(pictures, stores, other: Preprocess) -> None:
    opened(pictures, stores)
    store = opened(pictures, stores, other)
    assert not store.was_cached
    check_pixels(store, pictures, other)


def test_another_size_of_pad_makes_a_new_store(pictures, stores) -> None:
    opened(pictures, stores, Preprocess(size=6, resize=8, fit="pad"))
    other = Preprocess(size=7, resize=8, fit="pad")
    check_pixels(opened(pictures, stores, other), pictures, other)


def test_crops_of_every_size_share_one_store(pictures, stores) -> None:
    opened(pictures, stores)
    assert opened(pictures, stores, Preprocess(size=4, resize=8)).was_cached


def test_another_pillow_makes_a_new_store(pictures, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(pictures, stores)
    monkeypatch.setattr("PIL.__version__", "0.0.1")
    assert not opened(pictures, stores).was_cached


def test_the_same_files_elsewhere_share_one_store(pictures, stores, tmp_path: Path) -> None:
    opened(pictures, stores)
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in pictures]
    assert opened(moved, stores).was_cached


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("pixels.bin", truncate),
        ("pixels.bin", Path.unlink),
        ("store.json", Path.unlink),
        ("store.json", truncate),
        ("store.json", lambda path: path.write_bytes(b"")),
        ("store.json", lambda path: path.write_text("[]")),
        ("store.json", lambda path: path.write_text("{}")),
        ("store.json", lambda path: path.write_bytes(b"\xff\xfe\0")),
        ("index.npy", Path.unlink),
        ("index.npy", truncate),
        ("index.npy", lambda path: path.write_bytes(b"")),
        ("index.npy", lambda path: path.write_bytes(b"\0" * 40)),
        ("index.npy", lambda path: np.save(path, np.zeros((3, 3), np.int64))),
    ],
)
def test_a_damaged_store_is_filled_again(pictures, stores, name: str, damage: Callable[[Path], object]) -> None:
    opened(pictures, stores)
    damage(next(stores.glob(f"*/{name}")))
    store = opened(pictures, stores)
    assert not store.was_cached
    assert not store.fallback
    check_pixels(store, pictures)
    assert opened(pictures, stores).was_cached


def test_a_filling_that_is_stopped_leaves_nothing(pictures, stores) -> None:
    steps = open_store(pictures, digests_of(pictures), SMALL, stores)
    next(steps)
    steps.close()
    assert list(stores.iterdir()) == []


def test_a_filling_that_is_interrupted_leaves_nothing(pictures, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(data: bytes, *, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "decode_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(pictures, stores)
    assert list(stores.iterdir()) == []


def test_without_a_place_to_write_pictures_stay_in_memory(pictures, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = opened(pictures, tmp_path / "file" / "stores")
    assert str(tmp_path / "file") in store.fallback
    assert not store.was_cached
    check_pixels(store, pictures)


def test_a_full_disk_falls_back_to_memory_and_leaves_nothing(pictures, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    store = opened(pictures, stores)
    assert "No space left" in store.fallback
    check_pixels(store, pictures)
    assert list(stores.iterdir()) == []


def test_a_whole_store_in_a_read_only_folder_is_used(pictures, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared cache of another user can be read but not touched."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    opened(pictures, stores)
    monkeypatch.setattr(os, "utime", refuse)
    store = opened(pictures, stores)
    assert store.was_cached
    check_pixels(store, pictures)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_an_unreadable_picture_is_an_error_and_the_others_stay_right(pictures, tmp_path: Path, where: str) -> None:
    pictures[4].write_bytes(b"<html>404")
    pictures[0].write_bytes(b"")
    pictures[9].unlink()
    (tmp_path / "file").write_text("")
    folder = tmp_path / "stores" if where == "folder" else tmp_path / "file" / "stores"
    for _ in range(2):
        store = opened(pictures, folder)
        assert store.errors == {0: "the file is empty", 4: "a web page, not an image", 9: "no such file"}
        check_pixels(store, pictures)
    with pytest.raises(UnreadableImage, match="web page"):
        store[4]


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_store_of_unreadable_pictures_only_has_only_errors(tmp_path: Path, where: str) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"no")
    (tmp_path / "file").write_text("")
    folder = tmp_path / "stores" if where == "folder" else tmp_path / "file" / "stores"
    for _ in range(2):
        assert sorted(opened(paths, folder).errors) == [0, 1]


def test_the_place_of_an_empty_file_is_part_of_the_key(pictures, stores) -> None:
    """A file that can't be read has no digest; where it stands still decides which pixels belong to which label."""
    pictures[0].write_bytes(b"")
    opened(pictures, stores)
    moved = [*pictures[1:], pictures[0]]
    store = opened(moved, stores)
    assert sorted(store.errors) == [9]
    check_pixels(store, moved)


def test_an_index_that_points_out_of_the_pixels_is_filled_again(pictures, stores) -> None:
    opened(pictures, stores)
    (path,) = stores.glob("*/index.npy")
    index = np.load(path)
    index[3, 0] += 10**6
    np.save(path, index)
    store = opened(pictures, stores)
    assert not store.was_cached
    check_pixels(store, pictures)


def test_a_file_that_was_away_for_a_moment_is_not_remembered_as_bad(pictures, stores) -> None:
    digests = digests_of(pictures)
    away = pictures[2].rename(pictures[2].with_suffix(".away"))
    first, _ = finish(open_store(pictures, digests, SMALL, stores))
    assert sorted(first.errors) == [2]
    away.rename(pictures[2])
    second, _ = finish(open_store(pictures, digests, SMALL, stores))
    assert second.errors == {}
    check_pixels(second, pictures)


def test_another_run_that_was_faster_wins(pictures, stores) -> None:
    slow = open_store(pictures, digests_of(pictures), SMALL, stores)
    next(slow)
    opened(pictures, stores)
    store, _ = finish(slow)
    check_pixels(store, pictures)
    assert len(list(stores.iterdir())) == 1


def test_the_stores_not_used_for_longest_make_room(pictures, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(pictures[:3], stores)
    opened(pictures[3:6], stores)
    for number, facts in enumerate(sorted(stores.glob("*/store.json"))):
        os.utime(facts, (number, number))
    opened(pictures[:3], stores)  # used now, so the other one is older
    size = sum(path.stat().st_size for path in stores.glob("*/pixels.bin")) + 300
    monkeypatch.setattr(cache, "_LIMIT_BYTES", size)
    opened(pictures[6:9], stores)
    assert opened(pictures[:3], stores).was_cached
    assert opened(pictures[6:9], stores).was_cached
    assert len(list(stores.iterdir())) == 2


def test_the_newest_store_is_kept_even_if_it_alone_is_too_large(pictures, stores, monkeypatch) -> None:
    monkeypatch.setattr(cache, "_LIMIT_BYTES", 1)
    opened(pictures, stores)
    assert opened(pictures, stores).was_cached


def test_the_facts_of_a_store_are_plain_json(pictures, stores) -> None:
    opened(pictures, stores)
    facts = json.loads(next(stores.glob("*/store.json")).read_text())
    assert facts["count"] == 10
