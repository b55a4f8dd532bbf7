"""Images inside archives, tables and arrays: the same bytes as every other reader gets, and errors that say why."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import UnreadableImage
from sightline.pixels import archives, containers
from sightline.pixels.containers import CONTAINER_SUFFIXES, Member, open_container, place_of, read_member
from sightline.pixels.decode import decode_image
from sightline.pixels.file_bytes import read_bytes

CONTENTS = {
    "a.jpg": b"A" * 5000,
    "cats/b.png": bytes(range(256)) * 9,
    "cats/Käfer 1.gif": b"x",
    "d/e/f.webp": b"\0" * 70,
}
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]


def write_zip(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return path


def write_tar(path: Path, contents: dict[str, bytes], mode: str = "w", **options: int) -> Path:
    with tarfile.open(path, mode, **options) as file:  # type: ignore[call-overload]
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def reason(member: Member) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_member(member)
    assert caught.value.path == str(member)
    return caught.value.reason


# -- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", CONTAINER_SUFFIXES)
@pytest.mark.parametrize("name", ["cats/1.jpg", "b.zip::c.jpg", "17"])
def test_a_member_and_its_text_are_one(suffix: str, name: str) -> None:
    member = Member(Path("in") / f"photos{suffix.upper()}", name)
    assert place_of(Path("in"), f"photos{suffix.upper()}::{name}") == member
    assert place_of(Path(), str(member)) == member


@pytest.mark.parametrize("text", ["cats/1.jpg", "odd::name.jpg", "a.zip", "x.jpg::", "deep/a.txt::b"])
def test_what_names_no_container_is_a_path(text: str) -> None:
    assert place_of(Path("in"), text) == Path("in") / text


def test_a_mark_in_a_folders_name_is_no_container() -> None:
    assert place_of(Path(), "a::b/photos.zip::c.jpg") == Member(Path("a::b/photos.zip"), "c.jpg")


# -- archives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_member_of_a_zip_is_what_zipfile_reads(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "a.zip", CONTENTS, method)
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            assert read_bytes(Member(path, name)) == file.read(name) == CONTENTS[name]


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar", "w"), (".tgz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz")]
)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_of_a_tar_is_what_tarfile_reads(tmp_path: Path, suffix: str, mode: str, form: int) -> None:
    contents = {**CONTENTS, f"{'long' * 10}/{'name' * 15}.jpg": b"long"}
    path = write_tar(tmp_path / f"a{suffix}", contents, mode, format=form)
    with tarfile.open(path) as file:
        for name in file.getnames():
            opened = file.extractfile(name)
            assert opened is not None
            assert read_member(Member(path, name)) == opened.read() == contents[name]


@given(st.dictionaries(st.text("ab./Kä", min_size=1, max_size=8), st.binary(min_size=1, max_size=60), max_size=6))
def test_any_names_and_contents_come_back(tmp_path: Path, contents: dict[str, bytes]) -> None:
    path = write_zip(tmp_path / "a.zip", contents)
    archive = open_container(path)
    assert isinstance(archive, archives.Archive)
    for name in archive.entries:
        files = [n for n in contents if not n.endswith("/")]
        spellings = [n for n in files if "/".join(part for part in n.split("/") if part not in ("", ".")) == name]
        assert archive.read(name) == contents[spellings[-1]]
    assert all(".." not in name.split("/") and not name.startswith("/") for name in archive.entries)


def test_a_zip_behind_other_bytes_is_read(tmp_path: Path) -> None:
    """As self-unpacking archives are; ``zipfile`` reads them too."""
    path = write_zip(tmp_path / "a.zip", CONTENTS)
    path.write_bytes(b"#!program" * 100 + path.read_bytes())
    assert read_member(Member(path, "a.jpg")) == CONTENTS["a.jpg"]


def test_a_changed_archive_is_listed_again(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"old"})
    assert read_member(Member(path, "a.jpg")) == b"old"
    write_zip(path, {"b.jpg": b"n" * 100, "a.jpg": b"new"})
    os.utime(path, ns=(1, 1))
    assert read_member(Member(path, "a.jpg")) == b"new"


def test_an_archive_that_changes_under_its_listing_is_not_read_by_the_old_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"old"})
    listing = open_container(path)
    write_tar(path, {"b.jpg": b"b" * 600, "a.jpg": b"new"})
    with pytest.raises(UnreadableImage, match="changed"):
        listing.read("a.jpg")


def test_a_compressed_tar_is_unpacked_once_and_again_when_it_is_gone(tmp_path: Path, cache: Path) -> None:
    path = write_tar(tmp_path / "a.tgz", CONTENTS, "w:gz")
    for _ in range(2):
        assert read_member(Member(path, "a.jpg")) == CONTENTS["a.jpg"]
        (plain,) = (cache / "archives").iterdir()
        assert plain.suffix == ".tar"
    plain.unlink()
    containers._opened.clear()
    assert read_member(Member(path, "a.jpg")) == CONTENTS["a.jpg"]


def test_a_plain_tar_that_is_called_tgz_is_read(tmp_path: Path) -> None:
    assert read_member(Member(write_tar(tmp_path / "a.tgz", CONTENTS), "a.jpg")) == CONTENTS["a.jpg"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux shows them")
def test_no_file_stays_open_however_many_archives_there_are(tmp_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    paths = [write_zip(tmp_path / f"{k}.zip", CONTENTS) for k in range(20)]
    before = count()
    for path in paths:
        read_member(Member(path, "a.jpg"))
    assert count() == before
    assert len(containers._opened) <= 8


def test_threads_get_what_they_ask_for(tmp_path: Path) -> None:
    contents = {f"{k}.jpg": bytes([k]) * (k + 1) for k in range(200)}
    paths = [write_zip(tmp_path / "a.zip", contents), write_tar(tmp_path / "a.tar.gz", contents, "w:gz")]
    members = [Member(path, name) for name in contents for path in paths]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read_member, members))
    assert found == [contents[member.name] for member in members]


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.zip", "No such file"), ("photo.rar", "not a container"), ("a.zip", "can't be read as an archive")],
)
def test_a_container_that_can_not_be_read_is_an_unreadable_image(tmp_path: Path, name: str, said: str) -> None:
    for made in ("photo.rar", "a.zip"):
        (tmp_path / made).write_bytes(b"nothing")
    assert said in reason(Member(tmp_path / name, "a.jpg"))


# -- rows of pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (3, 5, 4), (3, 5, 4, 1)])
def test_a_row_of_an_array_decodes_to_its_pixels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    for row in range(3):
        wanted = np.broadcast_to(pixels[row].reshape(5, 4, -1), (5, 4, 3))
        assert (decode_image(Member(tmp_path / "a.npy", str(row))) == wanted).all()


@pytest.mark.parametrize("labels", [1, 2], ids=["cifar-10", "cifar-100"])
def test_a_row_of_cifar_decodes_to_its_pixels(tmp_path: Path, labels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    records = [bytes([k] * labels) + pixels[k].transpose(2, 0, 1).tobytes() for k in range(4)]
    (tmp_path / "batch.bin").write_bytes(b"".join(records))
    for row in range(4):
        assert (decode_image(Member(tmp_path / "batch.bin", str(row))) == pixels[row]).all()


@pytest.mark.parametrize("row", ["3", "-1", "x", "", "1.0", "²"])
def test_a_row_that_is_not_there_is_unreadable(tmp_path: Path, row: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2, 2), np.uint8))
    assert "no such row" in reason(Member(tmp_path / "a.npy", row))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 2)),
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 3, 2, 2), np.uint8),
        np.zeros((2, 0, 2), np.uint8),
        np.asfortranarray(np.zeros((2, 3, 4), np.uint8)),
        np.array([{}, {}], object),
    ],
    ids=["float", "two-axes", "channels-first", "empty", "fortran", "objects"],
)
def test_an_array_of_another_form_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    assert "it must be uint8" in reason(Member(tmp_path / "a.npy", "0"))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00", b"PK\x03\x04"])
def test_what_is_no_array_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    assert "not a numpy file" in reason(Member(tmp_path / "a.npy", "0"))


def test_an_array_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 8, 8), np.uint8))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    assert "truncated" in reason(Member(tmp_path / "a.npy", "0"))


# -- Parquet ----------------------------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes images into a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    def write(images: list[bytes | None], *, rows: int = 40, struct: bool = True, column: str = "image") -> Path:
        cells = [{"bytes": data, "path": "x"} for data in images] if struct else images
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]) if struct else pyarrow.binary()
        table = pyarrow.table({"label": [0] * len(images), column: pyarrow.array(cells, kind)})
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=rows)
        return tmp_path / "a.parquet"

    return write


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize("rows", [7, 40, 1000])
def test_rows_of_parquet_come_back_in_any_order(parquet: Callable[..., Path], struct: bool, rows: int) -> None:
    images = [os.urandom(50) for _ in range(150)]
    path = parquet(images, rows=rows, struct=struct)
    order = [*range(150), *np.random.default_rng(0).permutation(150)]
    assert [read_member(Member(path, str(row))) for row in order] == [images[row] for row in order]


@pytest.mark.parametrize(("kept", "times"), [(80, 1), (10, 2)])
def test_reading_in_order_decodes_each_row_once_a_reader_at_most(
    parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, kept: int, times: int
) -> None:
    from sightline.pixels import parquet as module

    monkeypatch.setattr(module, "_KEPT_BYTES", kept * 1100)
    images = [bytes([k]) * 1000 for k in range(200)]
    opened = module.open_parquet(parquet(images, rows=90))
    decoded = []
    keep = opened._keep
    monkeypatch.setattr(opened, "_keep", lambda row, cell: (decoded.append(row), keep(row, cell)))
    for row in range(220):
        for reader in (row, row - 20):  # two threads, one a little behind, and at times in the row group before
            if 0 <= reader < 200:
                assert opened.read(str(reader)) == images[reader]
    assert set(decoded) == set(range(200))
    assert max(Counter(decoded).values()) == times
    assert opened._weight <= kept * 1100
    assert opened._weight == sum(len(cell or b"") + 100 for cell in opened._kept.values())


def test_threads_get_the_rows_they_ask_for(parquet: Callable[..., Path]) -> None:
    images = [os.urandom(20) for _ in range(120)]
    path = parquet(images, rows=50)
    order = np.random.default_rng(1).permutation(120)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: read_member(Member(path, str(row))), order))
    assert found == [images[row] for row in order]


def test_an_empty_row_of_parquet_is_unreadable(parquet: Callable[..., Path]) -> None:
    path = parquet([b"x", None, b""])
    assert "no image" in reason(Member(path, "1"))
    assert "no image" in reason(Member(path, "2"))
    assert "no such row" in reason(Member(path, "3"))


def test_damage_in_a_parquet_file_is_an_unreadable_image(parquet: Callable[..., Path]) -> None:
    path = parquet([os.urandom(3000) for _ in range(50)])
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
    path.write_bytes(data)
    assert reason(Member(path, "0"))
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    assert "Parquet" in reason(Member(path, "0"))


def test_a_parquet_file_without_images_says_what_it_has(parquet: Callable[..., Path], tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"label": [1]}), tmp_path / "b.parquet")
    assert "no column of images; it has label" in reason(Member(tmp_path / "b.parquet", "0"))
