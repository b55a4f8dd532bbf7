"""Links in folders of images: those that lead out are found, told and not followed unless that is asked for."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from corpus import NOISE, encode
from sightline.data.choices import FindingChoices
from sightline.data.folders import FOREIGN
from sightline.data.links import LEADS_OUT
from sightline.data.samples import Samples
from sightline.data.sources import find_images, read_samples
from sightline.errors import DataError
from sightline.events import Event, StageEnded, Warned
from sightline.reading.source import DataChoices, inspect_source

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links need a privilege on Windows")
PNG = encode(NOISE)
FOLLOWED = FindingChoices(follow_links=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of two images, and three more images in another folder."""
    for name in ("photos/cat/1", "photos/cat/2", "photos/dog/1", "photos/dog/2", "else/a", "else/b", "else/deep/c"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    return tmp_path / "photos"


def paths(samples: Samples) -> list[str]:
    return sorted(map(str, samples.paths))


OWN = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]


def test_a_link_to_a_folder_elsewhere_is_skipped_with_its_reason_and_followed_if_asked(photos: Path) -> None:
    (photos / "cat" / "more").symlink_to(photos.parent / "else")
    found = read_samples(photos)
    assert (paths(found), found.skipped) == (OWN, (("cat/more", LEADS_OUT),))
    followed = read_samples(photos, choices=FOLLOWED)
    assert paths(followed) == sorted([*OWN, "cat/more/a.png", "cat/more/b.png", "cat/more/deep/c.png"])


def test_a_link_to_the_root_of_the_disk_reads_nothing_of_it(photos: Path) -> None:
    (photos / "cat" / "all").symlink_to("/")
    (photos / "bird").symlink_to("/")
    (photos / "dog" / "up").symlink_to("../..")
    found = read_samples(photos)
    assert (paths(found), found.classes) == (OWN, ("cat", "dog"))
    assert {path for path, reason in found.skipped if reason == LEADS_OUT} == {"cat/all", "bird", "dog/up"}


@pytest.mark.parametrize("is_relative", [False, True])
def test_links_to_files_elsewhere_are_skipped_too(photos: Path, is_relative: bool) -> None:
    (photos / "cat" / "3.png").symlink_to("../../else/a.png" if is_relative else photos.parent / "else" / "a.png")
    assert paths(read_samples(photos)) == OWN
    assert len(read_samples(photos, choices=FOLLOWED)) == 5


def test_links_inside_the_folder_are_followed_as_before(photos: Path) -> None:
    (photos / "cat" / "3.png").symlink_to("../dog/1.png")
    (photos / "cat" / "loop").symlink_to("..")
    (photos / "cat" / "itself").symlink_to("itself")
    found = read_samples(photos)
    assert paths(found) == ["cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/2.png"]
    assert ("cat/loop", "a link to a folder that is already read") in found.skipped


def test_loops_outside_end_when_links_are_followed(photos: Path) -> None:
    (photos.parent / "else" / "back").symlink_to(photos)
    (photos.parent / "else" / "round").symlink_to(".")
    (photos / "cat" / "more").symlink_to(photos.parent / "else")
    assert len(read_samples(photos, choices=FOLLOWED)) == 7


def test_a_folder_whose_name_only_begins_the_same_is_elsewhere(photos: Path) -> None:
    shutil.copytree(photos.parent / "else", photos.parent / "photos-private")
    (photos / "cat" / "more").symlink_to(photos.parent / "photos-private")
    assert paths(read_samples(photos)) == OWN


def test_the_folder_that_is_named_may_be_a_link(photos: Path) -> None:
    link = photos.parent / "link"
    link.symlink_to(photos)
    assert paths(read_samples(link)) == OWN
    assert len(find_images(link)[0]) == 4


def test_split_folders_that_are_links_are_told(photos: Path) -> None:
    top = photos.parent / "top"
    top.mkdir()
    for part in ("train", "test"):
        (top / part).symlink_to(photos)
    with pytest.raises(DataError) as caught:
        read_samples(top)
    assert caught.value.code == "data.links"
    # One folder under two names is read once, whatever the names.
    (top / "test").unlink()
    assert len(read_samples(top, choices=FOLLOWED)) == 4


@pytest.mark.parametrize("read", [read_samples, find_images])
def test_data_of_which_every_image_is_a_link_are_refused_with_the_option_that_reads_them(
    photos: Path, read: object
) -> None:
    store = photos.parent / "store"
    for path in [*photos.rglob("*.png")]:
        target = store / f"{path.parent.name}-{path.name}"
        store.mkdir(exist_ok=True)
        path.rename(target)
        path.symlink_to(target)
    with pytest.raises(DataError) as caught:
        read(photos)
    assert caught.value.code == "data.links"
    assert "4 links" in caught.value.message
    assert str(store) in caught.value.message
    assert "--follow-links" in caught.value.cure
    assert len(read_samples(photos, choices=FOLLOWED)) == 4
    assert len(find_images(photos, FOLLOWED)[0]) == 4


def test_a_store_inside_the_folder_as_git_annex_keeps_it_is_read(photos: Path) -> None:
    store = photos / ".git" / "annex" / "objects"
    store.mkdir(parents=True)
    for path in [*photos.glob("*/*.png")]:
        target = store / f"{path.parent.name}-{path.name}"
        path.rename(target)
        path.symlink_to(target)
    assert paths(read_samples(photos)) == OWN


def test_reading_says_at_once_how_many_links_are_not_followed(photos: Path) -> None:
    (photos / "cat" / "more").symlink_to(photos.parent / "else")
    warned = [event for event in inspect_source(photos, compare=False) if isinstance(event, Warned)]
    assert [event.code for event in warned] == ["data.links"]
    assert "1 link in" in warned[0].message
    assert "--follow-links" in warned[0].cure
    followed = DataChoices.of(follow_links=True)
    assert not [event for event in inspect_source(photos, followed, compare=False) if isinstance(event, Warned)]
    assert followed.options() == " --follow-links"


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_links_in_archives_are_never_followed(photos: Path, kind: str) -> None:
    file = photos.parent / f"photos.{kind}"
    secret = str(photos.parent / "else" / "a.png")
    if kind == "tar":
        with tarfile.open(file, "w") as archive:
            archive.add(photos, "photos")
            for name, form in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
                info = tarfile.TarInfo(f"photos/cat/{name}.png")
                info.type, info.linkname = form, secret
                archive.addfile(info, io.BytesIO())
    else:
        with zipfile.ZipFile(file, "w") as archive:
            for path in photos.rglob("*.png"):
                archive.write(path, path.relative_to(photos.parent))
            info = zipfile.ZipInfo("photos/cat/soft.png")
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, secret)
    for choices in (FindingChoices(), FOLLOWED):
        found = read_samples(file, choices=choices)
        assert len(found) == 4
        assert {reason for _, reason in found.skipped} == {"a link"}


def test_images_in_other_formats_are_told_by_content_and_a_raw_files_preview_is_no_image(photos: Path) -> None:
    (photos / "cat" / "a.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40))
    (photos / "cat" / "b.nef").write_bytes(encode(NOISE, "TIFF"))
    (photos / "cat" / "c.scan").write_bytes(encode(NOISE, "TIFF"))
    (photos / "cat" / "d.txt").write_bytes(b"notes")
    found = read_samples(photos)
    assert "cat/c.scan" in paths(found)
    assert dict(found.skipped) == {
        "cat/a.jp2": f"{FOREIGN}: JPEG 2000",
        "cat/b.nef": f"{FOREIGN}: camera raw",
        "cat/d.txt": "not an image (.txt)",
    }


def test_what_is_not_used_is_counted_by_its_kind(photos: Path) -> None:
    for number in range(3):
        (photos / "cat" / f"{number}.psd").write_bytes(b"8BPS" + bytes(40))
    (photos / "cat" / "d.txt").write_bytes(b"notes")
    fixes = photos.parent / "fixes.csv"
    fixes.write_text("path,action,value\ncat/1.png,exclude,\n")
    ended = [one for one in inspect_source(photos, DataChoices.of(fixes=str(fixes)), compare=False) if _is_read(one)]
    assert ended[0].detail == (
        "3 images in 2 classes, 1 excluded, 3 in formats that are not read, 1 files and folders skipped"
    )


def _is_read(event: Event) -> bool:
    return isinstance(event, StageEnded) and event.name == "Reading"
