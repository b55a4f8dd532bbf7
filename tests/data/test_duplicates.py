"""Near-duplicates: planted copies are found, and nothing among pictures that are merely alike."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sightline.data.duplicates import find_candidates, find_duplicates
from sightline.data.inspect import inspect_samples
from sightline.data.samples import Samples
from sightline.data.sources import read_samples


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def scene(seed: int, side: int = 96) -> Image.Image:
    """A picture with the statistics of a photo: structure at every scale (a 1/f spectrum), in three colours."""
    random = np.random.default_rng(seed)
    rows = np.fft.fftfreq(side)[:, None]
    radius = np.maximum(np.hypot(rows, np.fft.rfftfreq(side)[None]), 1 / side)
    layers = []
    for _ in range(3):
        noise = random.normal(size=(side, side // 2 + 1)) + 1j * random.normal(size=(side, side // 2 + 1))
        layers.append(np.fft.irfft2(noise / radius**1.3, (side, side)))
    pixels = np.stack(layers, -1) + layers[0][..., None]
    low, high = np.quantile(pixels, (0.01, 0.99))
    return Image.fromarray(((pixels - low) / (high - low) * 255).clip(0, 255).astype(np.uint8))


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
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: Image.eval(image, lambda level: min(255, round(level * 1.2))),
    "saved again": lambda image: image,
}


def folder_of(root: Path, pictures: dict[str, Image.Image]) -> Samples:
    for name, picture in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return finish(inspect_samples(read_samples(root)))


@pytest.mark.parametrize("side", [40, 96])
def test_planted_copies_are_found_and_nothing_else(tmp_path, side):
    pictures = {f"{'ab'[k % 2]}/{k:02d}.png": scene(k, side) for k in range(40)}
    wanted = set()
    for k, (kind, change) in enumerate(CHANGES.items()):
        original, copy = f"{'ab'[k % 2]}/{k:02d}.png", f"a/copy-{kind}.bmp"
        pictures[copy] = change(pictures[original]).convert("RGB")
        wanted.add(frozenset((original, copy)))
    samples = finish(find_duplicates(folder_of(tmp_path / "set", pictures)))
    found = {frozenset((samples.paths[one], samples.paths[other])) for one, other in samples.near}
    assert found == wanted


def test_exact_copies_are_not_the_matter_here(tmp_path):
    pictures = {f"{'ab'[k % 2]}/{k}.png": scene(k % 4) for k in range(8)}
    samples = finish(find_duplicates(folder_of(tmp_path / "set", pictures)))
    assert len(set(samples.digests)) == 4
    assert len(samples.near) == 0


def test_flat_pictures_are_nobodys_copies(tmp_path):
    pictures = {f"{'ab'[k % 2]}/{k}.png": Image.new("RGB", (64, 64), (k, 90, 200)) for k in range(12)}
    assert len(finish(find_duplicates(folder_of(tmp_path / "set", pictures))).near) == 0


def test_pictures_of_one_kind_that_are_alike_by_nature_are_no_copies(tmp_path):
    """One glyph, drawn a little differently each time: as like as copies, and so are random pairs of the class."""
    random = np.random.default_rng(0)

    def glyph() -> Image.Image:
        image = Image.new("L", (28, 28), 0)
        image.paste(255, (12, 3, 16, 25))
        return image.rotate(random.uniform(-6, 6), translate=tuple(random.integers(-1, 2, 2).tolist()))

    pictures = {f"{'ab'[k % 2]}/{k}.png": glyph() for k in range(80)}
    assert len(finish(find_duplicates(folder_of(tmp_path / "set", pictures))).near) == 0


def test_a_second_search_of_the_same_table_is_remembered(tmp_path, monkeypatch):
    pictures = {f"{'ab'[k % 2]}/{k}.png": scene(k % 9) for k in range(12)}
    pictures["a/copy.jpg"] = scene(1)
    samples = folder_of(tmp_path / "set", pictures)
    first = finish(find_duplicates(samples)).near
    monkeypatch.setattr("sightline.data.duplicates.find_candidates", lambda samples: 1 / 0)
    np.testing.assert_array_equal(finish(find_duplicates(samples)).near, first)
    assert len(first) == 1


def test_a_picture_that_went_away_is_compared_with_nothing(tmp_path):
    pictures = {f"{'ab'[k % 2]}/{k}.png": scene(k) for k in range(6)}
    pictures["a/copy.jpg"] = scene(1)
    samples = folder_of(tmp_path / "set", pictures)
    (tmp_path / "set" / "a" / "copy.jpg").unlink()
    assert len(finish(find_duplicates(samples)).near) == 0


def test_candidates_of_many_images_are_the_same_within_cells(tmp_path, monkeypatch):
    pictures = {f"{'ab'[k % 2]}/{k}.png": scene(k, 32) for k in range(60)}
    for k in range(10):
        pictures[f"a/copy{k}.jpg"] = ImageOps.mirror(scene(k, 32)) if k % 2 else scene(k, 32)
    samples = folder_of(tmp_path / "set", pictures)
    whole, _ = find_candidates(samples)
    monkeypatch.setattr("sightline.data.duplicates._CELL", 20)
    parts, _ = find_candidates(samples)
    copies = {tuple(pair) for pair in whole.tolist() if "copy" in "".join(samples.paths[list(pair)])}
    assert len(copies) >= 10
    assert copies <= {tuple(pair) for pair in parts.tolist()}
