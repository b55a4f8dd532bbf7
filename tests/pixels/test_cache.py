"""The store of decoded images: whole, keyed by content, shared, streamed where it does not fit, and never wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import DataError, UnreadableImage
from sightline.pixels import cache
from sightline.pixels.cache import Known, PixelStore, has_store, open_store
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


def opened(paths: Sequence[Path], folder: Path, preprocess: Preprocess = SMALL, **options: object) -> PixelStore:
    return finish(open_store(paths, digests_of(paths), preprocess, folder, **options))[0]


def check_pixels(store: PixelStore, paths: Sequence[Path], preprocess: Preprocess = SMALL) -> None:
    assert len(store) == len(paths)
    for position, path in enumerate(paths):
        if position not in store.errors:
            np.testing.assert_array_equal(store[position], preprocess.shrink(decode_image(path)))


@pytest.fixture
def images(tmp_path: Path, write_image: Callable[..., Path]) -> list[Path]:
    """Ten different images of different shapes."""
    return [write_image(tmp_path / "in" / f"{k}.png", seed=k, size=(9 + k, 20 - k)) for k in range(10)]


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    return tmp_path / "stores"


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("again", [False, True], ids=["filled", "found"])
def test_the_store_has_the_pixels_of_decode_and_shrink(images, stores, fit: str, again: bool) -> None:
    preprocess = Preprocess(size=6, resize=8, fit=fit)
    store = opened(images, stores, preprocess)
    if again:
        store = opened(images, stores, preprocess)
    assert store.was_cached is again
    assert not store.fallback
    check_pixels(store, images, preprocess)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_order_is_kept_with_threads(tmp_path: Path, stores: Path, write_image, threads: int) -> None:
    paths = [write_image(tmp_path / f"{k}.png", (k, 255 - k, 0), size=(8, 8)) for k in range(0, 255, 3)]
    store, yielded = finish(open_store(paths, digests_of(paths), SMALL, stores, threads=threads))
    check_pixels(store, paths)
    assert yielded == sorted(yielded)
    assert yielded[-1] == len(paths)


def test_a_found_store_decodes_nothing(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(images, stores)
    monkeypatch.setattr(Preprocess, "decode", lambda *_, **__: pytest.fail("decoded again"))
    _, yielded = finish(open_store(images, digests_of(images), SMALL, stores))
    assert yielded == []


def test_a_store_is_seen_under_its_own_preprocessing_alone(images, stores) -> None:
    assert not has_store(digests_of(images), SMALL, stores)
    opened(images, stores)
    assert has_store(digests_of(images), SMALL, stores)
    assert not has_store(digests_of(images), replace(SMALL, resize=SMALL.resize + 1), stores)
    assert not has_store(digests_of(images)[::-1], SMALL, stores)


def test_the_store_is_read_only(images, stores) -> None:
    store = opened(images, stores)
    with pytest.raises(ValueError, match="read-only"):
        store[0][:] = 0


def test_changed_content_makes_a_new_store(images, stores, write_image) -> None:
    opened(images, stores)
    write_image(images[3], (255, 0, 0), seed=99, size=(12, 17))
    store = opened(images, stores)
    assert not store.was_cached
    check_pixels(store, images)


def test_another_order_makes_a_new_store(images, stores) -> None:
    opened(images, stores)
    store = opened(images[::-1], stores)
    check_pixels(store, images[::-1])


@pytest.mark.parametrize(
    "other",
    [
        Preprocess(size=6, resize=9),
        Preprocess(size=6, resize=8, interpolation="bicubic"),
        Preprocess(size=6, resize=8, fit="pad"),
        Preprocess(size=6, resize=8, fit="squash"),
        Preprocess(size=6, resize=8, background=(0, 0, 0)),
        Preprocess(size=6, resize=8, draft=2),
        Preprocess(size=6, resize=8, value_range=(0, 9)),
    ],
)
def test_another_preprocess_makes_a_new_store(images, stores, other: Preprocess) -> None:
    opened(images, stores)
    store = opened(images, stores, other)
    assert not store.was_cached
    check_pixels(store, images, other)


def test_every_field_of_the_preprocessing_is_part_of_the_key() -> None:
    other = {
        "size": 5,
        "resize": 9,
        "fit": "pad",
        "interpolation": "lanczos",
        "background": (1, 2, 3),
        "draft": 2,
        "value_range": (0.0, 1.0),
    }
    assert set(other) == {field.name for field in fields(Preprocess)}
    base = Preprocess(size=6, resize=8, fit="squash")
    keys = [cache._key(["x"], rules) for rules in (base, *(replace(base, **{k: v}) for k, v in other.items()))]
    assert len(set(keys)) == len(keys)


def test_another_size_of_pad_makes_a_new_store(images, stores) -> None:
    opened(images, stores, Preprocess(size=6, resize=8, fit="pad"))
    other = Preprocess(size=7, resize=8, fit="pad")
    check_pixels(opened(images, stores, other), images, other)


def test_crops_of_every_size_share_one_store(images, stores) -> None:
    opened(images, stores)
    assert opened(images, stores, Preprocess(size=4, resize=8)).was_cached


def test_another_pillow_makes_a_new_store(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(images, stores)
    monkeypatch.setattr("PIL.__version__", "0.0.1")
    assert not opened(images, stores).was_cached


def test_the_same_files_elsewhere_share_one_store(images, stores, tmp_path: Path) -> None:
    opened(images, stores)
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in images]
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
        ("index.bin", Path.unlink),
        ("index.bin", truncate),
        ("index.bin", lambda path: path.write_bytes(b"")),
        ("index.bin", lambda path: path.write_bytes(b"\0" * 40)),
        ("index.bin", lambda path: path.write_bytes(bytes(240))),
        ("pixels.bin", lambda path: path.write_bytes(bytes(path.stat().st_size))),
    ],
)
def test_a_damaged_store_is_filled_again(images, stores, name: str, damage: Callable[[Path], object]) -> None:
    opened(images, stores)
    damage(next(stores.glob(f"*/{name}")))
    store = opened(images, stores)
    assert not store.was_cached
    assert not store.fallback
    check_pixels(store, images)
    assert opened(images, stores).was_cached


def test_a_filling_that_is_stopped_leaves_nothing(images, stores) -> None:
    steps = open_store(images, digests_of(images), SMALL, stores)
    next(steps)
    steps.close()
    assert list(stores.iterdir()) == []


def test_a_filling_that_is_interrupted_leaves_nothing(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Preprocess, "decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(images, stores)
    assert list(stores.iterdir()) == []


def test_without_a_place_to_write_images_stay_in_memory(images, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = opened(images, tmp_path / "file" / "stores")
    assert str(tmp_path / "file") in store.fallback
    assert not store.was_cached
    check_pixels(store, images)


def test_a_full_disk_falls_back_to_memory_and_leaves_nothing(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store = opened(images, stores)
    assert "No space left" in store.fallback
    check_pixels(store, images)
    assert list(stores.iterdir()) == []


def test_a_whole_store_in_a_read_only_folder_is_used(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared cache of another user can be read but not touched."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    opened(images, stores)
    monkeypatch.setattr(os, "utime", refuse)
    store = opened(images, stores)
    assert store.was_cached
    check_pixels(store, images)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_an_unreadable_image_is_an_error_and_the_others_stay_right(images, tmp_path: Path, where: str) -> None:
    images[4].write_bytes(b"<html>404")
    images[0].write_bytes(b"")
    images[9].unlink()
    (tmp_path / "file").write_text("")
    folder = tmp_path / "stores" if where == "folder" else tmp_path / "file" / "stores"
    for _ in range(2):
        store = opened(images, folder)
        assert store.errors == {0: "the file is empty", 4: "a web page, not an image", 9: "no such file"}
        check_pixels(store, images)
    with pytest.raises(UnreadableImage, match="web page"):
        store[4]


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_store_of_unreadable_images_only_has_only_errors(tmp_path: Path, where: str) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"no")
    (tmp_path / "file").write_text("")
    folder = tmp_path / "stores" if where == "folder" else tmp_path / "file" / "stores"
    for _ in range(2):
        assert sorted(opened(paths, folder).errors) == [0, 1]


def test_the_place_of_an_empty_file_is_part_of_the_key(images, stores) -> None:
    """A file that can't be read has no digest; where it stands still decides which pixels belong to which label."""
    images[0].write_bytes(b"")
    opened(images, stores)
    moved = [*images[1:], images[0]]
    store = opened(moved, stores)
    assert sorted(store.errors) == [9]
    check_pixels(store, moved)


@given(st.data())
def test_no_flipped_bit_is_ever_shown(tmp_path_factory, write_image, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("flip")
    paths = [write_image(folder / "in" / f"{k}.png", seed=k, size=(9 + k, 12)) for k in range(4)]
    opened(paths, folder / "stores")
    file = next((folder / "stores").glob("*/" + data.draw(st.sampled_from(["pixels.bin", "index.bin", "store.json"]))))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    store = opened(paths, folder / "stores")
    assert (store.errors, store.fallback) == ({}, "")
    check_pixels(store, paths)


def test_a_file_that_was_away_for_a_moment_is_not_remembered_as_bad(images, stores) -> None:
    digests = digests_of(images)
    away = images[2].rename(images[2].with_suffix(".away"))
    first, _ = finish(open_store(images, digests, SMALL, stores))
    assert sorted(first.errors) == [2]
    away.rename(images[2])
    second, _ = finish(open_store(images, digests, SMALL, stores))
    assert second.errors == {}
    check_pixels(second, images)


def test_another_run_that_was_faster_wins(images, stores) -> None:
    slow = open_store(images, digests_of(images), SMALL, stores)
    next(slow)
    opened(images, stores)
    store, _ = finish(slow)
    check_pixels(store, images)
    assert len(list(stores.iterdir())) == 1


def test_the_stores_not_used_for_longest_make_room(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(images[:3], stores)
    os.utime(next(stores.glob("*/store.json")), (1, 1))
    opened(images[3:6], stores)
    opened(images[:3], stores)  # used now, so the other one is older
    size = sum(path.stat().st_size for path in stores.glob("*/pixels.bin")) + 300
    opened(images[6:9], stores, limit=size)
    assert opened(images[:3], stores).was_cached
    assert opened(images[6:9], stores).was_cached
    assert len(list(stores.iterdir())) == 2


def test_the_facts_of_a_store_are_plain_json(images, stores) -> None:
    opened(images, stores)
    facts = json.loads(next(stores.glob("*/store.json")).read_text())
    assert facts["count"] == 10


def known(paths: Sequence[Path], errors: dict[int, str] | None = None) -> Known:
    """What inspection would say of these images."""
    sizes = [(0, 0) if k in (errors or {}) else decode_image(path).shape[:2] for k, path in enumerate(paths)]
    heights, widths = np.array(sizes).T
    return Known(errors or {}, widths, heights)


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing to hold images in, so that all are streamed."""
    monkeypatch.setattr(cache, "_MEMORY_BYTES", 0)


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(["crop", "pad", "squash"]),
    st.integers(1, 20),
    st.integers(0, 12),
)
def test_the_size_of_a_store_is_known_before_it_is_written(width, height, fit, size, more) -> None:
    rules = Preprocess(size=size, resize=size + more, fit=fit)
    sizes = Known({}, np.array([width, 0]), np.array([height, 0]))
    row = 3 * 4 * rules.resize
    assert abs(cache._estimate(sizes, rules) - rules.shrink(np.zeros((height, width, 3), np.uint8)).size) <= row


@pytest.mark.parametrize("says_sizes", [False, True])
def test_images_above_the_limit_are_streamed_and_leave_nothing(images, stores, no_memory, says_sizes) -> None:
    size = sum(SMALL.shrink(decode_image(path)).size for path in images)
    sizes = known(images) if says_sizes else None
    store = opened(images, stores, limit=size - 1, known=sizes)
    assert (store.streamed, store.is_too_large, store.was_cached) == (10, True, False)
    assert ("available to the cache" if not says_sizes else "the cache is limited to") in store.fallback
    assert list(stores.iterdir()) == []
    check_pixels(store, images)
    exact = opened(images, stores, limit=size, known=sizes)
    assert (exact.streamed, exact.fallback) == (0, "")


def test_images_above_the_limit_push_no_other_store_out(images, stores) -> None:
    opened(images[:3], stores)
    opened(images, stores, limit=900, known=known(images))
    assert opened(images[:3], stores).was_cached


def test_a_disk_without_space_for_them_is_left_alone(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"total": 10**6, "free": 50_300})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    store = opened(images, stores, known=known(images))
    assert store.is_too_large
    assert "free" in store.fallback
    assert opened(images, stores).is_too_large  # noticed while writing, where sizes are not known
    usage.free = 60_000
    assert not opened(images, stores, known=known(images)).fallback


def test_old_stores_make_room_on_a_disk_that_is_nearly_full(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(images[:5], stores)

    def usage(folder: Path) -> object:
        used = sum(path.stat().st_size for path in stores.glob("*/pixels.bin"))
        return type("usage", (), {"total": 20_000, "free": 1000 + 3500 - used})

    monkeypatch.setattr("shutil.disk_usage", usage)
    assert not opened(images, stores, known=known(images)).fallback
    assert len(list(stores.iterdir())) == 1


@pytest.mark.parametrize("budget", [0, 500, 10**6])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_streamed_images_are_those_of_the_store(images, stores, monkeypatch, budget: int, threads: int) -> None:
    """What is held, what is streamed, and what lies on the disk are the same pixels."""
    monkeypatch.setattr(cache, "_MEMORY_BYTES", budget)
    mapped = opened(images, stores)
    streamed = opened(images, stores / "file", limit=0, threads=threads)
    assert streamed.streamed == {0: 10, 10**6: 0}.get(budget, streamed.streamed)
    if budget == 500:
        assert 0 < streamed.streamed < 10
    batches = [np.array([7, 1, 9]), np.array([3]), np.array([0, 2, 4, 5, 6, 8])]
    pairs = zip(mapped.fetch(batches), streamed.fetch(batches), strict=True)
    for batch, (wanted, seen) in zip(batches, pairs, strict=True):
        assert len(batch) == len(wanted) == len(seen)
        for k, one, other in zip(batch, wanted, seen, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, mapped[k])


def test_one_batch_is_decoded_ahead_and_no_more(images, stores, no_memory, monkeypatch) -> None:
    store = opened(images * 8, stores, limit=0)
    seen, lock, decode = [], threading.Lock(), Preprocess.decode

    def counted(self: Preprocess, image: bytes, *, name: str) -> object:
        with lock:
            seen.append(name)
        return decode(self, image, name=name)

    monkeypatch.setattr(Preprocess, "decode", counted)
    batches = [list(range(start, start + 8)) for start in range(0, 80, 8)]
    running = store.fetch(batches)
    for done in range(1, 5):
        next(running)
        until = time.monotonic() + 30
        while len(seen) < 8 * (done + 1) and time.monotonic() < until:  # while the caller works
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(seen) == 8 * (done + 1)
    running.close()
    assert len(seen) <= 8 * 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixels")]


def test_a_streamed_image_that_changes_stops_the_run(images, stores, no_memory, write_image) -> None:
    store = opened(images, stores, limit=0)
    write_image(images[3], (255, 0, 0), seed=99, size=(12, 17))
    images[8].unlink()
    running = store.fetch([[0, 1], [2, 3], [4, 5]])
    assert len(next(running)) == 2
    with pytest.raises(DataError, match=r"3\.png: the file changed") as caught:
        next(running)
    assert caught.value.code == "data.changed"
    with pytest.raises(UnreadableImage, match="no such file"):
        list(store.fetch([[7, 8]]))
    assert [place for place, _ in store.readable([2, 3, 7, 8, 9])] == [0, 2, 4]


def test_what_inspection_could_not_read_is_never_streamed(images, stores, no_memory) -> None:
    images[4].write_bytes(b"<html>404")
    reasons = {4: "a web page, not an image"}
    store = opened(images, stores, limit=0, known=known(images, reasons))
    assert (store.errors, store.streamed) == (reasons, 9)
    with pytest.raises(UnreadableImage, match="web page"):
        store[4]
    assert [place for place, _ in store.readable(np.arange(10))] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_what_inspection_could_not_read_is_not_held_either(images, stores) -> None:
    store = opened(images, stores, limit=0, known=known(images, {4: "away for a moment"}))
    assert (store.errors, store.streamed) == ({4: "away for a moment"}, 0)
    with pytest.raises(UnreadableImage, match="away"):
        store[4]


def test_readable_gives_places_and_images_of_a_store(images, stores) -> None:
    images[2].unlink()
    store = opened(images, stores)
    found = dict(store.readable(np.array([9, 2, 0])))
    assert list(found) == [0, 2]
    np.testing.assert_array_equal(found[0], store[9])


CHILD = """
import hashlib, sys, time
from pathlib import Path
from sightline.pixels.cache import open_store
from sightline.pixels.preprocess import Preprocess

stores, pause, *paths = sys.argv[1:]
decode = Preprocess.decode
def slowly(self, image, *, name):
    time.sleep(float(pause))
    return decode(self, image, name=name)
Preprocess.decode = slowly
paths = [Path(path) for path in paths]
digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
print("ready", flush=True)
sys.stdin.readline()
steps = open_store(paths, digests, Preprocess(size=6, resize=8), Path(stores))
while True:
    try:
        print(next(steps), flush=True)
    except StopIteration as stop:
        store = stop.value
        break
pixels = hashlib.sha256(b"".join(store[k].tobytes() for k in range(len(store)))).hexdigest()
print(f"{pixels} {store.fallback}", flush=True)
"""


@pytest.fixture
def start_filling(stores, images):
    """Return a function that starts a process that fills the store of the images; all end with the test."""
    running = []

    def start(pause: float, code: str = CHILD) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(stores), str(pause), *map(str, images)]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def pixels_of(paths: Sequence[Path]) -> str:
    shrunk = (SMALL.shrink(decode_image(path)).tobytes() for path in paths)
    return hashlib.sha256(b"".join(shrunk)).hexdigest()


def test_processes_that_fill_one_store_at_once_all_have_the_right_pixels(images, stores, start_filling) -> None:
    processes = [start_filling(pause) for pause in (0.0, 0.02, 0.05)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        said, _ = process.communicate(timeout=60)
        assert said.splitlines()[-1].split(" ") == [pixels_of(images), ""]
    assert len(list(stores.iterdir())) == 1
    assert opened(images, stores).was_cached


def test_a_process_that_is_killed_leaves_nothing_that_is_used(images, stores, start_filling) -> None:
    process = start_filling(0.05)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    assert int(process.stdout.readline()) < 10
    process.kill()
    process.wait()
    (half,) = stores.iterdir()
    store = opened(images, stores)
    assert not store.was_cached
    check_pixels(store, images)
    assert half.exists()  # somebody could be writing it
    for path in (*half.iterdir(), half):
        os.utime(path, (0, 0))
    opened(images[:2], stores)
    assert not half.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_disk_that_is_full_in_the_middle_is_a_reason_and_leaves_nothing(images, stores, start_filling) -> None:
    """The system refuses to write on; Python sees it as it sees a full disk."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))\n"
    process = start_filling(0.0, limit + CHILD)
    said, _ = process.communicate("\n", timeout=60)
    pixels, reason = said.splitlines()[-1].split(" ", 1)
    assert pixels == pixels_of(images)
    assert str(stores) in reason
    assert list(stores.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a file that is open")
def test_a_store_that_another_process_removes_can_still_be_read(images, stores) -> None:
    store = opened(images[:5], stores)
    opened(images[5:], stores, limit=1500, known=known(images[5:]))
    assert len(list(stores.iterdir())) == 1
    check_pixels(store, images[:5])


def test_a_store_that_can_not_be_renamed_stays(images, stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, while another process has it open."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    opened(images[:5], stores)
    monkeypatch.setattr(Path, "rename", refuse)
    opened(images[5:], stores, limit=1500)
    monkeypatch.undo()
    assert opened(images[:5], stores).was_cached
