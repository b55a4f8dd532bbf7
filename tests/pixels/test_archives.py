"""Hostile archives: nothing is written outside the cache, nothing hangs, and every error says why."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import DataError, UnreadableImage
from sightline.pixels import archives, unpacked
from sightline.pixels.archives import open_tar, open_zip
from sightline.pixels.containers import Member, read_member

GOOD = b"G" * 300


def zip_of(*names: str | zipfile.ZipInfo, data: bytes = b"x" * 50) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("good.jpg", GOOD)
        for name in names:
            file.writestr(name, data)
    return out.getvalue()


def tar_of(*infos: tarfile.TarInfo, data: bytes = b"x" * 50, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for info in (tar_info("good.jpg", size=len(GOOD)), *infos):
            content = GOOD if info.name == "good.jpg" else data
            file.addfile(info, io.BytesIO(content) if info.size else None)
    return out.getvalue()


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def zip_info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def patched(data: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    for old, new in changes:
        assert old in data
        assert len(old) == len(new)
        data = data.replace(old, new)
    return data


def flagged(data: bytes, bit: int) -> bytes:
    """Set a flag of the last member, in both of its headers."""
    out = bytearray(data)
    out[data.rfind(b"PK\x03\x04") + 6] |= bit
    out[data.rfind(b"PK\x01\x02") + 8] |= bit
    return bytes(out)


def negative_size(kind: bytes) -> bytes:
    """A header of negative size, which leads back to itself: ``tarfile`` of Python 3.11.7 reads it for ever."""
    header = tar_info("bad.jpg", kind, size=-512).tobuf(tarfile.GNU_FORMAT)
    return tar_of()[:1024] + header + bytes(1024)


def overlapping_zip() -> bytes:
    """Two entries of one member's bytes: the trick of bombs that are many times their size."""
    data = zip_of("a.jpg")
    at = data.rfind(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    entry = data[at:end]
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", 3, 3)
    tail[12:16] = struct.pack("<I", end - data.find(b"PK\x01\x02") + len(entry))
    return data[:end] + entry.replace(b"a.jpg", b"b.jpg") + bytes(tail)


LINK, FIFO, DEVICE, HARD = tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.LNKTYPE

# file name, content, what is skipped and why; the good image beside it is read all the same.
SKIPPED = [
    ("up.zip", zip_of("../up.jpg"), "../up.jpg", "leads out"),
    ("deep-up.zip", zip_of("a/../../up.jpg"), "a/../../up.jpg", "leads out"),
    ("back.zip", zip_of("..\\up.jpg"), "..\\up.jpg", "leads out"),
    ("absolute.zip", zip_of("/etc/up.jpg"), "/etc/up.jpg", "absolute"),
    ("drive.zip", zip_of("C:/up.jpg"), "C:/up.jpg", "absolute"),
    ("drive-back.zip", zip_of("C:\\up.jpg"), "C:\\up.jpg", "absolute"),
    ("share.zip", zip_of("\\\\host\\up.jpg"), "\\\\host\\up.jpg", "absolute"),
    ("nul.zip", patched(zip_of("aXb.jpg"), (b"aXb.jpg", b"a\0b.jpg")), "a\0b.jpg", "NUL"),
    ("link.zip", zip_of(zip_info("l.jpg", 0o120777), data=b"/etc/passwd"), "l.jpg", "a link"),
    ("device.zip", zip_of(zip_info("l.jpg", 0o020666)), "l.jpg", "a device"),
    ("pipe.zip", zip_of(zip_info("l.jpg", 0o010666)), "l.jpg", "a device"),
    ("overlap.zip", overlapping_zip(), "b.jpg", "overlaps"),
    ("up.tar", tar_of(tar_info("../up.jpg", size=50)), "../up.jpg", "leads out"),
    ("absolute.tar", tar_of(tar_info("/tmp/up.jpg", size=50)), "/tmp/up.jpg", "absolute"),
    ("drive.tar", tar_of(tar_info("C:up.jpg", size=50)), "C:up.jpg", "absolute"),
    ("link.tar", tar_of(tar_info("l.jpg", LINK, target="/etc/passwd")), "l.jpg", "a link"),
    ("hard.tar", tar_of(tar_info("l.jpg", HARD, target="good.jpg")), "l.jpg", "a link"),
    ("pipe.tar", tar_of(tar_info("l.jpg", FIFO)), "l.jpg", "a device"),
    ("device.tar", tar_of(tar_info("l.jpg", DEVICE)), "l.jpg", "a device"),
    (
        "through-link.tar",  # a link to a folder, and then a file that an unpacker would write through it
        tar_of(tar_info("l", LINK, target="../.."), tar_info("l/up.jpg", size=50)),
        "l",
        "a link",
    ),
    ("packed-link.tar.gz", gzip.compress(tar_of(tar_info("l.jpg", LINK, target="/"))), "l.jpg", "a link"),
]

# file name, content, a member that is listed and can't be read, and why.
UNREADABLE = [
    ("encrypted.zip", flagged(zip_of("l.jpg"), 1), "encrypted"),
    ("crc.zip", patched(zip_of("l.jpg"), (struct.pack("<I", zlib.crc32(b"x" * 50)), b"ABCD")), "checksum"),
    (
        "lied-size.zip",
        patched(zip_of("l.jpg"), (struct.pack("<I", 50), struct.pack("<I", 49))),
        "unpacked size differs",
    ),
    ("method.zip", patched(zip_of("l.jpg"), (b"\x08\0", b"\x63\0")), "method"),
    ("empty.zip", zip_of("l.jpg", data=b""), "empty"),
    ("empty.tar", tar_of(tar_info("l.jpg")), "empty"),
    ("two-names.zip", zip_of("l.jpg").replace(b"l.jpg", b"k.jpg", 1), "two names"),
    ("garbage.zip", zip_of("l.jpg", data=bytes(range(256))).replace(bytes(range(9)), b"\xff" * 9, 1), "damaged"),
]


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


# file name, content: refused as a whole.
REFUSED = [
    ("cut.zip", cut(zip_of("a.jpg"), 0.7)),
    ("nothing.zip", b""),
    ("text.zip", b"this is no archive"),
    ("text.tar", b"this is no archive" * 100),
    ("cut.tgz", cut(gzip.compress(tar_of(tar_info("a.jpg", size=50)), mtime=0), 0.5)),
    ("crc.tgz", gzip.compress(tar_of(tar_info("a.jpg", size=50)))[:-6] + b"\0" * 6),
    ("cut.tbz2", b"BZh9" + b"\0" * 50),
    ("cut.tar.xz", b"\xfd7zXZ\x00" + b"\0" * 50),
    ("back.tar", negative_size(tarfile.REGTYPE)),
    ("back-name.tar", negative_size(tarfile.GNUTYPE_LONGNAME)),
    ("back-pax.tar", negative_size(tarfile.XHDTYPE)),
]


@pytest.fixture
def saved(tmp_path: Path, cache: Path) -> Callable[[str, bytes], Path]:
    """Return a function that writes an archive deep in a folder; afterwards nothing new may lie anywhere."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    written: dict[Path, None] = {}

    def save(name: str, data: bytes) -> Path:
        path = folder / name
        path.write_bytes(data)
        written[path] = None
        return path

    yield save
    files = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert sorted(files) == sorted(written)
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".tar"] == []


def opened(path: Path) -> archives.Archive:
    return open_zip(path) if path.suffix == ".zip" else open_tar(path)


@pytest.mark.parametrize(("name", "data", "member", "said"), SKIPPED, ids=[row[0] for row in SKIPPED])
def test_a_member_that_is_no_plain_file_is_listed_and_not_read(saved, name: str, data: bytes, member: str, said: str):
    path = saved(name, data)
    archive = opened(path)
    assert [why for skipped, why in archive.skipped if skipped == member and said in why]
    assert read_member(Member(path, "good.jpg")) == GOOD
    with pytest.raises(UnreadableImage):
        read_member(Member(path, member))


@pytest.mark.parametrize(("name", "data", "said"), UNREADABLE, ids=[row[0] for row in UNREADABLE])
def test_a_damaged_member_is_unreadable_and_the_others_are_not(saved, name: str, data: bytes, said: str) -> None:
    path = saved(name, data)
    with pytest.raises(UnreadableImage, match=said):
        read_member(Member(path, "l.jpg"))
    if "method" not in name and "two-names" not in name:
        assert read_member(Member(path, "good.jpg")) == GOOD


@pytest.mark.parametrize(("name", "data"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_damaged_archive_is_refused_as_a_whole(saved, name: str, data: bytes) -> None:
    with pytest.raises(DataError) as caught:
        opened(saved(name, data))
    assert caught.value.code == "data.archive"
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_of_two_members_of_one_name_the_last_is_read_as_unpacking_would_leave_it(saved, name: str) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if name == "a.zip" else pytest.MonkeyPatch.context():
        data = (
            zip_of("good.jpg", data=b"second")
            if name == "a.zip"
            else tar_of(tar_info("./good.jpg", size=6), data=b"second")
        )
    path = saved(name, data)
    assert [why for _, why in opened(path).skipped] == ["replaced by a later member of the same name"]
    assert read_member(Member(path, "good.jpg")) == b"second"


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_limits_hold(saved, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [tar_info(f"{k}.jpg", size=50) for k in range(8)]
    path = saved(name, zip_of(*(info.name for info in infos)) if name == "a.zip" else tar_of(*infos))
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 100)
    with pytest.raises(UnreadableImage, match="more than 100"):
        opened(path).read("good.jpg")
    assert opened(path).read("1.jpg")
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="more than 5 members"):
        opened(path)


def test_a_long_list_of_members_is_refused_before_it_is_read(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 100)
    path = saved("a.zip", zip_of("a.jpg", "b.jpg"))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(DataError, match="list of members"):
        open_zip(path)


def test_a_header_that_would_fill_the_memory_is_refused(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved("a.tar", tar_of(tar_info("long/" * 500 + "a.jpg", size=50)))
    assert len(open_tar(path).entries) == 2
    monkeypatch.setattr(archives, "MAX_HEADER_BYTES", 2000)
    with pytest.raises(DataError, match="invalid size"):
        open_tar(path)


def test_a_member_that_grows_too_much_is_not_unpacked(saved) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("l.jpg", bytes(2**20))
    with pytest.raises(UnreadableImage, match="times its size"):
        open_zip(saved("a.zip", out.getvalue())).read("l.jpg")


def test_a_lie_about_the_size_unpacks_no_more_than_it_says(saved) -> None:
    data = zip_of("l.jpg", data=bytes(5_000_000))
    path = saved("a.zip", patched(data, (struct.pack("<I", 5_000_000), struct.pack("<I", 10_000))))
    with pytest.raises(UnreadableImage, match="unpacked size differs"):
        open_zip(path).read("l.jpg")


def test_a_tar_that_unpacks_to_too_much_is_refused_and_leaves_nothing(saved, cache: Path, monkeypatch) -> None:
    monkeypatch.setattr(unpacked, "_FREE_OF_RATIO", 2**20)
    with pytest.raises(DataError, match="unpacks to more than"):
        open_tar(saved("a.tgz", gzip.compress(bytes(8 * 2**20))))
    assert list((cache / "archives").iterdir()) == []


def test_without_room_the_error_says_what_to_do(saved, monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    file = tmp_path_factory.mktemp("no") / "folder"
    file.write_bytes(b"")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(file))
    with pytest.raises(DataError) as caught:
        open_tar(saved("a.tgz", gzip.compress(tar_of())))
    assert caught.value.code == "data.unpack"
    assert "SIGHTLINE_CACHE" in caught.value.cure


def test_the_oldest_unpacked_tars_go_first(saved, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "_KEPT_BYTES", 25_000)
    paths = [saved(f"{k}.tgz", gzip.compress(tar_of(tar_info("a.jpg", size=50)))) for k in range(4)]
    for path in paths:
        open_tar(path)
    plain = sorted((cache / "archives").iterdir())
    assert len(plain) == 4  # all of them may be in use
    for path in plain:
        os.utime(path, (1000 + plain.index(path), 1000))
    stray = cache / "archives" / "x.tar.tmp-1"
    stray.write_bytes(b"x")
    os.utime(stray, (1000, 1000))
    open_tar(saved("new.tgz", gzip.compress(tar_of(tar_info("b.jpg", size=50)))))
    left = set((cache / "archives").iterdir())
    assert len(left) == 2
    assert plain[3] in left
    assert all(read_member(Member(path, "good.jpg")) == GOOD for path in paths)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_any_byte_may_be_wrong(saved, name: str) -> None:
    """A mutated archive gives its images, or an error of ours, and nothing else."""
    whole = zip_of("a.jpg", "b/c.jpg") if name == "a.zip" else tar_of(tar_info("a.jpg", size=50))
    whole = gzip.compress(whole, mtime=0) if name == "a.tgz" else whole
    for position in range(0, len(whole), max(1, len(whole) // 120)):
        data = bytearray(whole)
        data[position] ^= 0xA5
        path = saved(name, bytes(data))
        try:
            archive = opened(path)
        except DataError:
            continue
        for member in archive.entries:
            try:
                archive.read(member)
            except UnreadableImage as error:
                assert error.reason
