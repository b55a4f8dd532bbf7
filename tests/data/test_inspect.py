"""Every image opened once: contents, sizes, reasons."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data import facts_cache, inspect
from sightline.data.facts_cache import stamp_of
from sightline.data.inspect import inspect_samples, refuse_bad, refuse_too_many_bad
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.errors import DataError


def finish(steps: Generator[int, None, Samples]) -> tuple[Samples, list[int]]:
    yielded = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as stop:
            return stop.value, yielded


def inspected(source: Path, **options: object) -> Samples:
    return finish(inspect_samples(read_samples(source), **options))[0]


def test_contents_and_sizes_are_those_of_the_files(photos: Path) -> None:
    samples = inspected(photos)
    for row, path in enumerate(samples.files):
        assert samples.digests[row] == hashlib.sha256(path.read_bytes()).hexdigest()
        with Image.open(path) as image:
            assert (samples.widths[row], samples.heights[row]) == image.size
    assert samples.is_ok.all()


def test_the_size_is_that_of_the_image_upright(photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(photos / "red" / "turned.jpg", exif=exif)
    samples = inspected(photos)
    row = list(samples.paths).index("red/turned.jpg")
    assert (samples.widths[row], samples.heights[row]) == (20, 30)


def test_unreadable_files_have_a_reason_and_the_others_stay_right(photos: Path) -> None:
    (photos / "blue" / "0.png").write_bytes(b"")
    (photos / "green" / "1.png").write_bytes(b"<html>")
    found = read_samples(photos)
    (photos / "red" / "1.png").unlink()
    samples, _ = finish(inspect_samples(found))
    reasons = {str(samples.paths[row]): reason for row, reason in samples.errors.items()}
    assert reasons == {
        "blue/0.png": "the file is empty",
        "green/1.png": "a web page, not an image",
        "red/1.png": "no such file",
    }
    for row, path in enumerate(samples.files):
        if row not in samples.errors:
            assert samples.digests[row] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_unreadable_file_keeps_the_digest_of_its_bytes_if_it_has_any(photos: Path) -> None:
    (photos / "blue" / "0.png").write_bytes(b"<html>")
    (photos / "blue" / "1.png").write_bytes(b"")
    samples = inspected(photos)
    assert samples.digests[0] == hashlib.sha256(b"<html>").hexdigest()
    assert samples.digests[1] == ""
    assert samples.widths[0] == 0


def test_a_truncated_image_is_found(photos: Path) -> None:
    out = io.BytesIO()
    Image.effect_noise((640, 640), 90).save(out, "JPEG")
    (photos / "red" / "cut.jpg").write_bytes(out.getvalue()[:-400])
    samples = inspected(photos)
    assert [str(samples.paths[row]) for row in samples.errors] == ["red/cut.jpg"]


def settled(folder: Path) -> Path:
    """The folder with all its files an hour old: what was written a moment ago is not remembered."""
    for path in folder.rglob("*.*"):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    return folder


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember files whose time of change lies within the last seconds, too: a test can't set that time."""
    monkeypatch.setattr("sightline.data.facts_cache._FRESH_SECONDS", -1)


@pytest.mark.usefixtures("no_wait")
def test_a_second_time_only_changed_files_are_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inspected(settled(photos))
    read = []

    def spy(place: Path) -> bytes:
        read.append(place.name)
        return place.read_bytes()

    monkeypatch.setattr("sightline.data.inspect.read_bytes", spy)
    again = inspected(photos)
    assert read == []
    assert again.digests.tolist() == first.digests.tolist()
    assert again.facts.tobytes() == first.facts.tobytes()
    Image.new("RGB", (9, 9)).save(photos / "red" / "1.png")
    changed = inspected(photos)
    assert read == ["1.png"]
    assert changed.widths[list(changed.paths).index("red/1.png")] == 9


@pytest.mark.usefixtures("no_wait")
def test_another_range_of_values_is_measured_anew(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(photos / "red" / "deep.png")
    row = list(inspected(photos).paths).index("red/deep.png")
    assert inspected(photos).facts["brightness"][row] == pytest.approx(3 / 255, abs=1e-6)
    assert inspected(photos, value_range=(0, 2000)).facts["brightness"][row] == pytest.approx(0.5, abs=0.01)


def test_a_file_written_a_moment_ago_is_read_again(photos: Path) -> None:
    """The clock of a file system ticks: a second change within one tick leaves no trace but in the content."""
    inspected(photos)
    path = photos / "red" / "0.png"
    status = path.stat()
    data = path.read_bytes()
    path.write_bytes(b"x" * len(data))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(inspected(photos).errors) == [6]


@pytest.mark.usefixtures("no_wait")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap(place: Path) -> bytes:
        data = place.read_bytes()
        if place.name == "1.png":
            place.write_bytes(data + b"more behind the end")
        return data

    monkeypatch.setattr("sightline.data.inspect.read_bytes", swap)
    inspected(settled(photos))
    monkeypatch.setattr("sightline.data.inspect.read_bytes", Path.read_bytes)
    samples = inspected(photos)
    row = list(samples.paths).index("red/1.png")
    assert samples.digests[row] == hashlib.sha256((photos / "red" / "1.png").read_bytes()).hexdigest()


def test_a_file_has_no_stamp_before_the_clock_has_moved_on(photos: Path) -> None:
    path = photos / "red" / "0.png"
    path.touch()
    assert stamp_of(path) is None
    assert stamp_of(photos / "none") is None


def test_without_a_place_to_remember_everything_is_read(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    samples = finish(inspect_samples(read_samples(photos), folder=tmp_path / "file" / "below"))[0]
    assert samples.is_ok.all()


@pytest.mark.usefixtures("no_wait")
def test_another_limit_of_pixels_is_no_reason_to_remember(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inspected(settled(photos)).is_ok.all()
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", "50")
    assert len(inspected(photos).errors) == 9


def test_a_memory_that_another_process_holds_is_left_alone(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts_cache, "_PATIENCE", 0.2)
    inspected(photos)
    holder = sqlite3.connect(cache / "facts.sqlite", timeout=0)
    before = (cache / "facts.sqlite").stat().st_ino
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert inspected(photos).is_ok.all()
    finally:
        holder.close()
    assert (cache / "facts.sqlite").stat().st_ino == before


def test_a_damaged_memory_is_made_again(photos: Path, cache: Path) -> None:
    (cache / "facts.sqlite").write_bytes(b"SQLite format 3\0" + b"rubbish" * 500)
    assert inspected(photos).is_ok.all()
    assert inspected(photos).is_ok.all()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_order_is_kept_over_many_chunks_and_progress_grows(
    tmp_path: Path, write_image: Callable[..., Path], threads: int
) -> None:
    for k in range(150):
        write_image(tmp_path / "ab"[k % 2] / f"{k:03d}.bmp", seed=k, size=(3 + k, 2))
    found = read_samples(tmp_path)
    samples, yielded = finish(inspect_samples(found, threads=threads))
    assert list(samples.paths) == list(found.paths)
    assert [int(Path(path).stem) + 3 for path in samples.paths] == samples.widths.tolist()
    assert yielded == sorted(set(yielded))
    assert yielded[-1] == 150


def test_what_was_known_before_is_kept(photos: Path) -> None:
    found = read_samples(photos).with_errors({2: "said before"})
    samples, _ = finish(inspect_samples(found))
    assert samples.errors == {2: "said before"}
    assert samples.classes == found.classes


@pytest.mark.parametrize(
    ("count", "bad", "passes"),
    [(5, 1, True), (5, 2, False), (100, 1, True), (199, 2, False), (200, 2, True), (200, 3, False), (1000, 10, True)],
)
def test_one_in_a_hundred_may_be_bad_and_one_at_all(
    table: Callable[..., Samples], count: int, bad: int, passes: bool
) -> None:
    samples = table([0, 1] * (count // 2) + [0] * (count % 2), errors=dict.fromkeys(range(bad), "broken"))
    if passes:
        refuse_too_many_bad(samples)
    else:
        with pytest.raises(DataError, match=f"{bad} of {count} images") as caught:
            refuse_too_many_bad(samples)
        assert caught.value.code == "data.too-many-bad"


def test_the_fingerprint_does_not_depend_on_names_or_order(photos: Path, tmp_path: Path) -> None:
    one = inspected(photos).fingerprint()
    for k, path in enumerate(sorted(photos.rglob("*.png"), reverse=True)):
        path.rename(path.with_name(f"renamed-{k}.png"))
    assert inspected(photos).fingerprint() == one


def test_the_fingerprint_changes_with_a_label_and_with_a_pixel(photos: Path, write_image: Callable[..., Path]) -> None:
    seen = {inspected(photos).fingerprint()}
    (photos / "red" / "0.png").rename(photos / "blue" / "9.png")
    seen.add(inspected(photos).fingerprint())
    write_image(photos / "blue" / "9.png", seed=77)
    seen.add(inspected(photos).fingerprint())
    assert len(seen) == 3


def test_the_columns_name_every_image_once(photos: Path) -> None:
    (photos / "red" / "0.png").write_bytes(b"")
    columns = inspected(photos).columns()
    assert {len(column) for column in columns.values()} == {9}
    row = columns["path"].index("red/0.png")
    assert (columns["label"][row], columns["error"][row]) == ("red", "the file is empty")


def test_a_single_bad_image_may_end_it_on_request(table: Callable[..., Samples]) -> None:
    samples = table([0, 1] * 500, errors={3: "broken"})
    refuse_bad(samples, "skip")
    with pytest.raises(DataError, match="--on-bad fail allows none"):
        refuse_bad(samples, "fail")
    refuse_bad(table([0, 1]), "fail")


@pytest.mark.parametrize(("side", "is_one"), [(32, True), (200, False)])
def test_small_images_are_read_by_one_thread(tmp_path: Path, side: int, is_one: bool, monkeypatch) -> None:
    for number in range(150):
        (tmp_path / "set" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side), (number, 0, 0)).save(tmp_path / "set" / f"{number % 2}" / f"{number}.png")
    used, measure = set(), inspect.measure_reduced
    monkeypatch.setattr(
        inspect, "measure_reduced", lambda images: (used.add((threading.get_ident(), len(images))), measure(images))[1]
    )
    samples, yielded = finish(inspect_samples(read_samples(tmp_path / "set"), threads=3, folder=tmp_path / "cache"))
    assert yielded[-1] == len(samples) == 150
    assert samples.is_ok.all()
    later = {thread for thread, count in used if count > 8}
    assert (len(later) == 1) == is_one


def test_photos_are_read_by_all_threads_whatever_comes_before_them_and_thumbnails_by_one(tmp_path, monkeypatch):
    """Thumbnails, then photos, then thumbnails: each chunk tells how many threads read the next ones."""
    order = (("a", 40, 40), ("b", 120, 100), ("c", 160, 40))
    for name, count, side in order:
        (tmp_path / name).mkdir()
        for k in range(count):
            Image.new("RGB", (side, side), (k % 256, side, 0)).save(tmp_path / name / f"{k:03d}.png")
    readers: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    real = inspect._measure

    def measure(places, value_range):
        readers[places[-1].parent.name].append(threading.get_ident())
        time.sleep(0.02)
        return real(places, value_range)

    monkeypatch.setattr(inspect, "_measure", measure)
    monkeypatch.setattr(inspect, "_CHUNK", 8)
    samples = inspected(tmp_path, threads=4)
    assert len(samples.digests) == 320 and not samples.errors
    assert samples.widths.tolist() == [40] * 40 + [100] * 120 + [40] * 160
    assert len(set(readers["a"])) == 1 and len(set(readers["b"])) > 1
    assert len(set(readers["c"][-2:])) == 1


def test_what_must_be_read_is_what_the_cache_lacks(photos: Path, monkeypatch) -> None:
    monkeypatch.setattr("sightline.data.facts_cache._FRESH_SECONDS", -1)
    found = read_samples(photos)
    assert inspect.find_unread(found, 2).tolist() == list(range(2, len(found)))
    samples = inspected(photos)
    assert inspect.find_unread(found).tolist() == sorted(samples.errors)  # what can't be read is tried again
    os.utime(found.files[3], (1, 1))
    assert 3 in inspect.find_unread(found) and 3 not in inspect.find_unread(found, 4)
