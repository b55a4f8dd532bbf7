"""Folders that can be meant in two ways, and tables among the images: what is read, and what is asked."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from sightline.data.choices import LAYOUTS, FindingChoices
from sightline.data.folders import DiskNode
from sightline.data.own_output import mark_as_own
from sightline.data.samples import Samples
from sightline.data.sources import find_images, read_samples
from sightline.errors import DataError, InputError


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


def asked(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_samples(root)
    assert caught.value.code == "data.layout"
    return caught.value


VEHICLES = ["train/steam/a.jpg", "train/diesel/b.jpg", "bus/c.jpg", "bus/d.jpg", "car/e.jpg"]
FLAT = ["train/a.jpg", "train/b.jpg", "test/c.jpg", "test/d.jpg"]
INNER = [f"{name}/{part}/{k}.jpg" for name in ("cat", "dog") for part, k in (("train", 1), ("train", 2), ("test", 3))]
# Folders that can be meant in several ways -> for each way what a person who means it expects.
AMBIGUOUS = {
    "a class called train with folders inside": (
        VEHICLES,
        {
            "classes": {name: (name.split("/")[0], "") for name in VEHICLES},
            "splits": {name: (name.split("/")[1], "") for name in VEHICLES[:2]},
        },
    ),
    "flat folders with the names of splits": (FLAT, {"classes": {name: (name.split("/")[0], "") for name in FLAT}}),
    "a class called test": (
        ["test/a.jpg", "control/b.jpg"],
        {"classes": {"test/a.jpg": ("test", ""), "control/b.jpg": ("control", "")}},
    ),
    "validation and test without training": (
        ["val/cat/a.jpg", "val/dog/b.jpg", "test/cat/c.jpg", "test/dog/d.jpg"],
        {
            "classes": {
                f"{n}.jpg": (n.split("/")[0], "") for n in ("val/cat/a", "val/dog/b", "test/cat/c", "test/dog/d")
            }
        },
    ),
    "split folders inside class folders": (
        INNER,
        {
            "inner-splits": {name: (name.split("/")[0], name.split("/")[1]) for name in INNER},
            "classes": {name: (name.split("/")[0], "") for name in INNER},
        },
    ),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_can_be_meant_in_several_ways_is_asked_and_each_way_can_be_chosen(tmp_path: Path, kind: str) -> None:
    names, ways = AMBIGUOUS[kind]
    error = asked(fill(tmp_path, *names))
    for layout, expected in ways.items():
        assert f"--layout {layout} " in error.cure
        assert rows(read_samples(tmp_path, choices=FindingChoices(layout))) == expected
    for layout in set(LAYOUTS) - set(ways):
        with pytest.raises(DataError) as caught:
            read_samples(tmp_path, choices=FindingChoices(layout))
        assert caught.value.code in ("data.layout", "data.unknown-class", "data.one-class")


@pytest.mark.parametrize(
    "names",
    [
        ["cat/a.jpg", "dog/b.jpg", "dog/old/train/c.jpg"],
        ["train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg", "unsorted/d.jpg", "bus/e.jpg"],
        ["cat/a.jpg", "dog/b.jpg", "labels.csv"],
        ["cat/test/a.jpg", "dog/b.jpg"],
    ],
)
def test_what_can_be_meant_in_one_way_is_read(tmp_path: Path, names: list[str]) -> None:
    assert read_samples(fill(tmp_path, *names)).classes == ("cat", "dog")


def test_the_table_beside_flat_splits_is_named(tmp_path: Path) -> None:
    error = asked(fill(tmp_path, *FLAT, "labels.csv"))
    assert "labels.csv" in error.message
    assert f"{tmp_path}/labels.csv" in error.cure


def test_one_folder_around_the_classes_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "set/cat/a.jpg", "set/dog/b.jpg")
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path)
    named = caught.value.cure.partition("name it: ")[2].partition(";")[0]
    assert read_samples(named).classes == ("cat", "dog")


def test_the_folder_with_the_classes_is_named_where_there_is_no_training_folder(tmp_path: Path) -> None:
    fill(tmp_path, "test/cat/a.jpg", "test/dog/b.jpg")
    named = asked(tmp_path).cure.partition("classes: ")[2].partition(";")[0]
    assert read_samples(named).classes == ("cat", "dog")


def test_a_layout_is_for_folders(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label\na.jpg,cat\nb.jpg,dog\n")
    with pytest.raises(InputError) as caught:
        read_samples(table, choices=FindingChoices("classes"))
    assert caught.value.code == "data.layout-name"
    with pytest.raises(InputError, match="did you mean 'classes'"):
        FindingChoices("clases")


# -- tables among the images ------------------------------------------------------------------------------------

EXPECTED = {
    "train/a.jpg": ("cat", "train"),
    "train/b.jpg": ("dog", "train"),
    "test/c.jpg": ("cat", "test"),
}


def write_tables(root: Path, form: str) -> Path:
    """Write the same labels as the hub's CSV and JSONL, one table of all splits, and Roboflow's classes."""
    fill(root, *EXPECTED)
    by_folder: dict[str, list[tuple[str, str]]] = {}
    for path, (label, _) in EXPECTED.items():
        folder, _, name = path.partition("/")
        by_folder.setdefault(folder, []).append((name, label))
    if form == "one table":
        text = "".join(f"{path},{label}\n" for path, (label, _) in EXPECTED.items())
        (root / "metadata.csv").write_text(f"file_name,label\n{text}")
        return root
    for folder, images in by_folder.items():
        if form == "metadata.csv":
            lines = ["file_name,label", *(f"{name},{label}" for name, label in images)]
        elif form == "metadata.jsonl":
            lines = [json.dumps({"file_name": name, "label": label}) for name, label in images]
        else:
            lines = [
                "filename, cat, dog",
                *(f"{name}, {label == 'cat':d}, {label == 'dog':d}" for name, label in images),
            ]
        (root / folder / form).write_text("\n".join(lines) + "\n")
    return root


FORMS = ["metadata.csv", "metadata.jsonl", "_classes.csv", "one table"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["folder", "wrapped", "zip"])
def test_tables_of_the_hub_and_of_roboflow_are_read(tmp_path: Path, form: str, place: str) -> None:
    root = write_tables(tmp_path / "set", form)
    source, before = root, ""
    if place == "wrapped":
        source, before = tmp_path, "set/"
    if place == "zip":
        source, before = tmp_path / "set.zip", "set.zip::"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted(root.rglob("*.*")):
                archive.write(path, path.relative_to(root).as_posix())
    samples = read_samples(source)
    assert rows(samples) == {f"{before}{path}": cell for path, cell in EXPECTED.items()}
    assert samples.skipped == ()
    assert "Classes are taken from" in samples.notes[0]


@pytest.mark.parametrize("form", FORMS)
def test_an_image_that_the_table_does_not_name_is_listed(tmp_path: Path, form: str) -> None:
    root = fill(write_tables(tmp_path, form), "train/more.jpg")
    assert [path for path, _ in read_samples(root).skipped] == ["train/more.jpg"]


def test_an_image_of_two_classes_is_refused_and_one_of_none_is_listed(tmp_path: Path) -> None:
    fill(tmp_path, "train/a.jpg", "train/b.jpg", "train/c.jpg")
    table = tmp_path / "train" / "_classes.csv"
    table.write_text("filename, cat, dog\na.jpg, 1, 0\nb.jpg, 0, 1\nc.jpg, 0, 0\n")
    assert read_samples(tmp_path).skipped == (("train/c.jpg", "unlabelled"),)
    table.write_text("filename, cat, dog\na.jpg, 1, 1\nb.jpg, 0, 1\n")
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path)
    assert caught.value.code == "data.multi-label"


def test_a_table_of_captions_gives_no_classes(tmp_path: Path) -> None:
    fill(tmp_path, *FLAT)
    (tmp_path / "train" / "metadata.csv").write_text("file_name,text\na.jpg,a cat\n")
    assert "train/metadata.csv" in asked(tmp_path).message


def test_class_folders_and_a_table_of_the_hub_are_two_ways(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,label\ncat/a.jpg,old\ndog/b.jpg,young\n")
    error = asked(tmp_path)
    assert "metadata.csv" in error.message
    assert read_samples(tmp_path, choices=FindingChoices("tables")).classes == ("old", "young")
    assert read_samples(tmp_path, choices=FindingChoices("classes")).classes == ("cat", "dog")


@pytest.mark.parametrize("name", ["_annotations.coco.json", "_annotations.csv"])
def test_boxes_as_roboflow_writes_them_are_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path, *FLAT, f"train/{name}", f"test/{name}")
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path)
    assert caught.value.code == "data.detection-layout"


# -- what is never data -----------------------------------------------------------------------------------------

RUN = ["run.json", "plan.toml", "figures/a.png", "classifier/model.onnx", "classifier/classifier.json"]
OWN = {
    "runs": [f"runs/{run}/{name}" for run in ("one", "two") for name in RUN],
    "a run": [f"first/{name}" for name in RUN],
    "a run in a class": [f"cat/first/{name}" for name in RUN],
    "an evaluation": ["measured/evaluation.json", "measured/metrics.json", "measured/figures/a.png"],
    "a classifier": ["mine/model.onnx", "mine/classifier.json", "mine/a.png"],
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("splits", [False, True])
def test_what_sightline_wrote_is_never_data(tmp_path: Path, kind: str, splits: bool) -> None:
    names = ["cat/a.jpg", "dog/b.jpg"]
    if splits:
        names = [f"{part}/{name}" for part in ("train", "test") for name in names]
    fill(tmp_path, *names, *OWN[kind])
    samples = read_samples(tmp_path)
    assert sorted(samples.paths) == sorted(names)
    if kind != "a run in a class" or not splits:
        assert "written by Sightline" in samples.skipped_counts()
    assert find_images(tmp_path)[0] == sorted(tmp_path / name for name in names)


def test_a_folder_of_explanations_is_never_data_and_its_file_says_so(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg", "explanations/a.png")
    assert "explanations" in read_samples(tmp_path).classes
    mark_as_own(tmp_path / "explanations")
    assert read_samples(tmp_path).classes == ("cat", "dog")
    (mark,) = (tmp_path / "explanations").glob(".*")
    assert "Sightline wrote this folder" in mark.read_text()


def test_a_class_called_like_our_files_is_a_class(tmp_path: Path) -> None:
    samples = read_samples(fill(tmp_path, "runs/a.jpg", "explanations/b.jpg", "data/c.jpg"))
    assert samples.classes == ("data", "explanations", "runs")


def test_a_run_that_is_named_itself_is_read(tmp_path: Path) -> None:
    fill(tmp_path, "run.json", "plan.toml", "figures/a.png")
    assert find_images(tmp_path)[0] == [tmp_path / "figures/a.png"]


@pytest.mark.parametrize(
    "folder", ["@eaDir", "#recycle", "#snapshot", "@Recycle", "lost+found", "System Volume Information", ".stversions"]
)
def test_folders_of_network_disks_and_sticks_are_never_data(tmp_path: Path, folder: str) -> None:
    samples = read_samples(fill(tmp_path, "cat/a.jpg", "dog/b.jpg", f"{folder}/c.jpg", f"cat/{folder}/d.jpg"))
    assert list(samples.paths) == ["cat/a.jpg", "dog/b.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        "a (Anna's conflicted copy 2026-01-02).jpg",
        "a (conflicted copy 2026-01-02 101112).jpg",
        "a.sync-conflict-20260102-101112-ABCDEFG.jpg",
        "a_conflict-20260102-101112.jpg",
        "a (Case Conflict).jpg",
    ],
)
def test_conflict_copies_of_sync_tools_are_left_out_and_listed(tmp_path: Path, name: str) -> None:
    samples = read_samples(fill(tmp_path, "cat/a.jpg", "dog/b.jpg", f"cat/{name}"))
    assert samples.skipped == ((f"cat/{name}", "a conflict copy of a sync tool"),)


@pytest.mark.parametrize("place", ["folder", "zip", "table"])
def test_patterns_leave_out_files_and_folders(tmp_path: Path, place: str) -> None:
    names = ["cat/a.jpg", "cat/a_mask.png", "cat/raw/x.jpg", "dog/b.jpg", "dog/raw/y.jpg", "raw/z.jpg", "dog/old.jpg"]
    root = fill(tmp_path / "set", *names)
    source, before = root, ""
    if place == "zip":
        source, before = tmp_path / "set.zip", "set.zip::"
        with zipfile.ZipFile(source, "w") as archive:
            for name in names:
                archive.write(root / name, name)
    if place == "table":
        source = root / "labels.csv"
        source.write_text("path,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    choices = FindingChoices(skip=("*_mask.png", "raw/", "dog/o*"))
    samples = read_samples(source, choices=choices)
    assert list(samples.paths) == [f"{before}cat/a.jpg", f"{before}dog/b.jpg"]
    assert set(samples.skipped_counts()) == {f"left out by --skip {pattern}" for pattern in choices.skip}


def test_a_pattern_settles_what_is_unclear(tmp_path: Path) -> None:
    fill(tmp_path, *VEHICLES)
    assert read_samples(tmp_path, choices=FindingChoices(skip=("train",))).classes == ("bus", "car")


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(InputError, match="empty pattern"):
        FindingChoices(skip=("",))


def test_a_class_folder_is_listed_twice_at_most(tmp_path, monkeypatch):
    """Once to see how the folders are meant, and once to read it: a folder of 100,000 files takes a while."""
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listed, list_one = [], DiskNode.children
    monkeypatch.setattr(DiskNode, "children", lambda node: listed.append(node.name) or list_one(node))
    assert len(read_samples(tmp_path)) == 3
    assert listed.count("cat") <= 2 and listed.count("dog") <= 2


def test_one_class_with_folders_of_splits_is_told_to_give_the_folder_above(tmp_path: Path) -> None:
    error = asked(fill(tmp_path / "ants", *FLAT))
    assert "but no folders of classes in a training part" in error.message
    assert "give the folder above" in error.cure
