"""CIFAR as its authors publish it: read from the binary version, refused as pickle files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.data.sources import read_samples
from sightline.errors import DataError
from sightline.pixels.decode import decode_image

RANDOM = np.random.default_rng(0)


def records(labels: list[list[int]]) -> tuple[bytes, np.ndarray]:
    pixels = RANDOM.integers(0, 256, (len(labels), 32, 32, 3)).astype(np.uint8)
    return b"".join(bytes(row) + p.transpose(2, 0, 1).tobytes() for row, p in zip(labels, pixels, strict=True)), pixels


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\nbird\n\n")
    for k in (1, 2):
        (tmp_path / f"data_batch_{k}.bin").write_bytes(records([[0], [1], [2]])[0])
    (tmp_path / "test_batch.bin").write_bytes(records([[2], [0]])[0])
    return tmp_path


def test_cifar_10_is_read_row_by_row(ten: Path) -> None:
    data, pixels = records([[2], [0], [1]])
    (ten / "data_batch_1.bin").write_bytes(data)
    samples = read_samples(ten)
    assert samples.classes == ("airplane", "automobile", "bird")
    assert samples.given.tolist() == ["train"] * 6 + ["test"] * 2
    assert samples.labels.tolist()[:3] == [2, 0, 1]
    assert samples.paths[1] == "data_batch_1.bin::1"
    for row in range(3):
        assert (decode_image(samples.file(row)) == pixels[row]).all()


def test_cifar_100_takes_the_fine_label(tmp_path: Path) -> None:
    (tmp_path / "fine_label_names.txt").write_text("apple\nbear\n")
    (tmp_path / "coarse_label_names.txt").write_text("fruit\nbeasts\n")
    (tmp_path / "train.bin").write_bytes(records([[1, 0], [0, 1]])[0])
    (tmp_path / "test.bin").write_bytes(records([[0, 1]])[0])
    samples = read_samples(tmp_path)
    assert [samples.classes[label] for label in samples.labels] == ["apple", "bear", "bear"]


def test_a_file_that_is_cut_off_or_a_label_without_a_name_is_refused(ten: Path) -> None:
    whole = (ten / "data_batch_1.bin").read_bytes()
    for data in (whole[:-1], records([[3]])[0]):
        (ten / "data_batch_1.bin").write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_samples(ten)
        assert caught.value.code == "data.array"
        assert "data_batch_1.bin" in caught.value.message


def test_without_the_names_it_is_refused(ten: Path) -> None:
    (ten / "batches.meta.txt").unlink()
    with pytest.raises(DataError, match=r"batches\.meta\.txt"):
        read_samples(ten)


@pytest.mark.parametrize("names", [["batches.meta", "data_batch_1", "test_batch"], ["meta", "train", "test"]])
def test_the_pickled_version_is_refused_with_the_cure(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"\x80\x02}")
    with pytest.raises(DataError, match="pickle files") as caught:
        read_samples(tmp_path)
    assert caught.value.code == "data.pickle"
    assert "binary version" in caught.value.cure
