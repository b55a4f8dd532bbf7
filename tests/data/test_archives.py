"""A zip or tar of folders gives what the folder gives."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from sightline.data.samples import Samples
from sightline.data.sources import fetch_source, read_samples
from sightline.errors import DataError
from sightline.pixels.file_bytes import read_bytes

FORMATS = [("zip", ".zip"), ("tar", ".tar"), ("gztar", ".tar.gz"), ("bztar", ".tar.bz2"), ("xztar", ".tar.xz")]


def contents(samples: Samples) -> set[tuple[str, str, str]]:
    """Return (sha256, class, given split) of every image."""
    digests = [sha256(read_bytes(file)).hexdigest() for file in samples.files]
    names = [samples.classes[label] for label in samples.labels]
    return set(zip(digests, names, samples.given, strict=True))


def write_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, name.encode())
    return path


def pairs(samples: Samples) -> list[tuple[str, str, str]]:
    names = [samples.classes[label] for label in samples.labels]
    return [
        (path.partition("::")[2], name, part)
        for path, name, part in zip(samples.paths, names, samples.given, strict=True)
    ]


@pytest.mark.parametrize(("form", "suffix"), FORMATS)
@pytest.mark.parametrize("base", [None, "photos"], ids=["bare", "in-one-folder"])
def test_an_archive_of_a_folder_gives_the_same_images(
    photos: Path, tmp_path: Path, form: str, suffix: str, base: str | None
) -> None:
    (photos / "red" / "more").mkdir()
    shutil.copy(photos / "blue" / "0.png", photos / "red" / "more" / "deep.png")
    (photos / "red" / "notes.txt").write_text("x")
    (photos / "blue" / ".hidden.png").write_text("x")
    (photos / "empty").mkdir()
    root = photos.parent if base else photos
    path = Path(shutil.make_archive(str(tmp_path / "out" / "set"), form, root, base))
    assert path.name == f"set{suffix}"
    folder, packed = read_samples(photos), read_samples(path)
    assert packed.classes == folder.classes
    assert contents(packed) == contents(folder)
    assert len(packed) == len(folder) == 10
    before = f"{path.name}::{base}/" if base else f"{path.name}::"
    assert [f"{before}{name}" for name in folder.paths] == list(packed.paths)
    assert {(f"{before}{name}", why) for name, why in folder.skipped} == set(packed.skipped)
    assert packed.source == str(path)


@pytest.mark.parametrize("before", ["", "hymenoptera_data/", "data/2024/"])
def test_split_folders_in_an_archive_are_known(tmp_path: Path, before: str) -> None:
    names = ["train/cat/a.jpg", "train/dog/b.jpg", "val/cat/c.jpg", "test/dog/d.jpg"]
    samples = read_samples(write_zip(tmp_path / "a.zip", *(before + name for name in names)))
    wanted = [(before + name, name.split("/")[1], name.split("/")[0]) for name in names]
    assert sorted(pairs(samples)) == sorted(wanted)


def intel(write: Callable[[str], None]) -> None:
    for part in ("train", "test"):
        for name in ("sea", "street"):
            write(f"seg_{part}/seg_{part}/{name}/1.jpg")
    write("seg_pred/seg_pred/24.jpg")


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "folder"])
def test_the_intel_set_is_read_as_it_is_published(tmp_path: Path, is_zip: bool) -> None:
    names: list[str] = []
    intel(names.append)
    if is_zip:
        samples = read_samples(write_zip(tmp_path / "intel.zip", *names))
    else:
        for name in names:
            (tmp_path / "intel" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "intel" / name).write_bytes(b"x")
        samples = read_samples(tmp_path / "intel")
    assert samples.classes == ("sea", "street")
    assert samples.given.tolist().count("train") == samples.given.tolist().count("test") == 2
    assert [why for path, why in samples.skipped if path.endswith("seg_pred")] == [
        "unlabelled: beside the split folders"
    ]


def test_what_the_system_adds_is_hidden(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "a.zip", "cat/a.jpg", "dog/b.jpg", "__MACOSX/cat/._a.jpg", "cat/.DS_Store", "dog/._b.jpg"
    )
    samples = read_samples(path)
    assert [name for name, *_ in pairs(samples)] == ["cat/a.jpg", "dog/b.jpg"]
    assert {why for _, why in samples.skipped} == {"hidden"}
    assert len(samples.skipped) == 3


def test_hostile_members_are_listed_beside_the_images(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", "cat/a.jpg", "dog/b.jpg", "../up.jpg", "/cat/root.jpg", "cat/../../up.jpg")
    samples = read_samples(path)
    assert len(samples) == 2
    assert dict(samples.skipped) == {
        "a.zip::../up.jpg": "a name that leads out of the archive",
        "a.zip::/cat/root.jpg": "an absolute name",
        "a.zip::cat/../../up.jpg": "a name that leads out of the archive",
    }


def test_an_odd_ending_is_looked_into(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cat/photo", b"\xff\xd8\xff" + bytes(3000))
        file.writestr("cat/notes.txt", "x")
        file.writestr("dog/b.jpg", b"x")
    samples = read_samples(tmp_path / "a.zip")
    assert [name for name, *_ in pairs(samples)] == ["cat/photo", "dog/b.jpg"]
    assert samples.skipped == (("a.zip::cat/notes.txt", "not an image (.txt)"),)


def test_backslashes_of_windows_are_folders(tmp_path: Path) -> None:
    assert read_samples(write_zip(tmp_path / "a.zip", "cat\\a.jpg", "dog\\b.jpg")).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([], "data.no-images"),
        (["a.jpg", "b.jpg"], "data.no-images"),
        (["cat/a.jpg", "cat/b.jpg"], "data.one-class"),
        (["train/cat/a.jpg", "train/dog/b.jpg", "test/eel/c.jpg"], "data.unknown-class"),
        (["x/images/a.jpg", "x/labels/a.txt"], "data.detection-layout"),
        (["cifar/data_batch_1.bin", "cifar/test_batch.bin", "cifar/batches.meta.txt"], "data.packed-cifar"),
        (["cifar/data_batch_1", "cifar/batches.meta"], "data.pickle"),
        (["cifar/train", "cifar/test", "cifar/meta"], "data.pickle"),
    ],
)
def test_what_is_refused_of_a_folder_is_refused_of_an_archive(tmp_path: Path, names: list[str], code: str) -> None:
    with pytest.raises(DataError) as caught:
        read_samples(write_zip(tmp_path / "a.zip", *names))
    assert caught.value.code == code
    assert "a.zip" in caught.value.message or code in ("data.unknown-class",)


def test_a_compressed_tar_shows_how_far_it_is(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as file:
        for name in ("cat/a.jpg", "dog/b.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 3
            file.addfile(info, io.BytesIO(b"abc"))
    steps = list(fetch_source(path))
    assert steps
    assert steps[-1] == (path.stat().st_size,) * 2
    assert len(list((cache / "archives").iterdir())) == 1
    assert list(fetch_source(path)) == []
    samples = read_samples(path)
    assert list(samples.paths) == ["a.tgz::cat/a.jpg", "a.tgz::dog/b.jpg"]


def test_nothing_is_written_beside_the_archive(photos: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "set"), "zip", photos))
    before = sorted(tmp_path.rglob("*"))
    contents(read_samples(path))
    assert sorted(tmp_path.rglob("*")) == before
