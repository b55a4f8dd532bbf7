"""Near-duplicates: planted copies are found, and nothing among images that are merely alike."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

from scenes import round_thing, scene
from sightline.data import duplicates
from sightline.data.duplicates import find_duplicates
from sightline.data.inspect import inspect_samples
from sightline.data.samples import Samples
from sightline.data.similarity import ComparedImage, compare
from sightline.data.sources import read_samples
from sightline.data.split import find_units
from sightline.steps import result_of


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


def cropped(image: Image.Image) -> Image.Image:
    edge = round(image.width * 0.05)
    return image.crop((edge, edge, image.width - edge, image.height - edge))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    "larger": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "jpeg": jpeg,
    "mirrored": ImageOps.mirror,
    "cropped": cropped,
    "mirrored and cropped": lambda image: ImageOps.mirror(cropped(image)),
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: Image.eval(image, lambda level: min(255, round(level * 1.2))),
    "saved again": lambda image: image,
}


def folder_of(root: Path, images: dict[str, Image.Image]) -> Samples:
    for name, image in images.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return result_of(inspect_samples(read_samples(root)))


@pytest.mark.parametrize("side", [40, 96])
def test_planted_copies_are_found_and_nothing_else(tmp_path, side):
    images = {f"{'ab'[k % 2]}/{k:02d}.png": scene(k, side) for k in range(40)}
    wanted = set()
    for k, (kind, change) in enumerate(CHANGES.items()):
        original, copy = f"{'ab'[k % 2]}/{k:02d}.png", f"a/copy-{kind}.bmp"
        images[copy] = change(images[original]).convert("RGB")
        wanted.add(frozenset((original, copy)))
    samples = result_of(find_duplicates(folder_of(tmp_path / "set", images)))
    found = {frozenset((samples.paths[one], samples.paths[other])) for one, other in samples.near}
    assert found == wanted


def test_slow_files_are_opened_no_longer_than_there_is_time(tmp_path, monkeypatch):
    """An image takes a second to open: whether random pairs or likely ones come first, a few seconds are a few."""
    scenes = [scene(k, 40) for k in range(70)]
    scenes += [one.resize((44, 44)) for one in scenes]
    images = {f"{'ab'[k % 2]}/{k:03d}.png": one for k, one in enumerate(scenes)}
    samples, now = folder_of(tmp_path / "set", images), [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "time", SimpleNamespace(monotonic=lambda: now[0]))

        def opened(place, value_range=None):
            now[0] += 1.0
            return ComparedImage(place, value_range)

        patch.setattr(duplicates, "ComparedImage", opened)
        for seconds, pairs in ((10.0, 200), (60.0, 15)):
            now[0] = 0.0
            patch.setattr(duplicates, "_RANDOM_PAIRS", pairs)
            found = result_of(find_duplicates(samples, seconds=seconds))
            assert now[0] <= seconds + 2 * duplicates._OPENED and found.uncompared[0] > 0
    assert len(result_of(find_duplicates(samples)).near) == 70


def test_pairs_with_the_given_test_come_first_and_validation_is_the_test_where_there_is_none():
    rows, pairs = np.arange(4), np.array([[0, 1], [0, 2], [1, 2], [2, 3]])
    for parts in (["train", "train", "val", "val"], ["train", "val", "test", "test"]):
        samples = SimpleNamespace(given=np.array(parts, object))
        assert duplicates._change_headline(samples, rows, pairs).tolist() == [False, True, True, False]


def test_exact_copies_are_not_the_matter_here(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k % 4) for k in range(8)}
    samples = result_of(find_duplicates(folder_of(tmp_path / "set", images)))
    assert len(set(samples.digests)) == 4
    assert len(samples.near) == 0


def test_flat_images_are_nobodys_copies(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.png": Image.new("RGB", (64, 64), (k, 90, 200)) for k in range(12)}
    assert len(result_of(find_duplicates(folder_of(tmp_path / "set", images))).near) == 0


def test_images_of_one_kind_that_are_alike_by_nature_are_no_copies(tmp_path):
    """One glyph, drawn a little differently each time: as like as copies, and so are random pairs of the class."""
    random = np.random.default_rng(0)

    def glyph() -> Image.Image:
        image = Image.new("L", (28, 28), 0)
        image.paste(255, (12, 3, 16, 25))
        return image.rotate(random.uniform(-6, 6), translate=tuple(random.integers(-1, 2, 2).tolist()))

    images = {f"{'ab'[k % 2]}/{k}.png": glyph() for k in range(80)}
    assert len(result_of(find_duplicates(folder_of(tmp_path / "set", images))).near) == 0


def test_a_pair_must_stand_out_from_chance(tmp_path, monkeypatch):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k) for k in range(6)}
    images["a/again.jpg"] = jpeg(scene(2))
    samples = folder_of(tmp_path / "set", images)
    monkeypatch.setattr("sightline.data.duplicates._bar", lambda *_: 0.9999)
    assert len(result_of(find_duplicates(samples, folder=tmp_path / "one")).near) == 0
    monkeypatch.setattr("sightline.data.duplicates._bar", lambda *_: 0.7)
    assert len(result_of(find_duplicates(samples, folder=tmp_path / "two")).near) == 1


def test_a_second_search_of_the_same_table_is_remembered(tmp_path, monkeypatch):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k % 9) for k in range(12)}
    images["a/copy.jpg"] = scene(1)
    samples = folder_of(tmp_path / "set", images)
    first = result_of(find_duplicates(samples)).near
    monkeypatch.setattr("sightline.data.duplicates.find_candidates", lambda *_: 1 / 0)
    np.testing.assert_array_equal(result_of(find_duplicates(samples)).near, first)
    assert len(first) == 1


def test_a_image_that_went_away_is_compared_with_nothing(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k) for k in range(6)}
    images["a/copy.jpg"] = scene(1)
    samples = folder_of(tmp_path / "set", images)
    (tmp_path / "set" / "a" / "copy.jpg").unlink()
    assert len(result_of(find_duplicates(samples)).near) == 0


def contents_of(samples: Samples) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in samples.digests[samples.near].tolist()}


def film(seed: int, frames: int, side: int = 64) -> list[Image.Image]:
    """Frames of one still scene: noise and light differ a little."""
    pixels = np.asarray(scene(seed, side), float)
    random = np.random.default_rng(seed)
    noisy = [pixels * random.uniform(0.95, 1.05) + random.normal(0, 2, pixels.shape) for _ in range(frames)]
    return [Image.fromarray(one.clip(0, 255).astype(np.uint8)) for one in noisy]


@pytest.mark.parametrize("films", [1, 2, 5])
def test_the_more_copies_there_are_the_more_are_found(tmp_path, films):
    """A class may be a few films: random pairs of it are then copies, and must not set the bar."""
    frames, images, scene_of = 60 // (2 * films), {}, {}
    for number in range(2 * films):
        for k, frame in enumerate(film(number, frames)):
            name = f"{'ab'[number % 2]}/{number}-{k}.jpg"
            images[name], scene_of[name] = frame, number
    samples = result_of(find_duplicates(folder_of(tmp_path / "set", images)))
    pairs = samples.paths[samples.near]
    assert all(scene_of[one] == scene_of[other] for one, other in pairs)
    assert len(find_units(samples, np.arange(len(samples)))) == 2 * films


def test_a_film_does_not_hide_the_copies_of_other_images(tmp_path):
    images = {f"a/film{k}.jpg": frame for k, frame in enumerate(film(0, 80))}
    for k in range(1, 21):
        images[f"b/{k}.png"] = scene(k, 64)
        images[f"b/{k}-again.jpg"] = cropped(scene(k, 64))
    samples = result_of(find_duplicates(folder_of(tmp_path / "set", images)))
    found = {frozenset(pair) for pair in samples.paths[samples.near].tolist()}
    assert {frozenset((f"b/{k}.png", f"b/{k}-again.jpg")) for k in range(1, 21)} <= found


class Clock:
    """The time, which advances by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def copies_in_parts(root: Path, side: int) -> Samples:
    """Six copies within train, and six of images of train in test."""
    images = {f"train/{'ab'[k % 2]}/{k:02d}.png": scene(k, side) for k in range(16)}
    images |= {f"train/a/again{k}.jpg": jpeg(scene(k, side)) for k in range(6)}
    images |= {f"test/{'ab'[k % 2]}/again{k}.jpg": jpeg(scene(k, side)) for k in range(6, 12)}
    return folder_of(root, images)


def paths_of(samples: Samples) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in samples.paths[samples.near].tolist()}


def test_a_time_that_suffices_changes_nothing(tmp_path):
    samples = copies_in_parts(tmp_path / "set", 64)
    whole = result_of(find_duplicates(samples, folder=tmp_path / "one"))
    timed = result_of(find_duplicates(samples, folder=tmp_path / "two", seconds=1e6))
    np.testing.assert_array_equal(timed.near, whole.near)
    np.testing.assert_array_equal(timed.doubtful, whole.doubtful)
    assert len(whole.near) == 12 and timed.uncompared[0] == whole.uncompared[0] == 0


@pytest.mark.parametrize("side", [24, 64], ids=["outlines", "details too"])
def test_without_time_for_all_pairs_those_with_the_test_come_first_and_nothing_is_kept(tmp_path, monkeypatch, side):
    samples = copies_in_parts(tmp_path / "set", side)
    whole = result_of(find_duplicates(samples, folder=tmp_path / "one"))
    monkeypatch.setattr("sightline.data.duplicates._TIMED", 1)
    monkeypatch.setattr("sightline.data.duplicates._OPENED", 200)
    monkeypatch.setattr("sightline.data.duplicates._AHEAD", 1)
    monkeypatch.setattr("sightline.data.duplicates._CONFIRMED", 1)
    with monkeypatch.context() as patch:
        patch.setattr("sightline.data.duplicates.time", Clock())
        some = result_of(find_duplicates(samples, folder=tmp_path / "two", seconds=16))
    with_test = {pair for pair in paths_of(whole) if sum(path.startswith("test/") for path in pair) == 1}
    assert len(with_test) == 6 and with_test <= paths_of(some) < paths_of(whole)
    left, every = some.uncompared
    assert left > 0 and len(some.near) + len(some.doubtful) + left <= every
    again = result_of(find_duplicates(samples, folder=tmp_path / "two"))
    assert paths_of(again) == paths_of(whole) and again.uncompared == (0, every)


@pytest.mark.parametrize("seconds", [0, 5])
def test_pairs_whose_details_there_was_no_time_to_compare_are_no_duplicates(tmp_path, monkeypatch, seconds):
    samples = copies_in_parts(tmp_path / "set", 64)
    monkeypatch.setattr("sightline.data.duplicates._TIMED", 1)
    monkeypatch.setattr("sightline.data.duplicates._OPENED", 200)
    monkeypatch.setattr("sightline.data.duplicates._CONFIRMED", 1)
    monkeypatch.setattr("sightline.data.duplicates._CORRELATING", 1e6 if seconds else 0)
    monkeypatch.setattr("sightline.data.duplicates.time", Clock())
    found = result_of(find_duplicates(samples, folder=tmp_path / "one", seconds=seconds))
    assert len(found.near) == len(found.doubtful) == 0
    assert found.uncompared[0] == (12 if seconds else found.uncompared[1])


def test_the_order_of_files_does_not_matter(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k, 64) for k in range(30)}
    images |= {f"a/again{k}.jpg": jpeg(scene(k, 64)) for k in range(8)}
    samples = folder_of(tmp_path / "set", images)
    found = []
    for seed in range(3):
        rows = np.random.default_rng(seed).permutation(len(samples))
        shuffled = samples.take(rows)
        found.append(contents_of(result_of(find_duplicates(shuffled, folder=tmp_path / f"cache{seed}"))))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 8


def test_floats_are_compared_within_their_range(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.tif": scene(k, 64).convert("L") for k in range(12)}
    images["a/again.tif"] = jpeg(images["a/2.tif"]).convert("L")
    root = tmp_path / "set"
    for name, image in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(image, np.float32) / 1000).save(root / name)
    samples = result_of(inspect_samples(read_samples(root), value_range=(0, 0.255)))
    found = result_of(find_duplicates(samples, value_range=(0, 0.255)))
    assert {tuple(sorted(pair)) for pair in found.paths[found.near].tolist()} == {("a/2.tif", "a/again.tif")}


def test_a_image_that_was_away_for_a_moment_is_compared_the_next_time(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k, 64) for k in range(6)}
    images["a/again.jpg"] = jpeg(scene(2, 64))
    samples = folder_of(tmp_path / "set", images)
    path = tmp_path / "set" / "a" / "again.jpg"
    data = path.read_bytes()
    path.unlink()
    assert len(result_of(find_duplicates(samples)).near) == 0
    path.write_bytes(data)
    assert len(result_of(find_duplicates(samples)).near) == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_readable_image_is_no_crash(tmp_path, count):
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k, 32) for k in range(4)}
    samples = folder_of(tmp_path / "set", images)
    samples = samples.with_errors(dict.fromkeys(range(count, 4), "broken"))
    assert len(result_of(find_duplicates(samples)).near) == 0


def test_images_of_two_classes_must_fit_better(tmp_path, monkeypatch):
    """A hundred black trousers are of one class; what looks like one image under two labels seldom is."""
    images = {f"{'ab'[k % 2]}/{k}.png": scene(k) for k in range(6)}
    images |= {"a/again.jpg": jpeg(scene(2)), "b/again.jpg": jpeg(scene(4))}
    samples = folder_of(tmp_path / "set", images)
    monkeypatch.setattr("sightline.data.duplicates._bar", lambda *_: 0.66)
    monkeypatch.setattr("sightline.data.duplicates.compare", lambda pairs, _: np.full(len(pairs), 0.7))
    found = result_of(find_duplicates(samples)).near
    assert [set(samples.paths[pair]) for pair in found] == [{"a/2.png", "a/again.jpg"}]


def test_classes_whose_names_are_no_utf8_are_remembered_too(tmp_path):
    samples = folder_of(tmp_path / "set", {f"{'ab'[k % 2]}/{k}.png": scene(k) for k in range(4)})
    odd = replace(samples, classes=("caf\udce9", "\ud800"))
    assert len(result_of(find_duplicates(odd)).near) == 0


def test_round_things_on_plain_ground_are_a_question_and_no_duplicates(tmp_path):
    """A cap, a cup and the bottom of a bottle, of one outline; a copy of one of them is doubtful at most."""
    images = {f"{'ab'[k % 2]}/{k}.jpg": scene(k, 192) for k in range(12)}
    images |= {f"a/thing{k}.jpg": round_thing(k) for k in range(3)}
    images["b/again.jpg"] = jpeg(scene(1, 192))
    samples = folder_of(tmp_path / "set", images)
    one, other = (ComparedImage(tmp_path / "set" / "a" / f"thing{k}.jpg") for k in (0, 1))
    with ThreadPoolExecutor(1) as pool:
        assert compare([(one, other)], pool)[0] > 0.74  # their outlines are those of one image
    found = result_of(find_duplicates(samples))
    pairs = [{frozenset(pair) for pair in samples.paths[some].tolist()} for some in (found.near, found.doubtful)]
    assert pairs[0] == {frozenset(("b/1.jpg", "b/again.jpg"))}
    assert frozenset(("a/thing0.jpg", "a/thing1.jpg")) in pairs[1]
    again = result_of(find_duplicates(samples))  # from the cache
    np.testing.assert_array_equal(again.near, found.near)
    np.testing.assert_array_equal(again.doubtful, found.doubtful)


def small_thing(seed: int, side: int = 256) -> Image.Image:
    """A photo of one small thing with a pattern, on white ground."""
    random = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 255, np.uint8)
    x, y, size = *random.integers(40, 140, 2), random.choice([24, 36, 48, 60])
    pixels[y : y + size, x : x + size] = np.kron(random.integers(0, 255, (size // 6, size // 6, 3)), np.ones((6, 6, 1)))
    return Image.fromarray(pixels)


def test_small_things_on_plain_ground_that_were_saved_again_are_duplicates(tmp_path):
    images = {f"{'ab'[k % 2]}/{k}.png": small_thing(k) for k in range(12)}
    images |= {f"{'ab'[k % 2]}/{k}-again.png": jpeg(small_thing(k).resize((200, 200))) for k in range(12)}
    found = result_of(find_duplicates(folder_of(tmp_path / "set", images)))
    pairs = {frozenset(pair) for pair in found.paths[found.near].tolist()}
    assert pairs == {frozenset((f"{'ab'[k % 2]}/{k}.png", f"{'ab'[k % 2]}/{k}-again.png")) for k in range(12)}
