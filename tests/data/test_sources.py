"""From a place on the disk to samples: what is found, what is left out, what is refused."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.choices import FindingChoices
from sightline.data.samples import Samples
from sightline.data.sources import IMAGE_SUFFIXES, SPLIT_NAMES, find_images, read_samples
from sightline.errors import DataError, InputError, SightlineError
from sightline.reading.source import DataChoices


def fill(root: Path, *names: str) -> Path:
    """Make files; sources do not open images, so some bytes will do."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def rows(samples: Samples) -> dict[str, tuple[str, str]]:
    """path -> (class name, given split)."""
    names = [samples.classes[label] for label in samples.labels]
    return dict(zip(samples.paths, zip(names, samples.given, strict=True), strict=True))


def refused(source: Path | str, code: str) -> SightlineError:
    with pytest.raises((DataError, InputError)) as caught:
        read_samples(source)
    assert caught.value.code == code
    assert caught.value.cure
    return caught.value


# -- class folders ----------------------------------------------------------------------------------------------


def test_class_folders_give_their_names_as_labels(photos: Path) -> None:
    samples = read_samples(photos)
    assert samples.classes == ("blue", "green", "red")
    assert rows(samples) == {
        f"{name}/{file}": (name, "") for name in samples.classes for file in ("0.png", "1.png", "2.jpg")
    }
    assert all(path.is_file() for path in samples.files)
    assert samples.skipped == ()


def test_a_string_path_and_the_home_folder_are_understood(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    monkeypatch.setenv("USERPROFILE", str(photos.parent))
    assert len(read_samples("~/photos")) == len(read_samples(str(photos))) == 9


def test_images_in_folders_inside_a_class_folder_belong_to_the_class(tmp_path: Path) -> None:
    samples = read_samples(fill(tmp_path, "cat/2024/may/a.jpg", "cat/b.jpg", "dog/c.jpg"))
    assert rows(samples)["cat/2024/may/a.jpg"] == ("cat", "")
    assert samples.counts() == {"cat": 2, "dog": 1}


def test_the_order_does_not_depend_on_the_order_of_writing(tmp_path: Path) -> None:
    names = ["dog/b.png", "cat/z.png", "dog/a.png", "cat/a.png"]
    one, two = read_samples(fill(tmp_path / "1", *names)), read_samples(fill(tmp_path / "2", *reversed(names)))
    assert list(one.paths) == list(two.paths) == sorted(names)


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_image_ending_is_taken_in_either_case(tmp_path: Path, suffix: str) -> None:
    samples = read_samples(fill(tmp_path, f"cat/a{suffix}", f"cat/b{suffix.upper()}", "dog/c.png"))
    assert samples.counts()["cat"] == 2


@pytest.mark.parametrize(
    "start",
    [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"RIFF\x10\0\0\0WEBPVP8 "],
    ids=["jpeg", "png", "gif", "tiff-little", "tiff-big", "webp"],
)
@pytest.mark.parametrize("name", ["photo", "photo.dat", "photo.JPG_large"])
def test_an_image_with_an_odd_ending_is_found_by_its_content(tmp_path: Path, name: str, start: bytes) -> None:
    fill(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "dog" / name).write_bytes(start + b"\0" * 20)
    assert f"dog/{name}" in read_samples(tmp_path).paths


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cat/notes.txt", "not an image (.txt)"),
        ("cat/README", "not an image (no extension)"),
        ("cat/sound.wav", "not an image (.wav)"),
        ("cat/.DS_Store", "hidden"),
        ("cat/._a.jpg", "hidden"),
        ("cat/.hidden.png", "hidden"),
        ("cat/Thumbs.db", "hidden"),
        ("cat/desktop.ini", "hidden"),
        (".DS_Store", "hidden"),
        ("labels.csv", "outside the class folders"),
        ("loose.jpg", "outside the class folders"),
    ],
)
def test_what_is_no_sample_is_listed_with_its_reason(tmp_path: Path, name: str, reason: str) -> None:
    samples = read_samples(fill(tmp_path, "cat/a.jpg", "dog/b.jpg", name))
    assert samples.skipped == ((name, reason),)
    assert list(samples.paths) == ["cat/a.jpg", "dog/b.jpg"]


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", "__MACOSX", ".git", "$RECYCLE.BIN"])
def test_hidden_folders_are_neither_classes_nor_read(tmp_path: Path, folder: str) -> None:
    samples = read_samples(fill(tmp_path, "cat/a.jpg", "dog/b.jpg", f"{folder}/c.jpg", f"cat/{folder}/d.jpg"))
    assert samples.classes == ("cat", "dog")
    assert list(samples.paths) == ["cat/a.jpg", "dog/b.jpg"]


def test_a_class_folder_without_images_is_no_class_and_is_listed(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg", "cow/readme.md")
    samples = read_samples(tmp_path)
    assert samples.classes == ("cat", "dog")
    assert ("cow", "a folder without images") in samples.skipped


@pytest.mark.parametrize(
    "names",
    [
        ["cat/a.jpg", "dog/b.jpg", "dog/x/y.txt", "c.jpg", ".z", "cat/.k/l.jpg", "empty/.keep"],
        ["train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "test/d.jpg", "train/.x", "train/dog/t.txt"],
        ["train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "notes.txt", "more.jpg", ".DS_Store"],
        ["train/cat/a.jpg", "train/dog/b.jpg", "val/cat/c.jpg", "extra/d.jpg"],
    ],
)
def test_every_file_is_a_sample_or_is_skipped_with_a_reason(tmp_path: Path, names: list[str]) -> None:
    samples = read_samples(fill(tmp_path, *names))
    skipped = [path for path, reason in samples.skipped if reason]
    for name in names:
        parents = [name, *(parent.as_posix() for parent in Path(name).parents)]
        assert name in samples.paths or any(part in skipped for part in parents)


def test_accents_composed_and_decomposed_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "Käfer"), unicodedata.normalize("NFD", "Käfer")
    samples = read_samples(fill(tmp_path, f"{composed}/a.jpg", f"{decomposed}/b.jpg", "dog/c.jpg"))
    assert samples.classes == (composed, "dog")
    assert samples.counts()[composed] == 2
    assert all(path.exists() for path in samples.files)


def test_a_folder_called_like_an_image_is_a_folder(tmp_path: Path) -> None:
    assert len(read_samples(fill(tmp_path, "cat/album.jpg/a.jpg", "dog/b.jpg"))) == 2


# -- links ------------------------------------------------------------------------------------------------------


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError as error:
        pytest.skip(f"this system makes no links here: {error}")


def test_a_link_to_a_folder_elsewhere_is_followed_if_asked(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "b.jpg")
    fill(tmp_path / "in", "cat/a.jpg", "dog/c.jpg")
    link(tmp_path / "in" / "cat" / "more", tmp_path / "elsewhere")
    followed = read_samples(tmp_path / "in", choices=FindingChoices(follow_links=True))
    assert followed.counts() == {"cat": 2, "dog": 1}


def test_a_link_into_its_own_folder_is_read_once(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    link(tmp_path / "cat" / "loop", tmp_path / "cat")
    samples = read_samples(tmp_path)
    assert samples.counts() == {"cat": 1, "dog": 1}
    assert ("cat/loop", "a link to a folder that is already read") in samples.skipped


def test_a_link_back_to_the_root_gives_no_image_a_second_label(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    link(tmp_path / "cat" / "loop", tmp_path)
    samples = read_samples(tmp_path)
    labels = {(file.resolve(), label) for file, label in zip(samples.files, samples.labels, strict=True)}
    assert len({file for file, _ in labels}) == len(labels) == 2


def test_a_link_that_leads_nowhere_is_a_sample_that_will_be_unreadable(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    link(tmp_path / "cat" / "gone.jpg", tmp_path / "none.jpg")
    assert "cat/gone.jpg" in read_samples(tmp_path).paths


@pytest.mark.parametrize("name", ["self", "self.jpg"])
def test_a_link_to_itself_does_not_stop_the_reading(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    link(tmp_path / "cat" / name, tmp_path / "cat" / name)
    assert {"cat/a.jpg", "dog/b.jpg"} <= set(read_samples(tmp_path).paths)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    os.mkfifo(tmp_path / "cat" / "pipe")
    assert ("cat/pipe", "not an image (no extension)") in read_samples(tmp_path).skipped


def test_find_images_gives_sorted_paths_and_the_rest(tmp_path: Path) -> None:
    found, skipped = find_images(fill(tmp_path, "b.jpg", "a/c.png", "x.txt"))
    assert found == [tmp_path / "a/c.png", tmp_path / "b.jpg"]
    assert skipped == [(str(tmp_path / "x.txt"), "not an image (.txt)")]


# -- split folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alias", [name for name, part in SPLIT_NAMES.items() if part != "train"])
@pytest.mark.parametrize("train", ["train", "training", "Train", "TRAINING"])
def test_split_folders_are_known_by_every_alias(tmp_path: Path, train: str, alias: str) -> None:
    fill(tmp_path, f"{train}/cat/a.jpg", f"{train}/dog/b.jpg", f"{alias}/cat/c.jpg")
    samples = read_samples(tmp_path)
    assert rows(samples) == {
        f"{train}/cat/a.jpg": ("cat", "train"),
        f"{train}/dog/b.jpg": ("dog", "train"),
        f"{alias}/cat/c.jpg": ("cat", SPLIT_NAMES[alias]),
    }


def test_the_aliases_are_those_of_the_field() -> None:
    by_part = {part: {n for n, p in SPLIT_NAMES.items() if p == part} for part in ("train", "val", "test")}
    assert by_part["train"] >= {"train", "training"}
    assert by_part["val"] >= {"val", "valid", "validation"}
    assert by_part["test"] >= {"test", "testing"}


def test_labels_go_by_name_when_a_split_lacks_a_class(tmp_path: Path) -> None:
    """With numbers given in each folder apart, ``test/dog`` would be class 0 here."""
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "train/eel/e.jpg", "test/dog/c.jpg", "val/eel/d.jpg")
    samples = read_samples(tmp_path)
    assert samples.classes == ("cat", "dog", "eel")
    assert rows(samples)["test/dog/c.jpg"] == ("dog", "test")
    assert rows(samples)["val/eel/d.jpg"] == ("eel", "val")


def test_a_class_that_only_the_test_set_has_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "test/Dog/c.jpg")
    error = refused(tmp_path, "data.unknown-class")
    assert "'Dog' is in test" in error.message


def test_a_train_folder_alone_is_no_split(tmp_path: Path) -> None:
    samples = read_samples(fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg"))
    assert samples.classes == ("cat", "dog")
    assert set(samples.given) == {""}


def test_a_test_folder_is_not_trained_on_when_train_holds_no_image(tmp_path: Path) -> None:
    refused(
        fill(tmp_path, "train/cat/a.txt", "train/dog/b.txt", "test/cat/a.jpg", "test/dog/b.jpg"), "data.unknown-class"
    )


def test_a_class_called_like_its_split_is_a_class(tmp_path: Path) -> None:
    samples = read_samples(fill(tmp_path, "train/exam/a.jpg", "train/test/b.jpg", "test/test/c.jpg"))
    assert rows(samples)["test/test/c.jpg"] == ("test", "test")


def test_two_names_of_one_split_are_one_split(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "val/cat/c.jpg", "validation/dog/d.jpg")
    assert Counter(read_samples(tmp_path).given) == {"train": 2, "val": 2}


def test_classes_may_be_called_like_splits_where_a_person_says_so(tmp_path: Path) -> None:
    samples = read_samples(fill(tmp_path, "train/a.jpg", "bus/b.jpg"), choices=FindingChoices("classes"))
    assert samples.classes == ("bus", "train")


def test_folders_beside_the_split_folders_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "unsorted/d.jpg")
    samples = read_samples(tmp_path)
    assert ("unsorted", "unlabelled: beside the split folders") in samples.skipped
    assert len(samples) == 3


@pytest.mark.parametrize("test", [["test/1.jpg", "test/2.jpg"], ["test/.keep"]], ids=["unlabelled", "empty"])
def test_a_test_folder_without_classes_does_not_become_a_class(tmp_path: Path, test: list[str]) -> None:
    """The layout of many competitions: ``train`` and ``test`` would be the two classes to tell apart."""
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", *test)
    try:
        samples = read_samples(tmp_path)
    except DataError:
        return  # refusing it is right as well
    assert samples.classes == ("cat", "dog")


# -- refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["images/a.jpg", "labels/a.txt"],
        ["train/images/a.jpg", "train/labels/a.txt", "val/images/b.jpg", "val/labels/b.txt"],
        ["images/train/a.jpg", "images/val/b.jpg", "labels/train/a.txt", "labels/val/b.txt"],
        ["images/a.jpg", "annotations/instances.json"],
        ["Images/a.jpg", "Labels/a.txt"],
    ],
)
def test_an_object_detection_set_is_refused(tmp_path: Path, names: list[str]) -> None:
    refused(fill(tmp_path, *names), "data.detection-layout")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    error = refused(fill(tmp_path, "cat/a.jpg", "cat/b.jpg"), "data.one-class")
    assert "'cat'" in error.message


@pytest.mark.parametrize(
    ("names", "said"),
    [([], "nothing at all"), (["a.jpg", "b.jpg"], "2 outside the class folders"), (["cat/a.txt"], "not an image")],
)
def test_no_images_says_what_was_found_instead(tmp_path: Path, names: list[str], said: str) -> None:
    error = refused(fill(tmp_path, *names), "data.no-images")
    assert said in error.message


def test_a_missing_path_is_refused_with_the_path(tmp_path: Path) -> None:
    assert "none" in refused(tmp_path / "none", "data.missing").message


def test_the_home_of_nobody_is_a_missing_path() -> None:
    with pytest.raises(InputError):
        read_samples("~no-such-user-here/photos")


def test_a_single_image_is_no_source(photos: Path) -> None:
    refused(photos / "red" / "0.png", "data.not-a-source")


def test_the_users_files_are_not_touched(photos: Path, tmp_path: Path) -> None:
    def listing() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}

    before = listing()
    read_samples(photos)
    assert listing() == before


# -- CSV --------------------------------------------------------------------------------------------------------


@pytest.fixture
def csv_of(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes ``labels.csv`` beside some images."""
    fill(tmp_path, "a.jpg", "b.jpg", "c.jpg", "sub/d.jpg")

    def write(text: str | bytes, name: str = "labels.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


PLAIN = "path,label\na.jpg,cat\nsub/d.jpg,dog\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (PLAIN, "labels.csv"),
        ("\ufeff" + PLAIN, "labels.csv"),
        (PLAIN.replace(",", ";"), "labels.csv"),
        (PLAIN.replace(",", "\t"), "labels.tsv"),
        (PLAIN.replace(",", "\t"), "LABELS.TXT"),
        (PLAIN.replace("\n", "\r\n"), "labels.csv"),
        (PLAIN.replace("\n", "\r"), "labels.csv"),
        (PLAIN.rstrip("\n"), "labels.csv"),
        ('"path","label"\n"a.jpg","cat"\n"sub/d.jpg","dog"\n', "labels.csv"),
        (" Path , LABEL \n a.jpg , cat \n sub/d.jpg , dog \n", "labels.csv"),
        ("label,note,path\ncat,x,a.jpg\ndog,y,sub/d.jpg\n", "labels.csv"),
        (PLAIN.replace("/", "\\"), "labels.csv"),
        (PLAIN.replace("a.jpg", "./a.jpg"), "labels.csv"),
        (PLAIN + "\n\n", "labels.csv"),
        (PLAIN + "a.jpg,cat\n", "labels.csv"),
        ("path,label,split,group\na.jpg,cat,,\nsub/d.jpg,dog,,\n", "labels.csv"),
        ("path,label,split\na.jpg,cat\nsub/d.jpg,dog\n", "labels.csv"),
    ],
    ids=[
        "plain",
        "bom",
        "semicolon",
        "tab",
        "txt",
        "crlf",
        "cr",
        "no-last-newline",
        "quotes",
        "spaces",
        "order",
        "backslashes",
        "dot",
        "blank-lines",
        "said-twice",
        "empty-cells",
        "short-lines",
    ],
)
def test_a_csv_in_any_dress_gives_the_same_samples(csv_of: Callable[..., Path], text: str, name: str) -> None:
    samples = read_samples(csv_of(text, name))
    assert rows(samples) == {"a.jpg": ("cat", ""), "sub/d.jpg": ("dog", "")}
    assert set(samples.groups) == {""}


def test_numeric_labels_stay_text(csv_of: Callable[..., Path]) -> None:
    samples = read_samples(csv_of("path,label\na.jpg,01\nb.jpg,1\nc.jpg,1.0\n"))
    assert samples.classes == ("01", "1", "1.0")


def test_quoted_cells_may_hold_the_delimiter_and_quotes(csv_of: Callable[..., Path]) -> None:
    samples = read_samples(csv_of('path,label\na.jpg,"cat, black"\nb.jpg,"the ""dog"""\n'))
    assert samples.classes == ("cat, black", 'the "dog"')


def test_a_line_separator_inside_a_cell_is_text(csv_of: Callable[..., Path]) -> None:
    samples = read_samples(csv_of("path,label\na.jpg,cat\u2028black\nb.jpg,dog\n"))
    assert samples.classes == ("cat\u2028black", "dog")


def test_split_and_group_come_from_the_csv(csv_of: Callable[..., Path]) -> None:
    text = (
        "path,label,split,group\na.jpg,cat,Training,p1\nb.jpg,dog,train,p2\nc.jpg,cat,VALID,\nsub/d.jpg,dog,test,p3\n"
    )
    samples = read_samples(csv_of(text))
    assert list(samples.given) == ["train", "train", "val", "test"]
    assert list(samples.groups) == ["p1", "p2", "", "p3"]


def test_paths_are_relative_to_the_csv_and_not_to_the_process(
    csv_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv_of(PLAIN)
    monkeypatch.chdir(path.parent / "sub")
    assert all(file.is_file() for file in read_samples(path).files)
    monkeypatch.chdir(path.parent)
    assert all(file.is_file() for file in read_samples("labels.csv").files)


def test_absolute_paths_elsewhere_are_kept(csv_of: Callable[..., Path], tmp_path: Path) -> None:
    far = fill(tmp_path / "far", "x.jpg") / "x.jpg"
    shutil.copytree(tmp_path / "sub", tmp_path / "tables")
    samples = read_samples(csv_of(f"path,label\n{far},cat\nd.jpg,dog\n", "tables/labels.csv"))
    assert list(samples.paths) == [far.as_posix(), "d.jpg"]
    assert samples.file(0) == far


@pytest.mark.skipif(os.sep == "\\", reason="a backslash is never part of a name on Windows")
def test_a_file_whose_name_has_a_backslash_is_found(csv_of: Callable[..., Path], tmp_path: Path) -> None:
    fill(tmp_path, "odd\\name.jpg")
    samples = read_samples(csv_of("path,label\nodd\\name.jpg,cat\nb.jpg,dog\n"))
    assert samples.file(0).is_file()


def test_a_listed_file_that_is_missing_stays_a_sample(csv_of: Callable[..., Path]) -> None:
    """It is counted as unreadable later; leaving it out in silence would change the figures."""
    assert "gone.jpg" in read_samples(csv_of("path,label\ngone.jpg,cat\nb.jpg,dog\n")).paths


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("b.jpg,", "line 3: path or label is empty"),
        ("b.jpg,   ", "line 3: path or label is empty"),
        (",dog", "line 3: path or label is empty"),
        ("b.jpg", "line 3: path or label is empty"),
        ("b.jpg,dog,train,g,more", "line 3: too many cells"),
        ("b.jpg,dog,holdout", "line 3: unknown split 'holdout'"),
        ("https://example.org/b.jpg,dog", "is a web address, not a file"),
        ("\nb.jpg,", "line 4: path or label is empty"),
    ],
)
def test_a_line_that_can_not_be_used_is_named(csv_of: Callable[..., Path], line: str, said: str) -> None:
    path = csv_of(f"path,label,split,group\na.jpg,cat,train\n{line}\nc.jpg,dog,train\n")
    assert said in refused(path, "data.table-rows").message


def test_many_bad_lines_are_counted(csv_of: Callable[..., Path]) -> None:
    assert "(5 in all)" in refused(csv_of("path,label\n" + "a.jpg,\n" * 5), "data.table-rows").message


@pytest.mark.parametrize("second", ["a.jpg,dog,train", "a.jpg,cat,test", "./a.jpg,dog,train"])
def test_two_lines_that_contradict_each_other_are_refused(csv_of: Callable[..., Path], second: str) -> None:
    path = csv_of(f"path,label,split\na.jpg,cat,train\nb.jpg,dog,train\n{second}\n")
    assert "listed twice" in refused(path, "data.contradiction").message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing"),
        ("a.jpg,cat\nb.jpg,dog\n", "no column path and no column label"),
        ("path,class\na.jpg,cat\n", "no column label"),
        ("file,label\na.jpg,cat\n", "no column path"),
    ],
)
def test_a_csv_without_the_columns_says_which(csv_of: Callable[..., Path], text: str, said: str) -> None:
    assert said in refused(csv_of(text), "data.table-columns").message


def test_a_csv_with_other_names_of_its_columns_says_which_to_rename(csv_of: Callable[..., Path]) -> None:
    error = refused(csv_of("filename,class\na.jpg,cat\n"), "data.table-columns")
    assert error.message.endswith("no column label; beside the paths it has class")
    assert error.cure == "rename its column class to label"


def test_a_csv_with_a_header_only_has_no_images(csv_of: Callable[..., Path]) -> None:
    refused(csv_of("path,label\n"), "data.no-images")


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"), ("cp1252", "CP1252")]
)
def test_a_csv_that_is_no_utf_8_is_refused_and_its_encoding_named(
    csv_of: Callable[..., Path], encoding: str, name: str
) -> None:
    rows = "".join(f"{k}.jpg,dog\n" for k in range(30))
    error = refused(csv_of(f"path,label\n{rows}a.jpg,Käfer – €\n".encode(encoding)), "data.table-encoding")
    assert f"iconv -f {name} " in error.cure
    assert str(csv_of("").with_name("utf8.csv")) in error.cure  # beside it: its paths are looked up there
    assert ("'a.jpg,Käfer – €'" if name == "CP1252" else "'path,label'") in error.message


def test_a_csv_as_excel_saves_unicode_text_is_read(csv_of: Callable[..., Path]) -> None:
    assert read_samples(csv_of("path\tlabel\r\na.jpg\tKäfer\r\nb.jpg\tdog\r\n".encode("utf-16"))).classes == (
        "Käfer",
        "dog",
    )


def test_a_quote_that_is_never_closed_is_an_error_of_the_data(csv_of: Callable[..., Path]) -> None:
    lines = "".join(f"{k}.jpg,cat\n" for k in range(20_000))
    with pytest.raises(DataError):
        read_samples(csv_of(f'path,label\n"a.jpg,cat\n{lines}'))


def test_a_csv_whose_classes_are_missing_in_train_is_refused(csv_of: Callable[..., Path]) -> None:
    refused(csv_of("path,label,split\na.jpg,cat,train\nb.jpg,dog,train\nc.jpg,eel,val\n"), "data.unknown-class")
    refused(csv_of("path,label,split\na.jpg,cat,test\nb.jpg,dog,test\n"), "data.unknown-class")


# -- classes that train lacks -----------------------------------------------------------------------------------


def test_without_strictness_classes_that_train_lacks_are_skipped_and_listed(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "test/Dog/c.jpg", "test/Dog/d.jpg", "val/eel/e.jpg")
    fill(tmp_path, "test/cat/f.jpg")
    samples = read_samples(tmp_path, strict=False)
    assert samples.classes == ("cat", "dog")
    assert rows(samples) == {
        "train/cat/a.jpg": ("cat", "train"),
        "train/dog/b.jpg": ("dog", "train"),
        "test/cat/f.jpg": ("cat", "test"),
    }
    assert samples.extra_classes == (("test", "Dog", 2), ("val", "eel", 1))
    assert dict(samples.skipped) == {
        "test/Dog/c.jpg": "class 'Dog' is not in train",
        "test/Dog/d.jpg": "class 'Dog' is not in train",
        "val/eel/e.jpg": "class 'eel' is not in train",
    }


def test_without_strictness_a_table_without_training_images_is_refused_all_the_same(
    csv_of: Callable[..., Path],
) -> None:
    with pytest.raises(DataError) as caught:
        read_samples(csv_of("path,label,split\na.jpg,cat,test\nb.jpg,dog,test\n"), strict=False)
    assert caught.value.code == "data.unknown-class"


def test_further_columns_are_kept_with_their_rows(csv_of: Callable[..., Path]) -> None:
    text = "path,label,Patient,label2\na.jpg,cat,p1,x\na.jpg,cat,p1,x\nb.jpg,dog,p2,y\nc.jpg,dog,,\n"
    samples = read_samples(csv_of(text))
    assert {name: list(column) for name, column in samples.extra.items()} == {
        "Patient": ["p1", "p2", ""],
        "label2": ["x", "y", ""],
    }


# -- a given split that is put aside ---------------------------------------------------------------------------


def test_a_given_split_is_put_aside_on_request(tmp_path: Path) -> None:
    names = [f"{part}/{name}/{number}.png" for part in ("train", "test") for name in ("cat", "dog") for number in "01"]
    root = fill(tmp_path, *names, "test/bee/0.png")
    assert "bee" in refused(root, "data.unknown-class").message
    samples = read_samples(root, choices=FindingChoices(resplit=True))
    assert set(samples.given) == {""} and len(samples) == 9
    assert samples.classes == ("bee", "cat", "dog")  # a class of the test alone is a class


def test_a_split_column_is_put_aside_on_request(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.png")
    table = tmp_path / "table.csv"
    table.write_text("path,label,split\na.png,cat,train\na.png,cat,test\nb.png,dog,train\n")
    assert refused(table, "data.contradiction")
    assert rows(read_samples(table, choices=FindingChoices(resplit=True))) == {
        "a.png": ("cat", ""),
        "b.png": ("dog", ""),
    }


def test_the_option_is_typed_again_with_the_others() -> None:
    assert DataChoices.of(resplit=True, group="patient").options() == " --group patient --resplit"
    assert DataChoices.of(resplit=True).finding.resplit and "resplit" not in DataChoices().options()
