"""The torture set: each defect is what its row says, and is alone."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data import defects as module
from sightline.data.defect_sets import SETS
from sightline.data.defects import DEFECTS, READ, Defect, write_defects
from sightline.data.drawn_shapes import SHAPES, draw_shape, encode
from sightline.data.inspect import MAX_BAD_SHARE
from sightline.data.sources import find_images
from sightline.errors import UnreadableImage
from sightline.pixels.decode import decode_image, read_header


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Defect, ...]]:
    folder = tmp_path_factory.mktemp("torture")
    return folder, write_defects(folder)


def test_there_are_many_and_each_stands_alone(written) -> None:
    _, defects = written
    assert len(defects) >= 45
    assert len(DEFECTS) >= 30
    assert max(Counter((defect.source, defect.path) for defect in defects).values()) == 1
    assert max(Counter(name for name, *_ in [*DEFECTS, *SETS]).values()) == 1


def test_a_training_takes_so_few_bad_files(written) -> None:
    folder, defects = written
    bad = [defect for defect in defects if defect.code == "unreadable" and defect.source == folder / "photos"]
    assert len(bad) <= MAX_BAD_SHARE * len(find_images(folder / "photos")[0])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes, and not every link")
def test_on_this_system_every_row_is_made(written) -> None:
    _, defects = written
    assert {defect.name for defect in defects} == {name for name, *_ in [*DEFECTS, *SETS]}


def test_what_must_be_unreadable_is_and_everything_else_is_not(written) -> None:
    folder, defects = written
    said = {defect.path: defect for defect in defects if defect.source == folder / "photos"}
    for file in find_images(folder / "photos")[0]:
        defect = said.get(file.relative_to(folder / "photos").as_posix())
        if defect is not None and defect.code == "unreadable":
            with pytest.raises(UnreadableImage) as caught:
                decode_image(file)
            assert defect.words in caught.value.reason
        else:
            assert decode_image(file).shape[2] == 3


@pytest.mark.parametrize("code", ["checksum", "sixteen-bit", "cmyk-no-adobe"])
def test_what_the_decoder_must_remark_it_remarks(written, code: str) -> None:
    folder, defects = written
    found = [d for d in defects if d.code == code]
    assert found
    assert all(read_header((folder / "photos" / d.path).read_bytes()).remark == code for d in found)


def test_the_same_set_is_written_each_time(written, tmp_path: Path) -> None:
    folder, _ = written
    write_defects(tmp_path)
    for path in sorted(folder.rglob("*.png")):
        assert path.is_dir() or (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_file_that_reads_has_its_image(written) -> None:
    folder, defects = written
    names = [defect.path for defect in defects if defect.code == READ]
    assert len(names) >= 4
    assert all(decode_image(folder / "photos" / name).shape == (32, 32, 3) for name in names)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_two_images_of_a_shape_are_alike(shape: str) -> None:
    random = np.random.default_rng(0)
    flat = np.stack([draw_shape(random, shape).ravel() for _ in range(40)]).astype(float)
    assert (np.corrcoef(flat) - np.eye(40)).max() < 0.9


def test_the_size_of_a_png_says_nothing_of_its_shape() -> None:
    random = np.random.default_rng(0)
    assert len({len(encode(draw_shape(random, shape))) for shape in SHAPES for _ in range(5)}) == 1


def test_a_system_without_links_leaves_them_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "symlink_to", fail)
    monkeypatch.setattr(module, "_COUNTS", {"train": 6})
    monkeypatch.setattr(module, "DEFECTS", [row for row in DEFECTS if row[1].endswith(("loop", "link.jpg"))])
    monkeypatch.setattr(module, "write_sets", lambda folder: ())
    assert write_defects(tmp_path) == ()


def test_a_scan_bomb_is_one() -> None:
    data = module._scan_bomb(draw_shape(np.random.default_rng(0), "disc"))
    assert data.count(b"\xff\xda") > 100
    assert len(data) < 2**16


def test_a_image_of_floats_has_floats(written) -> None:
    folder, _ = written
    with Image.open(folder / "photos" / "train" / "square" / "floats.tif") as image:
        assert image.mode == "F"
